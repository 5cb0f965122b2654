#include "contact_sheet.h"

#include <algorithm>
#include <array>
#include <cmath>
#include <cstdio>
#include <filesystem>
#include <mutex>

#include "cstp/augment/render.h"
#include "cstp/core/error.h"
#include "cstp/core/text.h"
#include "cstp/data/clip_loader.h"
#include "cstp/engine/features.h"
#include "cstp/sampling/overlap_pair.h"

namespace cstp {
namespace {

constexpr int64_t kFrameHeight = 150;  // source frames
constexpr int64_t kThumb = 72;         // frames of a view
constexpr int64_t kThumbs = 8;         // shown of a view's T frames
constexpr int64_t kMargin = 10;
constexpr int64_t kFrameRoom = 230;  // widest source frame
constexpr int64_t kRowHeight = kFrameHeight + 64;
constexpr int64_t kWidth = 2 * (kFrameRoom + kMargin) + kThumbs * (kThumb + 2) + 2 * kMargin;
constexpr std::array<Color, 2> kClipColors = {Color{214, 60, 40}, Color{30, 100, 200}};
constexpr Color kInk{30, 30, 30};
constexpr Color kFaint{200, 200, 200};

std::string fixed_text(double value) {
  std::array<char, 16> text{};
  std::snprintf(text.data(), text.size(), "%.2f", value);
  return text.data();
}

std::string label_line(const SamplePlan& plan) {
  if (!plan.overlap) return cat(plan.views.size(), " views");
  const OverlapLabels& labels = *plan.overlap;
  return cat("spatial overlap ", fixed_text(labels.spatial_overlap), " (class ", labels.spatial,
             ")   temporal overlap ", fixed_text(labels.temporal_overlap), " (class ", labels.temporal, ")   stride ",
             plan.views[0].stride, " (class ", labels.rate, ")   quarter turns ", labels.turns[0], ", ",
             labels.turns[1], labels.fallback ? "   fallback" : "");
}

void draw_source_frame(Picture& sheet, const Sample& sample, size_t which, int64_t x, int64_t y) {
  const ViewPlan& view = sample.plan.views[which];
  ViewPlan whole;  // the upright frame, squeezed to a square, then drawn in its own proportion
  whole.frames = {view.frames.front()};
  const int64_t side = 256;
  std::vector<uint8_t> rgb(static_cast<size_t>(side * side * 3));
  render_preview(sample, whole, side, 0, rgb);
  const double scale = std::min(static_cast<double>(kFrameHeight) / static_cast<double>(sample.video.height),
                                static_cast<double>(kFrameRoom) / static_cast<double>(sample.video.width));
  const auto width = static_cast<int64_t>(std::lround(scale * static_cast<double>(sample.video.width)));
  const auto height = static_cast<int64_t>(std::lround(scale * static_cast<double>(sample.video.height)));
  sheet.paste_scaled(rgb, side, side, x, y, width, height);
  const auto box = [&](const ViewPlan& of, Color color, int64_t thickness) {
    const CropBox crop = upright_crop(of);
    const auto at = [](double share, int64_t length) {
      return static_cast<int64_t>(std::lround(share * static_cast<double>(length)));
    };
    sheet.rectangle(x + at(crop.x, width), y + at(crop.y, height), at(crop.w, width), at(crop.h, height), color,
                    thickness);
  };
  for (size_t other = 0; other < std::min<size_t>(2, sample.plan.views.size()); ++other) {
    if (other != which) box(sample.plan.views[other], kClipColors[other], 1);
  }
  box(view, kClipColors[which], 3);
}

void draw_pair(Picture& sheet, const Sample& sample, const std::string& name, int64_t size, int64_t y) {
  sheet.text(kMargin, y, name, 0.45, kInk);
  sheet.text(kMargin, y + 18, label_line(sample.plan), 0.4, kInk);
  const int64_t top = y + 40;
  const int64_t thumbs_x = kMargin + 2 * (kFrameRoom + kMargin);
  for (size_t v = 0; v < std::min<size_t>(2, sample.plan.views.size()); ++v) {
    const ViewPlan& view = sample.plan.views[v];
    const auto index = static_cast<int64_t>(v);
    draw_source_frame(sheet, sample, v, kMargin + index * (kFrameRoom + kMargin), top);
    std::vector<uint8_t> rgb(static_cast<size_t>(size * size * 3));
    for (int64_t i = 0; i < kThumbs; ++i) {
      const auto frame = static_cast<size_t>(i * static_cast<int64_t>(view.frames.size()) / kThumbs);
      render_preview(sample, view, size, frame, rgb);
      sheet.paste_scaled(rgb, size, size, thumbs_x + i * (kThumb + 2), top + index * (kThumb + 6), kThumb, kThumb);
    }
    sheet.rectangle(thumbs_x - 3, top + index * (kThumb + 6) - 2, kThumbs * (kThumb + 2) + 4, kThumb + 4,
                    kClipColors[v], 2);
    // Time line: which frames of the video the clip spans.
    const double room =
        static_cast<double>(kWidth - 2 * kMargin) / static_cast<double>(std::max<int64_t>(1, sample.video.frames));
    const auto [low, high] = std::minmax_element(view.frames.begin(), view.frames.end());
    const int64_t line_y = top + kFrameHeight + 4 + index * 5;
    if (v == 0) sheet.fill(kMargin, line_y, kWidth - 2 * kMargin, 9, kFaint);
    sheet.fill(kMargin + static_cast<int64_t>(static_cast<double>(*low) * room), line_y,
               std::max<int64_t>(2, static_cast<int64_t>(static_cast<double>(*high - *low + 1) * room)), 4,
               kClipColors[v]);
  }
}

}  // namespace

Picture contact_sheet(const RunConfig& config, const Dataset& dataset, const Objective& objective, int64_t count) {
  const auto videos = static_cast<int64_t>(dataset.videos.size());
  if (videos == 0) throw DataError(cat(dataset.name, ": holds no videos; nothing to draw"));
  const EpochOrder order = training_order(config.data, dataset, static_cast<uint64_t>(config.seed), config.train.batch);
  Picture sheet(kWidth, count * kRowHeight + kMargin);
  int64_t drawn = 0;
  std::string cause;
  ClipLoader::Setup loading;
  loading.dataset = &dataset;
  loading.plan = [&](const VideoInfo& video, Rng& rng) { return objective.plan(as_seen(video, config.clip), rng); };
  loading.place = [&](int64_t n) { return order.at(n); };
  loading.finish = [&](Sample& sample) {  // one worker, so samples come here one by one and in order
    const std::string& path = dataset.videos[static_cast<size_t>(sample.record)].path;
    draw_pair(sheet, sample,
              cat(std::filesystem::path(path).filename().string(), "   ", sample.video.width, "x", sample.video.height,
                  ", ", sample.video.frames, " frames"),
              config.clip.size, kMargin + drawn * kRowHeight);
    ++drawn;
  };
  loading.seed = static_cast<uint64_t>(config.seed);
  loading.last = count;
  loading.options = config.loader;
  loading.options.workers = 1;
  ClipLoader loader(std::move(loading));
  for (int64_t i = 0; i < count; ++i) {
    for (const Sample& sample : loader.next()) {
      if (!sample.error.empty()) cause = sample.error;
    }
  }
  if (drawn == 0) throw DataError(cat("no sample could be decoded; the last cause: ", cause));
  return sheet;
}

}  // namespace cstp
