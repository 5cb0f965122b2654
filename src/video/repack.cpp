#include "cstp/video/repack.h"

#include <algorithm>
#include <cmath>
#include <memory>
#include <numeric>
#include <optional>
#include <tuple>
#include <vector>

#include "cstp/core/error.h"
#include "cstp/core/text.h"
#include "cstp/video/video_reader.h"
#include "memory_mp4.h"
#include "plane_scale.h"

namespace cstp {
namespace {

/// One video on its way.
class Repack {
 public:
  Repack(const std::string& path, const RepackOptions& options)
      : path_(path), options_(options), reader_(path, {.deadline = options.deadline}) {}

  RepackedVideo run() {
    RepackedVideo result{.source = reader_.info()};
    std::tie(result.width, result.height) = repacked_size(result.source, options_.short_side);
    const int64_t frame_bytes = result.source.width * result.source.height * 3 / 2 + 1;
    const int64_t stretch = std::max<int64_t>(1, options_.stretch_bytes / frame_bytes);
    for (int64_t first = 0; first < result.source.frames; first += stretch) {
      if (options_.stop && options_.stop()) throw RepackStopped{};
      add_stretch(first, std::min(stretch, result.source.frames - first), result);
    }
    result.bytes = mp4_->finish();
    return result;
  }

 private:
  void add_stretch(int64_t first, int64_t count, const RepackedVideo& result) {
    std::vector<int64_t> numbers(static_cast<size_t>(count));
    std::iota(numbers.begin(), numbers.end(), first);
    std::vector<std::unique_ptr<uint8_t[]>> memory;
    const std::vector<Frame> frames = reader_.read(numbers, [&memory](size_t bytes) {
      memory.push_back(std::make_unique_for_overwrite<uint8_t[]>(bytes));
      return memory.back().get();
    });
    for (int64_t i = 0; i < count; ++i) add(frames[static_cast<size_t>(i)], first + i, result);
  }

  void add(const Frame& frame, int64_t number, const RepackedVideo& result) {
    if (!mp4_) {
      matrix_ = frame.matrix;
      range_ = frame.range;
      mp4_.emplace(path_, MemoryMp4Options{.width = result.width,
                                           .height = result.height,
                                           .fps = result.source.fps,
                                           .gop = options_.gop,
                                           .quality = options_.quality,
                                           .matrix = matrix_,
                                           .range = range_});
    }
    if (frame.matrix != matrix_ || frame.range != range_) {
      throw DecodeError(cat(path_, ": frame ", number,
                            " codes its colours in another way than the first one does, which a packed video cannot"));
    }
    scale_upright(frame, result.width, result.height, mp4_->picture());
    mp4_->write();
  }

  const std::string& path_;
  const RepackOptions& options_;
  VideoReader reader_;
  std::optional<MemoryMp4> mp4_;
  ColorMatrix matrix_ = ColorMatrix::bt601;
  ColorRange range_ = ColorRange::limited;
};

}  // namespace

std::pair<int64_t, int64_t> repacked_size(const VideoInfo& source, int64_t short_side) {
  check(source.width > 0 && source.height > 0 && short_side > 0, "repacked_size: no size");
  const auto even = [](double side) { return std::max<int64_t>(2, 2 * std::llround(side / 2)); };
  const auto even_below = [](int64_t side) { return std::max<int64_t>(2, side / 2 * 2); };
  const int64_t shorter = std::min(source.width, source.height);
  if (shorter <= short_side) return {even_below(source.width), even_below(source.height)};
  const double scale = static_cast<double>(short_side) / static_cast<double>(shorter);
  return {even(static_cast<double>(source.width) * scale), even(static_cast<double>(source.height) * scale)};
}

RepackedVideo repack_video(const std::string& path, const RepackOptions& options) {
  return Repack(path, options).run();
}

}  // namespace cstp
