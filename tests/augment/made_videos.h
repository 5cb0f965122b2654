/// A training run's loader over videos of noise that are made when they are read.
#pragma once
#include <string>
#include <vector>

#include "cstp/augment/view_stream.h"
#include "cstp/core/text.h"
#include "cstp/data/clip_loader.h"
#include "drawn_views.h"

namespace cstp {

inline constexpr int64_t kMadeFrames = 12;

/// Pictures of video `path`, of a size of its own.
inline std::vector<Picture> made_video(const std::string& path) {
  const uint64_t seed = fingerprint(path);
  const auto width = static_cast<int64_t>(70 + seed % 50), height = static_cast<int64_t>(60 + seed / 64 % 40);
  std::vector<Picture> pictures;
  for (int64_t t = 0; t < kMadeFrames; ++t)
    pictures.push_back(noisy_picture(width, height, static_cast<uint32_t>(seed + static_cast<uint64_t>(t))));
  return pictures;
}

inline OpenVideo open_made_video(const std::string& path, const ReaderOptions&) {
  const Sample all = made_sample(made_video(path));
  const Frame& first = all.frames.front();
  OpenVideo video;
  video.info = {.frames = kMadeFrames, .fps = 25, .width = first.width, .height = first.height, .seconds = 0.5};
  video.read = [all](std::span<const int64_t> numbers, const FrameMemory& memory) {
    std::vector<Frame> frames;
    for (const int64_t number : numbers) {
      Frame frame = all.frame(number);
      const int64_t luma = frame.y_stride * frame.height, chroma = frame.uv_stride * frame.chroma_height();
      uint8_t* bytes = memory(static_cast<size_t>(luma + 2 * chroma));
      std::copy_n(frame.y, luma + 2 * chroma, bytes);
      frame.y = bytes;
      frame.u = bytes + luma;
      frame.v = bytes + luma + chroma;
      frames.push_back(frame);
    }
    return frames;
  };
  return video;
}

/// Two views of CVRL's recipe on three frames, and a target for each.
struct MadeRun {
  Dataset dataset;
  ClipLoader::Setup setup;

  MadeRun(int64_t samples, int64_t batch, int64_t size) {
    for (int64_t i = 0; i < 7; ++i) dataset.videos.push_back({cat("video", i), i});
    setup.dataset = &dataset;
    setup.plan = [size](const VideoInfo& info, Rng& rng) {
      SamplePlan plan;
      for (int64_t v = 0; v < 2; ++v) {
        ViewPlan view;
        draw_window(info, 3, 2, rng, view);
        draw_recipe_view(info, {}, v, size, rng, view);
        plan.views.push_back(view);
      }
      return plan;
    };
    setup.finish = [](Sample& sample) {
      sample.targets = {static_cast<float>(sample.position), static_cast<float>(sample.frames.front().y[0])};
    };
    setup.place = [](int64_t n) { return StreamPlace{.epoch = 0, .position = n, .record = n % 7}; };
    setup.last = samples;
    setup.batch = batch;
    setup.options.workers = 2;
    setup.open = open_made_video;
  }
};

}  // namespace cstp
