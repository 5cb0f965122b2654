/// Scenes and views drawn on them by the methods' own laws and by none, for tests that walk over many.
#pragma once
#include <functional>
#include <map>
#include <string>
#include <vector>

#include "cstp/core/random.h"
#include "cstp/sampling/overlap_pair.h"
#include "cstp/sampling/view_recipe.h"
#include "made_frames.h"

namespace cstp {

/// Ramps with noise on them, by whole numbers alone: the same bytes on every machine.
inline Picture textured_picture(int64_t width, int64_t height, uint64_t seed) {
  Rng rng(seed);
  const auto plane = [&rng](int64_t low, int64_t right, int64_t down) {
    return [&rng, low, right, down](int64_t x, int64_t y) {
      return static_cast<int>(low + (right * x + down * y) / 16 % 120 + rng.integer(0, 60));
    };
  };
  return made_picture(width, height, plane(20, 17, 9), plane(40, 30, -11), plane(45, -23, 26));
}

struct Scene {
  Sample sample;
  VideoInfo video;
};

inline Scene scene(int64_t width, int64_t height, uint64_t seed) {
  std::vector<Picture> pictures;
  for (uint64_t t = 0; t < 3; ++t) pictures.push_back(textured_picture(width, height, 10 * seed + t));
  for (Picture& picture : pictures) {
    picture.matrix = seed % 3 == 1 ? ColorMatrix::bt709 : ColorMatrix::bt601;
    picture.range = seed % 4 == 1 ? ColorRange::full : ColorRange::limited;
    picture.quarter_turns = seed % 5 == 1 ? 1 : 0;
  }
  const bool turned = seed % 5 == 1;
  return {
      made_sample(pictures, {.padding = static_cast<int64_t>(seed % 3), .interleaved = seed % 4 == 2}),
      {.frames = 300, .fps = 25, .width = turned ? height : width, .height = turned ? width : height, .seconds = 12}};
}

using Draw = std::function<ViewPlan(const VideoInfo&, const std::vector<int64_t>&, int64_t, Rng&)>;

inline ViewPlan bare_view(const std::vector<int64_t>& frames) {
  ViewPlan view;
  view.frames = frames;
  return view;
}

/// One view of CVRL's.
inline Draw recipe(const std::string& name, int64_t index, const std::string& border) {
  return [=](const VideoInfo& video, const std::vector<int64_t>& frames, int64_t size, Rng& rng) {
    ViewRecipeOptions options;
    options.recipe = name;
    options.blur_border = border;
    ViewPlan view = bare_view(frames);
    draw_recipe_view(video, options, index, size, rng, view);
    return view;
  };
}

/// One of CSTP's two clips, always with the strong colours.
inline Draw overlapping(const std::string& preset) {
  return [=](const VideoInfo& video, const std::vector<int64_t>& frames, int64_t, Rng& rng) {
    OverlapPairOptions options;
    options.preset = preset;
    ViewPlan view = draw_overlap_pair(video, options, rng).views[static_cast<size_t>(rng.integer(0, 1))];
    view.frames = frames;
    draw_color({.strong = 1}, rng, view);
    return view;
  };
}

/// Everything a plan can hold, with no law behind it.
inline ViewPlan any_view(const VideoInfo&, const std::vector<int64_t>& frames, int64_t, Rng& rng) {
  ViewPlan view = bare_view(frames);
  view.crop = {rng.uniform(-0.3, 0.6), rng.uniform(-0.3, 0.6), rng.uniform(0.05, 0.9), rng.uniform(0.05, 0.9)};
  view.flip = rng.chance(0.5);
  view.quarter_turns = static_cast<int>(rng.integer(0, 3));
  view.turn_before_crop = rng.chance(0.5);
  if (rng.chance(0.3)) view.tilt_degrees = rng.uniform(-90, 90);
  view.filter = static_cast<Filter>(rng.integer(0, 2));
  view.antialias = rng.chance(0.5);
  view.color.rule = static_cast<ColorRule>(rng.integer(0, 1));
  std::vector<ColorOp> ops = {ColorOp::brightness, ColorOp::contrast, ColorOp::saturation, ColorOp::hue};
  rng.shuffle(std::span<ColorOp>(ops));
  ops.resize(static_cast<size_t>(rng.integer(0, 4)));
  view.color.jitter = ops;
  view.color.brightness = rng.uniform(0, 2);
  view.color.contrast = rng.uniform(0, 2);
  view.color.saturation = rng.uniform(0, 2);
  view.color.hue = rng.uniform(-0.5, 0.5);
  view.color.grey = rng.chance(0.2);
  if (rng.chance(0.2)) {
    for (size_t t = 0; t < frames.size(); ++t)
      view.color.grey_channel.push_back(static_cast<int8_t>(rng.integer(0, 2)));
  }
  if (rng.chance(0.4)) view.color.blur_sigma = rng.uniform(0.1, 4);
  if (rng.chance(0.5)) view.color.blur_taps = 2 * rng.integer(0, 8) + 1;
  view.color.blur_border = static_cast<BlurBorder>(rng.integer(0, 1));
  if (rng.chance(0.2)) view.color.solarize = rng.uniform(0, 1);
  return view;
}

/// STS's: a square of the frame squeezed to 171 x 128.
inline ViewPlan squeezed_view(const VideoInfo&, const std::vector<int64_t>& frames, int64_t, Rng& rng) {
  ViewPlan view = bare_view(frames);
  const auto x = static_cast<double>(rng.integer(0, 59)), y = static_cast<double>(rng.integer(0, 16));
  view.crop = {x / 171, y / 128, 112.0 / 171, 112.0 / 128};
  view.flip = rng.chance(0.5);
  view.antialias = false;
  return view;
}

/// Evaluation's views, which have no colours.
inline ViewPlan grid_view(const VideoInfo& video, const std::vector<int64_t>& frames, int64_t, Rng& rng) {
  GridOptions grid = grid_of(grid_methods()[static_cast<size_t>(rng.integer(0, 2))]);
  grid.frames = 3;
  ViewPlan view = evaluation_plan(video, grid).views.front();
  view.frames = frames;
  return view;
}

inline const std::map<std::string, Draw>& draws() {
  static const std::map<std::string, Draw> all = {
      {"any", any_view},
      {"grid", grid_view},
      {"cvrl first", recipe("asymmetric", 0, "zero")},
      {"cvrl second", recipe("asymmetric", 1, "reflect")},
      {"cvrl symmetric", recipe("symmetric", 1, "zero")},
      {"cstp clean", overlapping("clean")},
      {"cstp released", overlapping("released")},
  };
  return all;
}

}  // namespace cstp
