// The journal is JSON lines: {"epoch":0,"position":12,"attempt":0,"path":"a.avi","cause":"..."}.
#include <fcntl.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <nlohmann/json.hpp>
#include <utility>

#include "cstp/core/error.h"
#include "cstp/core/log.h"
#include "cstp/core/text.h"
#include "cstp/data/clip_loader.h"

namespace cstp {
namespace {

/// One bad video is tolerated in any set, however small; none where the share is 0.
int64_t most_bad(int64_t videos, double max_share) {
  return max_share > 0 ? std::max<int64_t>(1, static_cast<int64_t>(max_share * static_cast<double>(videos))) : 0;
}

/// Bytes that are no UTF-8 cannot stand in JSON; they are replaced, here and in what is compared with it.
std::string dump(const nlohmann::json& value) {
  return value.dump(-1, ' ', false, nlohmann::json::error_handler_t::replace);
}

/// Appends a line and flushes it to disk: it must be there before the replacement is used.
void append_line(const std::string& path, std::string line) {
  const auto fail = [&path](const char* step) {
    throw DataError(cat(path, ": ", step, " the journal of bad videos failed (", std::strerror(errno), ")"));
  };
  const int file = ::open(path.c_str(), O_RDWR | O_CREAT | O_APPEND | O_CLOEXEC, 0644);
  if (file < 0) fail("opening");
  char last = '\n';
  const off_t size = ::lseek(file, 0, SEEK_END);
  if (size > 0 && ::pread(file, &last, 1, size - 1) == 1 && last != '\n')
    line.insert(line.begin(), '\n');  // killed while writing
  line += '\n';
  std::string_view rest = line;
  while (!rest.empty()) {
    const ssize_t written = ::write(file, rest.data(), rest.size());
    if (written < 0 && errno == EINTR) continue;
    if (written < 0) {
      const int cause = errno;
      ::close(file);
      errno = cause;
      fail("writing");
    }
    rest.remove_prefix(static_cast<size_t>(written));
  }
  const bool flushed = ::fsync(file) == 0 || errno == EINVAL;  // EINVAL: a pipe or a device
  const int cause = errno;
  ::close(file);
  errno = cause;
  if (!flushed) fail("flushing");
}

}  // namespace

BadVideos::BadVideos(std::string journal, int64_t videos, double max_share, const std::vector<std::string>& others)
    : journal_(std::move(journal)), videos_(videos), max_share_(max_share) {
  replay(journal_);
  for (const std::string& other : others) replay(other);
  if (!paths_.empty()) require_below_limit(journal_, "replayed");
}

void BadVideos::replay(const std::string& journal) {
  if (journal.empty() || ::access(journal.c_str(), F_OK) != 0) return;
  const std::vector<std::string> lines = split_lines(read_text_file(journal));
  for (size_t i = 0; i < lines.size(); ++i) {
    if (trim(lines[i]).empty()) continue;
    const auto entry = nlohmann::json::parse(lines[i], nullptr, false);
    const auto whole = [&entry](const char* key) { return entry.contains(key) && entry[key].is_number_integer(); };
    if (!entry.is_object() || !whole("epoch") || !whole("position") || !whole("attempt") || !entry.contains("path")) {
      log::warning(journal, ":", i + 1,
                   ": this line is damaged and was skipped (the run was stopped while writing it)");
      continue;
    }
    known_.emplace(entry["epoch"].get<uint64_t>(), entry["position"].get<int64_t>(), entry["attempt"].get<int64_t>());
    paths_.insert(dump(entry["path"]));
  }
}

bool BadVideos::known(uint64_t epoch, int64_t position, int64_t attempt) const {
  const std::lock_guard lock(mutex_);
  return known_.contains({epoch, position, attempt});
}

void BadVideos::report(const StreamPlace& place, int64_t attempt, const VideoRecord& record, const std::string& cause) {
  const std::lock_guard lock(mutex_);
  if (!known_.emplace(place.epoch, place.position, attempt).second) return;
  if (!journal_.empty()) {
    nlohmann::ordered_json entry;
    entry["epoch"] = place.epoch;
    entry["position"] = place.position;
    entry["attempt"] = attempt;
    entry["path"] = record.path;
    entry["cause"] = cause;
    append_line(journal_, entry.dump(-1, ' ', false, nlohmann::json::error_handler_t::replace));
  }
  const std::string path = dump(record.path);
  const bool first = paths_.insert(path).second;
  if (first) fresh_ += path + "\n";
  const std::string line =
      cat(record.path, ": ", cause, "; the sample was replaced (bad videos so far: ", count_text(std::ssize(paths_)),
          " of ", count_text(videos_), ")");
  log::write(first ? log::Level::warning : log::Level::debug, line);  // named once, not once an epoch
  require_below_limit(record.path, cause);
}

int64_t BadVideos::count() const {
  const std::lock_guard lock(mutex_);
  return std::ssize(paths_);
}

std::string BadVideos::newly_bad() {
  const std::lock_guard lock(mutex_);
  return std::exchange(fresh_, "");
}

void BadVideos::learn(const std::vector<std::string>& newly_bad_of_all) {
  const std::lock_guard lock(mutex_);
  std::string last;
  for (const std::string& text : newly_bad_of_all) {
    for (const std::string& path : split_lines(text)) {
      if (!path.empty()) paths_.insert(last = path);
    }
  }
  if (!last.empty()) require_below_limit(last, "found by one of the ranks");
}

void BadVideos::require_below_limit(const std::string& path, const std::string& cause) const {
  const auto bad = std::ssize(paths_);
  const int64_t most = most_bad(videos_, max_share_);
  if (bad <= most) return;
  throw DataError(cat(count_text(bad), " of ", count_text(videos_), " videos are bad, and data.max_bad = ",
                      number_text(max_share_), " allows ", count_text(most), " (the last: ", path, ": ", cause,
                      "); repair or leave out the videos named above, or raise data.max_bad"));
}

}  // namespace cstp
