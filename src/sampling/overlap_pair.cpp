#include "cstp/sampling/overlap_pair.h"

#include <algorithm>
#include <cmath>
#include <optional>

#include "cstp/core/config.h"
#include "cstp/core/error.h"
#include "cstp/core/text.h"
#include "cstp/sampling/draw.h"
#include "pixel_box.h"

namespace cstp {
namespace {

constexpr int64_t kLastClass = static_cast<int64_t>(kOverlapLevels.size()) - 1;
/// A first crop that fits is found in one or two draws, except in frames longer than about 6:1, where none may exist.
constexpr int64_t kFirstCropTries = 100;

double level(int64_t overlap_class) { return kOverlapLevels[static_cast<size_t>(overlap_class)]; }

struct Starts {
  int64_t first = 0, second = 0;
  int64_t drawn = 0;
  bool fallback = false;
};

/// Starts of both clips among [0, starts-1]. Requires starts >= 1.
Starts draw_starts_clean(int64_t starts, int64_t span, int64_t tries, Rng& rng) {
  Starts result;
  result.drawn = rng.integer(0, kLastClass);
  const int64_t shift = temporal_shift(result.drawn, span, false);
  for (int64_t i = 0; i < tries; ++i) {
    result.first = rng.integer(0, starts - 1);
    result.second = result.first + (rng.chance(0.5) ? -shift : shift);
    if (result.second >= 0 && result.second < starts) return result;
  }
  result.second = result.first;
  result.fallback = true;
  return result;
}

Starts draw_starts_released(int64_t starts, int64_t span, Rng& rng) {
  Starts result;
  result.first = rng.integer(0, starts - 1);
  for (;;) {  // ends: class 0 always fits
    result.drawn = rng.integer(0, kLastClass);
    const int64_t shift = temporal_shift(result.drawn, span, true);
    result.second = result.first + (rng.chance(0.5) ? -shift : shift);
    if (result.second >= 0 && result.second < starts) return result;
  }
}

PixelBox draw_first_crop(int64_t width, int64_t height, const CropOptions& crop, Rng& rng) {
  for (int64_t i = 0; i < kFirstCropTries; ++i) {
    if (const auto box = try_crop(width, height, crop, rng)) return *box;
  }
  const int64_t side = std::min(width, height);
  return {rng.integer(0, width - side), rng.integer(0, height - side), side, side};
}

/// One draw of corner and overlap width; nothing if the second box leaves the width x height frame on a side that it
/// moves toward.
std::optional<PixelBox> try_second_box(const PixelBox& first, double gamma, int64_t width, int64_t height,
                                       bool released, Rng& rng) {
  const auto corner = static_cast<Corner>(rng.integer(0, 3));
  const int64_t overlap_w = rng.integer(least_overlap_width(first, gamma), first.w);
  int64_t overlap_h = overlap_height(first, gamma, overlap_w);
  if (!released) overlap_h = std::min(overlap_h, first.h);
  const PixelBox box = shifted_box(first, corner, overlap_w, overlap_h);
  const bool left = corner == Corner::left_top || corner == Corner::left_bottom;
  const bool top = corner == Corner::left_top || corner == Corner::right_top;
  const bool inside = (left ? box.x >= 0 : box.x + box.w <= width) && (top ? box.y >= 0 : box.y + box.h <= height);
  return inside ? std::optional(box) : std::nullopt;
}

struct Boxes {
  PixelBox first, second;
  int64_t drawn = 0;
  bool fallback = false;
};

Boxes draw_boxes_clean(int64_t width, int64_t height, const CropOptions& crop, int64_t tries, Rng& rng) {
  Boxes result;
  result.drawn = rng.integer(0, kLastClass);
  for (int64_t i = 0; i < tries; ++i) {
    result.first = draw_first_crop(width, height, crop, rng);
    if (const auto box = try_second_box(result.first, level(result.drawn), width, height, false, rng)) {
      result.second = *box;
      return result;
    }
  }
  result.second = result.first;
  result.fallback = true;
  return result;
}

/// The first box lies in its own turned frame (width x height); the second must fit the frame as clip 2 turns it.
Boxes draw_boxes_released(int64_t width, int64_t height, int64_t width2, int64_t height2, const CropOptions& crop,
                          Rng& rng) {
  Boxes result;
  result.first = draw_first_crop(width, height, crop, rng);
  for (;;) {  // ends: class 0 at the left top always fits
    result.drawn = rng.integer(0, kLastClass);
    if (const auto box = try_second_box(result.first, level(result.drawn), width2, height2, true, rng)) {
      result.second = *box;
      return result;
    }
  }
}

}  // namespace

void OverlapPairOptions::bind(Fields& f) {
  f.choice("preset", preset, {"clean", "released"}, "clean: labels uniform and true; released: the authors' code");
  f.integer("max_rate", max_rate, {.min = 0, .max = 3}, "largest playback rate class; the stride is 2^class");
  f.flag("rotation", rotation, "draw a quarter turn for each clip");
  f.number("crop_area_min", crop_area_min, {.min = 1e-3, .max = 1}, "smallest first crop, as a share of the frame");
  f.number("crop_area_max", crop_area_max, {.min = 1e-3, .max = 1},
           "largest first crop; 0.35 keeps the crop's size from telling the overlap");
  f.number("crop_ratio_min", crop_ratio_min, {.min = 0.05, .max = 20}, "smallest width / height of the first crop");
  f.number("crop_ratio_max", crop_ratio_max, {.min = 0.05, .max = 20}, "largest width / height of the first crop");
  f.integer("tries", tries, {.min = 1, .max = 100000}, "clean: placements tried for a class before class 0 is used");
  f.flag("released_packed", released_packed,
         "released: clip 2 reads clip 1's frames, as the authors' packed loaders do");
}

void OverlapPairOptions::validate(const std::string& path) const {
  const auto ordered = [&path](const char* name, double low, double high) {
    if (low > high) {
      throw ConfigError(cat(path, ": ", name, "_min is ", number_text(low), ", above ", name, "_max, which is ",
                            number_text(high), "; swap them or widen the range"));
    }
  };
  ordered("crop_area", crop_area_min, crop_area_max);
  ordered("crop_ratio", crop_ratio_min, crop_ratio_max);
  if (released_packed && preset != "released") {
    throw ConfigError(
        cat(path, ".released_packed: it imitates a defect of the released loaders and needs preset: released"));
  }
  if (frames < 2) throw ConfigError(cat(path, ": a clip of ", frames, " frames has no span; use at least 2"));
}

SamplePlan draw_overlap_pair(const VideoInfo& video, const OverlapPairOptions& options, Rng& rng) {
  check(options.frames >= 2, "draw_overlap_pair: a clip needs two frames");
  check(video.width > 0 && video.height > 0, "draw_overlap_pair: the frame is empty");
  if (video.frames < kShortestPairVideo) {
    throw DataError(cat("the video has ", video.frames, " frames, and a pair of clips needs at least ",
                        kShortestPairVideo, "; leave it out of the training list"));
  }
  const bool released = options.preset == "released";
  SamplePlan plan;
  plan.views.resize(2);
  ViewPlan& one = plan.views[0];
  ViewPlan& two = plan.views[1];
  OverlapLabels labels;

  if (options.fixed_stride == 0) {
    labels.rate = rng.integer(0, max_rate_class(video.frames, options.frames, options.max_rate));
  }
  one.stride = two.stride = options.fixed_stride > 0 ? options.fixed_stride : int64_t{1} << labels.rate;
  const int64_t span = clip_span(options.frames, one.stride);
  const int64_t starts = video.frames - span;
  Starts time;  // a video no longer than the span gives both clips the same wrapped frames, class 0
  if (starts > 0) {
    time = released ? draw_starts_released(starts, span, rng) : draw_starts_clean(starts, span, options.tries, rng);
  } else {
    time.fallback = !released;
  }
  if (options.released_packed && released) time.second = time.first;
  one.frames = clip_frames(time.first, options.frames, one.stride, video.frames);
  two.frames = clip_frames(time.second, options.frames, two.stride, video.frames);
  labels.temporal_overlap = temporal_overlap(one, two);
  labels.temporal = released ? time.drawn : overlap_class(labels.temporal_overlap);

  if (options.rotation) {
    for (int64_t& turns : labels.turns) turns = rng.integer(0, 3);
  }
  for (size_t i = 0; i < 2; ++i) {
    plan.views[i].quarter_turns = static_cast<int>(labels.turns[i]);
    plan.views[i].turn_before_crop = released;
    plan.views[i].filter = Filter::bicubic;
  }

  const CropOptions crop{options.crop_area_min, options.crop_area_max, options.crop_ratio_min, options.crop_ratio_max};
  const auto turned = [&](int64_t turns, int64_t even, int64_t odd) { return released && turns % 2 != 0 ? odd : even; };
  const int64_t width1 = turned(labels.turns[0], video.width, video.height);
  const int64_t height1 = turned(labels.turns[0], video.height, video.width);
  const int64_t width2 = turned(labels.turns[1], video.width, video.height);
  const int64_t height2 = turned(labels.turns[1], video.height, video.width);
  const Boxes boxes = released ? draw_boxes_released(width1, height1, width2, height2, crop, rng)
                               : draw_boxes_clean(width1, height1, crop, options.tries, rng);
  one.crop = relative_box(boxes.first, width1, height1);
  two.crop = relative_box(boxes.second, width2, height2);
  labels.spatial_overlap = spatial_overlap(upright_crop(one), upright_crop(two));
  labels.spatial = released ? boxes.drawn : overlap_class(labels.spatial_overlap);

  labels.fallback = time.fallback || boxes.fallback;
  plan.overlap = labels;
  return plan;
}

CropBox upright_crop(const ViewPlan& view) {
  const CropBox& box = view.crop;
  if (!view.turn_before_crop) return box;
  switch (((view.quarter_turns % 4) + 4) % 4) {  // counter-clockwise; undo them
    case 1: return {1 - box.y - box.h, box.x, box.h, box.w};
    case 2: return {1 - box.x - box.w, 1 - box.y - box.h, box.w, box.h};
    case 3: return {box.y, 1 - box.x - box.w, box.h, box.w};
    default: return box;
  }
}

int64_t max_rate_class(int64_t video_frames, int64_t frames, int64_t limit) {
  int64_t rate = 0;
  while (rate < limit && ((frames - 1) << (rate + 1)) <= video_frames) ++rate;
  return rate;
}

int64_t temporal_shift(int64_t overlap_class, int64_t span, bool released) {
  const double shift = (1.0 - level(overlap_class)) * static_cast<double>(span);
  return released ? static_cast<int64_t>(shift) : std::lround(shift);
}

int64_t least_overlap_width(const PixelBox& first, double gamma) {
  return std::max<int64_t>(1, static_cast<int64_t>(gamma * static_cast<double>(first.w)));
}

int64_t overlap_height(const PixelBox& first, double gamma, int64_t overlap_width) {
  return static_cast<int64_t>(gamma * static_cast<double>(first.w) * static_cast<double>(first.h) /
                              static_cast<double>(overlap_width));
}

PixelBox shifted_box(const PixelBox& first, Corner corner, int64_t overlap_width, int64_t overlap_height) {
  const int64_t dx = first.w - overlap_width;
  const int64_t dy = first.h - overlap_height;
  const bool left = corner == Corner::left_top || corner == Corner::left_bottom;
  const bool top = corner == Corner::left_top || corner == Corner::right_top;
  return {first.x + (left ? -dx : dx), first.y + (top ? -dy : dy), first.w, first.h};
}

}  // namespace cstp
