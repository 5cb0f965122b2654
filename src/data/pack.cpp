#include "cstp/data/pack.h"

#include <algorithm>
#include <exception>
#include <filesystem>
#include <optional>
#include <system_error>

#include "cstp/core/error.h"
#include "cstp/core/log.h"
#include "cstp/core/text.h"
#include "formats.h"
#include "pack_journal.h"
#include "pack_plan.h"
#include "repack_stream.h"
#include "tar_file.h"

namespace cstp {
namespace {

namespace fs = std::filesystem;

/// Shards one after another; the journal says what is in them.
class Shards {
 public:
  Shards(const PackSetup& setup, PackJournal& journal)
      : folder_(setup.folder), most_(setup.settings.shard_mb << 20), journal_(journal), shard_(journal.shard()) {
    tar_.emplace(pack_part_path(folder_, shard_), journal.end());
  }

  void add(PackEntry entry, const std::string& video, const std::string& description) {
    const int64_t bytes = tar_member_bytes(std::ssize(video)) + tar_member_bytes(std::ssize(description));
    if (tar_->bytes() > 0 && tar_->bytes() + bytes + kTarEndBytes > most_) {
      close();
      tar_.emplace(pack_part_path(folder_, ++shard_), 0);
    }
    entry.shard = shard_;
    entry.size = std::ssize(video);
    entry.sum = fingerprint(video);
    const std::string key = pack_key(entry.video);
    entry.offset = tar_->add(key + ".mp4", video);
    tar_->add(key + ".json", description);
    entry.end = tar_->bytes();
    journal_.add(entry);
  }

  /// The shard under way gets its name once it is whole and on the disk.
  void close() {
    tar_->finish();
    tar_.reset();
    const std::string path = pack_shard_path(folder_, shard_);
    std::error_code error;
    fs::rename(pack_part_path(folder_, shard_), path, error);
    if (error) throw DataError(cat(path, ": cannot be given its name (", error.message(), ")"));
    journal_.flush();
  }

 private:
  const std::string& folder_;
  int64_t most_;
  PackJournal& journal_;
  int64_t shard_;
  std::optional<TarWriter> tar_;
};

/// Counts what is bad, and ends the call when it is too much.
class BadCount {
 public:
  BadCount(int64_t videos, double max_bad)
      : videos_(videos),
        max_bad_(max_bad),
        most_(max_bad > 0 ? std::max<int64_t>(1, static_cast<int64_t>(max_bad * static_cast<double>(videos))) : 0) {}

  void add(const std::string& path, const std::string& cause) {
    ++bad_;
    if (bad_ <= most_) return;
    throw DataError(cat(count_text(bad_), " of ", count_text(videos_), " videos are bad, and data.max_bad = ",
                        number_text(max_bad_), " allows ", count_text(most_), " (the last: ", path, ": ", cause,
                        "); repair or leave out the videos named above, or raise data.max_bad"));
  }

 private:
  int64_t videos_, bad_ = 0;
  double max_bad_;
  int64_t most_;
};

std::string without_path(const std::string& cause, const std::string& path) {
  const std::string prefix = path + ": ";
  return cause.starts_with(prefix) ? cause.substr(prefix.size()) : cause;
}

void require_settings(const PackSettings& settings) {
  check(settings.short_side >= 16 && settings.short_side % 2 == 0 && settings.gop >= 1 && settings.shard_mb >= 1 &&
            settings.quality >= 0 && settings.quality <= 51,
        "pack_videos: settings outside their ranges");
}

/// Packs the videos that the journal does not have. @return false if it was told to stop before the last
bool pack_rest(const PackSetup& setup, const PackPlan& plan, BadCount& bad, Shards& shards, PackJournal& journal,
               PackResult& result) {
  const int64_t first = std::ssize(journal.entries());
  RepackStream stream(setup, plan.paths(), first);
  for (int64_t n = first; n < result.videos; ++n) {
    const std::optional<RepackStream::Item> item = stream.take();
    if (!item) return false;
    if (item->failure) std::rethrow_exception(item->failure);
    const std::string& path = plan.paths()[static_cast<size_t>(n)];
    PackEntry entry{.video = n, .path = plan.name(n), .source_bytes = pack_file_size(path)};
    if (item->video) {
      entry.frames = item->video->source.frames;
      shards.add(entry, item->video->bytes, plan.description(n, *item->video));
      ++result.made;
    } else {
      entry.bad = without_path(item->bad, path);
      log::warning(item->bad, "; it is left out of the pack");
      journal.add(entry);
      bad.add(path, entry.bad);
    }
    if (setup.progress) setup.progress(n + 1, result.videos);
  }
  if (result.made + result.kept == 0) throw DataError(cat(setup.folder, ": none of the videos could be packed"));
  return true;
}

}  // namespace

PackResult pack_videos(const PackSetup& setup) {
  require_settings(setup.settings);
  const PackPlan plan(setup);
  const std::vector<std::string>& paths = plan.paths();
  PackJournal journal(setup.folder, plan.head(), paths);
  PackResult result{.videos = std::ssize(paths)};
  result.kept = std::ranges::count_if(journal.entries(), [](const PackEntry& entry) { return entry.bad.empty(); });

  BadCount bad(result.videos, setup.max_bad);
  for (const PackEntry& entry : journal.entries()) {
    if (!entry.bad.empty()) bad.add(entry.path, entry.bad);
  }
  if (!journal.finished()) {
    Shards shards(setup, journal);
    result.stopped = !pack_rest(setup, plan, bad, shards, journal, result);
    if (!result.stopped) {
      shards.close();
      require_pack(setup.folder, {plan.head(), journal.entries()}, setup.workers, {});
      journal.finish();
      result.verified = true;
    }
  }
  for (const PackEntry& entry : journal.entries()) {
    if (!entry.bad.empty()) {
      result.bad.push_back({entry.path, entry.bad});
      continue;
    }
    result.frames += entry.frames;
    result.bytes_before += entry.source_bytes;
    result.shards = std::max(result.shards, entry.shard + 1);
  }
  for (int64_t shard = 0; shard < result.shards; ++shard)
    result.bytes_after += pack_file_size(pack_shard_path(setup.folder, shard));
  result.bytes_after += pack_file_size(path_in(setup.folder, kPackIndex));
  return result;
}

}  // namespace cstp
