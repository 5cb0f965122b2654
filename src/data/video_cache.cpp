#include "video_cache.h"

#include <cstring>
#include <iterator>
#include <numeric>
#include <utility>
#include <vector>

#include "cstp/core/error.h"

namespace cstp {

/// All frames of a video.
struct VideoCache::Video {
  struct Block {
    std::shared_ptr<uint8_t[]> bytes;
    size_t size = 0;
  };
  VideoInfo info;
  std::vector<Frame> frames;               ///< their planes lie in `blocks`
  std::map<const uint8_t*, Block> blocks;  ///< by address

  explicit Video(OpenVideo& opened) : info(opened.info) {
    std::vector<int64_t> all(static_cast<size_t>(info.frames));
    std::iota(all.begin(), all.end(), int64_t{0});
    frames = opened.read(all, [this](size_t size) {
      const auto bytes = std::make_shared_for_overwrite<uint8_t[]>(size);
      blocks[bytes.get()] = {bytes, size};
      return bytes.get();
    });
    check(frames.size() == all.size(), "the reader gave another number of frames than it was asked for");
  }

  /// Copies, in the caller's memory; equal numbers share their planes, as a reader's do.
  std::vector<Frame> read(std::span<const int64_t> numbers, const FrameMemory& memory) const {
    std::vector<Frame> copies;
    copies.reserve(numbers.size());
    for (size_t i = 0; i < numbers.size(); ++i) {
      if (i > 0 && numbers[i] == numbers[i - 1]) {
        copies.push_back(copies.back());
        continue;
      }
      const Frame& kept = frames[static_cast<size_t>(numbers[i])];
      const auto& [start, block] = *std::prev(blocks.upper_bound(kept.y));
      uint8_t* bytes = memory(block.size);
      std::memcpy(bytes, start, block.size);
      Frame& copy = copies.emplace_back(kept);
      copy.y = bytes + (kept.y - start);
      copy.u = bytes + (kept.u - start);
      copy.v = bytes + (kept.v - start);
    }
    return copies;
  }
};

OpenVideo VideoCache::open(const std::string& path, const ReaderOptions& options) {
  bool too_bad = false;
  {
    const std::lock_guard lock(mutex_);
    const auto found = videos_.find(path);
    if (found != videos_.end() && found->second) return opened_from(found->second);
    too_bad = found != videos_.end();
  }
  OpenVideo opened = open_(path, options);
  if (too_bad) return opened;
  // Decoded when frames are first asked for, so that its time counts as decoding.
  return {.info = opened.info,
          .read = [this, path, options, opened](
                      std::span<const int64_t> numbers,
                      const FrameMemory& memory) { return keep(path, options, opened).read(numbers, memory); },
          .read_on_gpu = {}};  // what is kept is kept for the CPU
}

OpenVideo VideoCache::opened_from(const std::shared_ptr<const Video>& video) {
  return {.info = video->info,
          .read = [video](std::span<const int64_t> numbers,
                          const FrameMemory& memory) { return video->read(numbers, memory); },
          .read_on_gpu = {}};
}

OpenVideo VideoCache::keep(const std::string& path, const ReaderOptions& options, OpenVideo opened) {
  const int64_t bytes = opened.info.frames * opened.info.width * opened.info.height * 3 / 2;
  if (!reserve(bytes)) return opened;
  std::shared_ptr<const Video> video;
  try {
    video = std::make_shared<const Video>(opened);
  } catch (const DataError&) {  // the frames that a sample wants may decode all the same
    give_back(bytes);
  }
  bool is_first = false;  // another worker may have been at the same video
  {
    const std::lock_guard lock(mutex_);
    is_first = videos_.emplace(path, video).second;
  }
  if (!video) return open_(path, options);
  if (!is_first) give_back(bytes);
  return opened_from(video);
}

bool VideoCache::reserve(int64_t bytes) {
  const std::lock_guard lock(mutex_);
  if (bytes > limit_ / 16 || used_ + bytes > limit_) return false;
  used_ += bytes;
  return true;
}

void VideoCache::give_back(int64_t bytes) {
  const std::lock_guard lock(mutex_);
  used_ -= bytes;
}

}  // namespace cstp
