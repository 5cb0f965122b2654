/// Training runs of the loader over videos that exist only here: a path says how many frames there are and what is
/// wrong with them ("good3", "broken0", "torn8").
#pragma once
#include <gtest/gtest.h>

#include <algorithm>
#include <atomic>
#include <chrono>
#include <string>
#include <thread>
#include <vector>

#include "cstp/core/error.h"
#include "cstp/core/text.h"
#include "cstp/data/clip_loader.h"
#include "cstp/sampling/draw.h"

namespace cstp {

inline constexpr size_t kBytes = 64;  // of a frame

/// What frame `number` of `path` holds.
inline uint8_t pixel(const std::string& path, int64_t number) {
  return static_cast<uint8_t>(fingerprint(cat(path, "#", number)));
}

struct FakeVideos {
  std::atomic<int64_t> opened{0};

  OpenVideo open(const std::string& path, const ReaderOptions&) {
    ++opened;
    if (path.starts_with("broken")) throw DecodeError(path + ": no video stream");
    if (path.starts_with("bug")) throw std::logic_error("a bug in opening " + path);
    if (path.starts_with("slow")) std::this_thread::sleep_for(std::chrono::milliseconds(5));
    OpenVideo video;
    video.info = {.frames = path.starts_with("short") ? 3 : 100, .fps = 25, .width = 8, .height = 4, .seconds = 4};
    video.read = [path](std::span<const int64_t> frames, const FrameMemory& memory) {
      if (path.starts_with("torn") && frames.back() > 50)
        throw DecodeError(cat(path, ": frame ", frames.back(), " could not be decoded"));
      std::vector<Frame> result;
      for (const int64_t number : frames) {
        uint8_t* bytes = memory(kBytes);
        std::fill_n(bytes, kBytes, pixel(path, number));
        result.push_back({.y = bytes, .u = bytes, .v = bytes, .y_stride = 8, .uv_stride = 4, .width = 8, .height = 4});
      }
      return result;
    };
    return video;
  }
};

inline SamplePlan random_clip(const VideoInfo& info, Rng& rng) {
  if (info.frames < 8) throw DataError(cat("the video has ", info.frames, " frames"));
  SamplePlan plan;
  plan.views.resize(2);
  for (ViewPlan& view : plan.views) draw_window(info, 4, 2, rng, view);
  return plan;
}

/// A training run over made-up videos.
struct LoaderRun {
  FakeVideos videos;
  Dataset dataset;
  EpochOrder order;
  BadVideos bad;
  ClipLoader::Setup setup;

  LoaderRun(const std::vector<std::string>& paths, int64_t samples, int64_t batch, int64_t workers,
            const std::string& journal = "", double max_bad = 0.5)
      : order(11, std::ssize(paths), batch), bad(journal, std::ssize(paths), max_bad) {
    for (const std::string& path : paths) dataset.videos.push_back({path, std::ssize(dataset.videos) % 3});
    setup.dataset = &dataset;
    setup.plan = random_clip;
    setup.place = [this](int64_t n) { return order.at(n); };
    setup.replacement = [this](const StreamPlace& at, int64_t attempt) { return order.replacement(at, attempt); };
    setup.bad = &bad;
    setup.seed = 11;
    setup.last = samples;
    setup.batch = batch;
    setup.options.workers = workers;
    setup.open = [this](const std::string& path, const ReaderOptions& options) { return videos.open(path, options); };
  }
  std::vector<Sample> all() {
    ClipLoader loader(setup);
    std::vector<Sample> samples;
    for (Batch batch = loader.next(); !batch.empty(); batch = loader.next()) {
      for (Sample& sample : batch) samples.push_back(std::move(sample));
    }
    return samples;
  }
};

inline void expect_equal(const std::vector<Sample>& a, const std::vector<Sample>& b) {
  ASSERT_EQ(a.size(), b.size());
  for (size_t i = 0; i < a.size(); ++i) {
    EXPECT_EQ(a[i].plan, b[i].plan) << "sample " << i;
    EXPECT_EQ(a[i].record, b[i].record) << "sample " << i;
    EXPECT_EQ(a[i].position, b[i].position);
    EXPECT_EQ(a[i].attempt, b[i].attempt);
    EXPECT_EQ(a[i].label, b[i].label);
    ASSERT_EQ(a[i].frame_numbers, b[i].frame_numbers);
    for (size_t f = 0; f < a[i].frames.size(); ++f) EXPECT_EQ(a[i].frames[f].y[0], b[i].frames[f].y[0]);
  }
}

inline std::vector<std::string> good_videos(int count, const std::string& name = "good") {
  std::vector<std::string> paths;
  for (int i = 0; i < count; ++i) paths.push_back(cat(name, i));
  return paths;
}

/// Every fourth cannot be opened, read or planned.
inline std::vector<std::string> mixed_videos(int count) {
  std::vector<std::string> paths = good_videos(count);
  const char* trouble[] = {"broken", "short", "torn"};
  for (size_t i = 0; i < paths.size(); i += 4) paths[i] = cat(trouble[i / 4 % 3], i);
  return paths;
}

}  // namespace cstp
