#include <algorithm>
#include <atomic>
#include <exception>
#include <map>
#include <mutex>
#include <thread>

#include "cstp/core/error.h"
#include "cstp/core/text.h"
#include "cstp/data/pack.h"
#include "cstp/video/packed_path.h"
#include "cstp/video/video_reader.h"
#include "pack_journal.h"
#include "tar_file.h"

namespace cstp {
namespace {

/// The videos that the index has in one shard are those that stand in it.
void require_members(const std::string& path, const std::vector<const PackEntry*>& entries) {
  const std::vector<TarMember> members = list_tar(path);
  const auto wrong = [&](const std::string& what) {
    throw DataError(cat(path, ": does not fit the index (", what, "); it is damaged or of another pack"));
  };
  if (members.size() != 2 * entries.size())
    wrong(cat("it has ", members.size(), " members, wanted ", 2 * entries.size()));
  for (size_t i = 0; i < entries.size(); ++i) {
    const TarMember& video = members[2 * i];
    const std::string key = pack_key(entries[i]->video);
    if (video.name != key + ".mp4" || members[2 * i + 1].name != key + ".json")
      wrong(cat("member ", 2 * i, " is ", video.name, ", wanted ", key, ".mp4"));
    if (video.offset != entries[i]->offset || video.size != entries[i]->size)
      wrong(cat(video.name, " does not lie where the index says"));
  }
}

void require_video(const std::string& shard, const PackEntry& entry) {
  if (sum_of_range(shard, entry.offset, entry.size) != entry.sum) {
    throw DataError(cat(shard, ": the video ", pack_key(entry.video), " (", entry.path,
                        ") has not the bytes that were written; the shard was damaged: copy it from where it is whole, "
                        "or remove it and run the same `cstp data pack` again"));
  }
  const PackedPath path{.shard = shard, .offset = entry.offset, .size = entry.size, .name = entry.path};
  const int64_t frames = VideoReader(path.text(), {.deadline = 600}).info().frames;
  if (frames != entry.frames) {
    throw DataError(cat(path.text(), ": has ", frames, " frames, and the video that it was packed from has ",
                        entry.frames, "; please report this"));
  }
}

}  // namespace

void require_pack(const std::string& folder, const PackIndex& index, int64_t workers,
                  const std::function<void(int64_t, int64_t)>& progress) {
  std::map<int64_t, std::vector<const PackEntry*>> shards;
  std::vector<const PackEntry*> videos;
  for (const PackEntry& entry : index.entries) {
    if (!entry.bad.empty()) continue;
    shards[entry.shard].push_back(&entry);
    videos.push_back(&entry);
  }
  for (const auto& [shard, entries] : shards) require_members(pack_shard_path(folder, shard), entries);

  std::atomic<size_t> next = 0;
  std::mutex mutex;  // guards what follows
  std::exception_ptr failure;
  size_t failed = videos.size();  // the first in order is told, whatever the number of workers
  int64_t done = 0;
  const auto work = [&] {
    for (size_t mine = next++; mine < videos.size(); mine = next++) {
      std::exception_ptr error;
      try {
        require_video(pack_shard_path(folder, videos[mine]->shard), *videos[mine]);
      } catch (...) {
        error = std::current_exception();
      }
      const std::lock_guard lock(mutex);
      if (error && mine < failed) {
        failure = error;
        failed = mine;
        next = videos.size();
      }
      ++done;
      if (progress && !failure) progress(done, std::ssize(videos));
    }
  };
  const int64_t cores = std::max<int64_t>(1, std::thread::hardware_concurrency());
  const int64_t threads = std::min<int64_t>(workers > 0 ? workers : cores, std::ssize(videos));
  {
    std::vector<std::jthread> pool;
    for (int64_t i = 0; i < threads; ++i) pool.emplace_back(work);
  }
  if (failure) std::rethrow_exception(failure);
}

PackCheck verify_pack(const std::string& folder, int64_t workers,
                      const std::function<void(int64_t done, int64_t all)>& progress) {
  const PackIndex index = read_pack_index(folder);
  require_pack(folder, index, workers, progress);
  PackCheck check;
  for (const PackEntry& entry : index.entries) {
    check.bad += !entry.bad.empty();
    if (!entry.bad.empty()) continue;
    ++check.videos;
    check.frames += entry.frames;
    check.shards = std::max(check.shards, entry.shard + 1);
  }
  for (int64_t shard = 0; shard < check.shards; ++shard) check.bytes += pack_file_size(pack_shard_path(folder, shard));
  return check;
}

}  // namespace cstp
