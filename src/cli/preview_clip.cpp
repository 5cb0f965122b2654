#include "preview_clip.h"

#include <algorithm>
#include <cmath>
#include <filesystem>
#include <vector>

#include "cstp/augment/render.h"
#include "cstp/core/text.h"
#include "cstp/video/picture.h"
#include "cstp/video/video_writer.h"

namespace cstp {
namespace {

constexpr int64_t kFewestFrames = 8;  // of very slow videos, where there are so many
constexpr int64_t kMostFrames = 64;   // bounds memory: frames are decoded together, at full size

/// The frames as one view of the whole picture, squeezed to S x S.
/// @return [T,S,S,3] bytes
std::vector<uint8_t> squeezed_frames(const Sample& sample, int64_t side) {
  ViewPlan whole;
  whole.frames = sample.frame_numbers;
  InputOptions unit;
  unit.range = "unit";
  std::vector<float> values(sample.frame_numbers.size() * static_cast<size_t>(side * side * 3));
  render_cpu(sample, whole, side, unit, values);
  std::vector<uint8_t> bytes(values.size());
  std::ranges::transform(values, bytes.begin(),
                         [](float value) { return static_cast<uint8_t>(std::lround(255 * value)); });
  return bytes;
}

Sample decoded_sample(const std::string& path, const PreviewOptions& options, PreviewFrames& frames) {
  VideoReader reader(path, options.reader);
  Sample sample;
  sample.video = reader.info();
  frames = preview_frames(sample.video, options);
  for (int64_t i = 0; i < frames.count; ++i) sample.frame_numbers.push_back(frames.first + i * frames.step);
  sample.frames = reader.read(sample.frame_numbers, [&](size_t bytes) {
    sample.memory.push_back(std::make_shared<uint8_t[]>(bytes));
    return sample.memory.back().get();
  });
  return sample;
}

}  // namespace

PreviewFrames preview_frames(const VideoInfo& video, const PreviewOptions& options) {
  const double fps = std::isfinite(video.fps) && video.fps > 0 ? video.fps : 25;
  PreviewFrames frames;
  frames.step = std::max<int64_t>(1, std::llround(fps / options.fps));
  frames.fps = std::clamp(fps / static_cast<double>(frames.step), 1.0, 60.0);
  const int64_t wanted = std::clamp(std::llround(options.seconds * frames.fps), static_cast<long long>(kFewestFrames),
                                    static_cast<long long>(kMostFrames));
  const int64_t there = (video.frames + frames.step - 1) / frames.step;
  frames.count = std::clamp<int64_t>(wanted, 1, std::max<int64_t>(1, there));
  frames.first = std::max<int64_t>(0, (video.frames - 1 - (frames.count - 1) * frames.step) / 2);
  return frames;
}

std::pair<int64_t, int64_t> preview_size(const VideoInfo& video, const PreviewOptions& options) {
  const auto width = static_cast<double>(std::max<int64_t>(1, video.width));
  const auto height = static_cast<double>(std::max<int64_t>(1, video.height));
  const double scale = std::min({1.0, static_cast<double>(options.short_side) / std::min(width, height),
                                 static_cast<double>(options.long_side) / std::max(width, height)});
  const auto even = [&](double side) { return std::max<int64_t>(16, 2 * std::llround(side * scale / 2)); };
  return {even(width), even(height)};
}

std::string preview_name(const std::string& path, const PreviewOptions& options) {
  std::error_code missing;
  const auto size = std::filesystem::file_size(path, missing);
  const auto time = std::filesystem::last_write_time(path, missing);
  return hex_text(fingerprint(cat(path, '\0', size, ' ', time.time_since_epoch().count(), ' ', options.short_side, ' ',
                                  options.long_side, ' ', options.seconds, ' ', options.fps)));
}

void write_preview(const std::string& path, const std::string& base, const PreviewOptions& options) {
  PreviewFrames frames;
  const Sample sample = decoded_sample(path, options, frames);
  const auto [width, height] = preview_size(sample.video, options);
  const int64_t side = std::max(width, height);
  const std::vector<uint8_t> bytes = squeezed_frames(sample, side);
  const auto frame_bytes = static_cast<size_t>(side * side * 3);
  VideoWriter writer(base + ".mp4", {.width = width, .height = height, .fps = frames.fps, .quality = 26, .gop = 60});
  Picture picture(width, height);
  std::string still;
  for (int64_t i = 0; i < frames.count; ++i) {
    picture.paste_scaled(std::span(bytes).subspan(static_cast<size_t>(i) * frame_bytes, frame_bytes), side, side, 0, 0,
                         width, height);
    writer.write(picture.rgb());
    if (i == frames.count / 2) still = picture.jpeg(80);
  }
  writer.finish();
  write_file_atomically(base + ".jpg", still);
}

}  // namespace cstp
