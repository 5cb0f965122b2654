#include "pack_journal.h"

#include <fcntl.h>
#include <sys/file.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <filesystem>
#include <fstream>
#include <system_error>

#include "cstp/core/error.h"
#include "cstp/core/log.h"
#include "cstp/core/text.h"
#include "formats.h"

namespace cstp {

namespace fs = std::filesystem;

std::string pack_part_path(const std::string& folder, int64_t shard) {
  return pack_shard_path(folder, shard) + ".part";
}

uint64_t sum_of_range(const std::string& path, int64_t offset, int64_t size) {
  std::ifstream file(path, std::ios::binary);
  file.seekg(offset);
  std::string part(size_t{1} << 20, '\0');
  uint64_t sum = fingerprint("");
  while (size > 0 && file) {
    file.read(part.data(), std::min<int64_t>(size, std::ssize(part)));
    sum = fingerprint(std::string_view(part).substr(0, static_cast<size_t>(file.gcount())), sum);
    size -= file.gcount();
  }
  return sum;
}

PackJournal::PackJournal(const std::string& folder, const PackHead& head, const std::vector<std::string>& paths)
    : folder_(folder), head_(head) {
  claim();
  try {
    const std::string index = path_in(folder_, kPackIndex);
    entries_ = earlier_entries();
    const size_t good = still_true(entries_, paths);
    finished_ = is_file(index) && good == paths.size();
    if (finished_) {
      ::unlink(path_in(folder_, kPackJournal).c_str());
      return;
    }
    if (good < entries_.size()) {
      log::warning(folder_, ": ", count_text(std::ssize(entries_) - static_cast<int64_t>(good)),
                   " videos are packed again, from ", entries_[good].path, " on: its file changed, or its shard did");
    }
    entries_.resize(good);
    start_file();
    std::error_code ignored;
    fs::remove(index, ignored);  // nobody reads a pack that is being changed
    prepare_shards();
  } catch (...) {
    ::close(file_);
    throw;
  }
}

PackJournal::~PackJournal() { ::close(file_); }

void PackJournal::fail(const std::string& path, const std::string& step) const {
  throw DataError(
      cat(path, ": ", step, " failed (", std::strerror(errno), "); once that is mended, the same command goes on"));
}

/// The folder is ours if it says so; else it must be free. Two processes do not pack into one.
void PackJournal::claim() {
  const std::string journal = path_in(folder_, kPackJournal);
  try {
    const bool ours = is_file(journal) || is_file(path_in(folder_, kPackIndex));
    if (!ours && fs::exists(folder_) && (!fs::is_directory(folder_) || !fs::is_empty(folder_))) {
      throw DataError(cat(folder_, ": holds something else than packed videos; choose another folder for --output"));
    }
    fs::create_directories(folder_);
  } catch (const fs::filesystem_error& error) {
    throw DataError(cat(folder_, ": the pack cannot be written there (", error.code().message(), ")"));
  }
  file_ = ::open(journal.c_str(), O_RDWR | O_CREAT | O_APPEND | O_CLOEXEC, 0644);
  if (file_ < 0) fail(journal, "creating it");
  if (::flock(file_, LOCK_EX | LOCK_NB) == 0) return;
  ::close(file_);
  throw DataError(cat(folder_, ": another run is packing into this folder; let it finish, or choose another --output"));
}

std::vector<PackEntry> PackJournal::earlier_entries() const {
  const bool done = is_file(path_in(folder_, kPackIndex));
  if (!done && pack_file_size(path_in(folder_, kPackJournal)) == 0) return {};
  PackIndex earlier = done ? read_pack_index(folder_) : read_pack_journal(folder_);
  // A kill may have torn the head itself: then nothing has been packed yet.
  const bool torn = !done && earlier.entries.empty();
  if (torn || earlier.head.text() == head_.text()) return std::move(earlier.entries);
  const PackSettings& there = earlier.head.settings;
  throw DataError(there.text() != head_.settings.text() || there.shard_mb != head_.settings.shard_mb
                      ? cat(folder_, ": holds videos packed with other settings (there: ", there.text(), ", shards of ",
                            there.shard_mb, " MiB; wanted: ", head_.settings.text(), ", shards of ",
                            head_.settings.shard_mb, " MiB); choose another --output, or remove this one")
                      : cat(folder_, ": holds a pack of another list of videos or of other labels (",
                            earlier.head.sets.size(), " sets, the first of ",
                            earlier.head.sets.empty() ? 0 : earlier.head.sets.front().videos.size(),
                            " videos); choose another --output, or remove this one"));
}

/// How many of the entries, from the first on, can be kept.
size_t PackJournal::still_true(const std::vector<PackEntry>& entries, const std::vector<std::string>& paths) const {
  size_t good = 0;
  for (; good < entries.size() && good < paths.size(); ++good) {
    const PackEntry& entry = entries[good];
    if (entry.video != static_cast<int64_t>(good) || entry.source_bytes != pack_file_size(paths[good])) break;
  }
  // Shards one by one: whole ones by their size, the one that was open by its bytes.
  int64_t last = -1;
  for (size_t i = 0; i < good; ++i) last = entries[i].bad.empty() ? entries[i].shard : last;
  const bool open = !is_file(path_in(folder_, kPackIndex));
  std::string shard_path;
  int64_t shard = -1, bytes = 0;
  for (size_t i = 0; i < good; ++i) {
    const PackEntry& entry = entries[i];
    if (!entry.bad.empty()) continue;
    if (entry.shard != shard) {
      shard = entry.shard;
      shard_path = pack_shard_path(folder_, shard);
      if (shard == last && !is_file(shard_path)) shard_path = pack_part_path(folder_, shard);
      bytes = pack_file_size(shard_path);
    }
    const bool there = entry.end <= bytes;
    const bool same = !open || entry.shard != last || sum_of_range(shard_path, entry.offset, entry.size) == entry.sum;
    if (!there || !same) return i;
  }
  return good;
}

/// The last shard that is kept is open again; what stands behind it goes.
void PackJournal::prepare_shards() {
  for (const PackEntry& entry : entries_) {
    if (!entry.bad.empty()) continue;
    shard_ = entry.shard;
    end_ = entry.end;
  }
  std::error_code error;
  const std::string whole = pack_shard_path(folder_, shard_);
  if (is_file(whole)) fs::rename(whole, pack_part_path(folder_, shard_), error);
  if (error) throw DataError(cat(whole, ": cannot be opened again (", error.message(), ")"));
  for (const std::string& name : list_folder(folder_).files) {
    const bool ours = name.starts_with("shard-") && (name.ends_with(".tar") || name.ends_with(".tar.part"));
    const std::string path = path_in(folder_, name);
    const bool behind = path > pack_part_path(folder_, shard_);  // numbers have as many digits
    if (ours && behind) fs::remove(path, error);
  }
}

void PackJournal::start_file() {
  std::string text = head_.text();
  for (const PackEntry& entry : entries_) text += entry.line();
  const std::string journal = path_in(folder_, kPackJournal);
  const bool longer = read_text_file(journal).starts_with(text);  // the usual case: its last line may be torn
  if (::ftruncate(file_, longer ? std::ssize(text) : 0) != 0) fail(journal, "cutting it to whole lines");
  if (!longer) write(text);
}

void PackJournal::write(const std::string& text) {
  std::string_view rest = text;
  while (!rest.empty()) {
    const ssize_t written = ::write(file_, rest.data(), rest.size());
    if (written < 0 && errno == EINTR) continue;
    if (written < 0) fail(path_in(folder_, kPackJournal), "writing it");
    rest.remove_prefix(static_cast<size_t>(written));
  }
}

void PackJournal::add(const PackEntry& entry) {
  entries_.push_back(entry);
  write(entry.line());
}

void PackJournal::flush() {
  if (::fsync(file_) != 0) fail(path_in(folder_, kPackJournal), "flushing it to disk");
}

void PackJournal::finish() {
  write_file_atomically(path_in(folder_, kPackIndex), pack_index_text(head_, entries_));
  ::unlink(path_in(folder_, kPackJournal).c_str());
  finished_ = true;
}

}  // namespace cstp
