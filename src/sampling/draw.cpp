#include "cstp/sampling/draw.h"

#include <algorithm>
#include <cmath>

#include "crop_sampler.h"
#include "cstp/core/config.h"
#include "cstp/core/error.h"
#include "cstp/core/text.h"
#include "pixel_box.h"

namespace cstp {
namespace {

void require_ordered(const std::string& path, const char* name, double low, double high) {
  if (low > high) {
    throw ConfigError(cat(path, ": ", name, "_min is ", number_text(low), ", above ", name, "_max, which is ",
                          number_text(high), "; swap them or widen the range"));
  }
}

}  // namespace

std::vector<int64_t> clip_frames(int64_t start, int64_t frames, int64_t stride, int64_t video_frames) {
  check(frames >= 1 && stride >= 1 && start >= 0 && start < video_frames, "clip_frames: window outside the video");
  std::vector<int64_t> numbers;
  numbers.reserve(static_cast<size_t>(frames));
  int64_t at = start;
  for (int64_t t = 0; t < frames; ++t) {
    numbers.push_back(at);
    at += stride;
    if (at >= video_frames) at = 0;
  }
  return numbers;
}

void draw_window(const VideoInfo& video, int64_t frames, int64_t stride, Rng& rng, ViewPlan& view) {
  const int64_t starts = video.frames - clip_span(frames, stride);
  const int64_t start = starts > 0 ? rng.integer(0, starts - 1) : 0;
  view.frames = clip_frames(start, frames, stride, video.frames);
  view.stride = stride;
}

void CropOptions::bind(Fields& f) {
  f.number("area_min", area_min, {.min = 1e-4, .max = 1}, "smallest crop, as a share of the frame's area");
  f.number("area_max", area_max, {.min = 1e-4, .max = 1}, "largest crop, as a share of the frame's area");
  f.number("ratio_min", ratio_min, {.min = 0.05, .max = 20}, "smallest width / height of a crop");
  f.number("ratio_max", ratio_max, {.min = 0.05, .max = 20}, "largest width / height of a crop");
  f.choice("sampler", sampler, {"cstp", "height_uniform", "log_aspect"},
           "law of the crop: CSTP's, CVRL's (heights uniform) or torchvision's (log of the aspect uniform)");
}

void CropOptions::validate(const std::string& path) const {
  require_ordered(path, "area", area_min, area_max);
  require_ordered(path, "ratio", ratio_min, ratio_max);
}

std::optional<PixelBox> try_crop(int64_t width, int64_t height, const CropOptions& options, Rng& rng) {
  const double area = rng.uniform(options.area_min, options.area_max) * static_cast<double>(width * height);
  const double aspect = rng.uniform(options.ratio_min, options.ratio_max);
  int64_t w = std::max<int64_t>(1, std::lround(std::sqrt(area * aspect)));
  int64_t h = std::max<int64_t>(1, std::lround(std::sqrt(area / aspect)));
  if (rng.chance(0.5)) std::swap(w, h);
  if (w > width || h > height) return std::nullopt;
  const int64_t x = rng.integer(0, width - w);
  const int64_t y = rng.integer(0, height - h);
  return PixelBox{x, y, w, h};
}

CropBox draw_crop(const VideoInfo& video, const CropOptions& options, Rng& rng, int64_t tries) {
  if (options.sampler != "cstp") {
    const PixelBox box = options.sampler == "height_uniform"
                             ? height_uniform_crop(video.width, video.height, options, rng)
                             : log_aspect_crop(video.width, video.height, options, rng);
    return relative_box(box, video.width, video.height);
  }
  for (int64_t i = 0; i < tries; ++i) {
    if (const auto box = try_crop(video.width, video.height, options, rng)) {
      return relative_box(*box, video.width, video.height);
    }
  }
  return centre_crop(video, 1.0);
}

VideoInfo squeezed(VideoInfo video) {
  video.width = 171;
  video.height = 128;
  return video;
}

CropBox centre_crop(const VideoInfo& video, double share) {
  check(video.width > 0 && video.height > 0, "centre_crop: the frame is empty");
  const auto width = static_cast<double>(video.width);
  const auto height = static_cast<double>(video.height);
  const double side = share * std::min(width, height);
  const double w = side / width;
  const double h = side / height;
  return {(1 - w) / 2, (1 - h) / 2, w, h};
}

void ClipColorOptions::bind(Fields& f) {
  const NumberRange share{.min = 0, .max = 1};
  f.number("strong", strong, share, "probability that a view gets the strong recipe; otherwise only the flip");
  f.number("tilt_degrees", tilt_degrees, {.min = 0, .max = 180}, "strong: largest small rotation");
  f.number("jitter", jitter, share, "strong: probability of colour jitter");
  f.number("brightness", brightness, share, "factor uniform in [1-v, 1+v]");
  f.number("contrast", contrast, share, "factor uniform in [1-v, 1+v]");
  f.number("saturation", saturation, share, "factor uniform in [1-v, 1+v]");
  f.number("hue", hue, {.min = 0, .max = 0.5}, "shift uniform in [-v, v] turns");
  f.number("grey", grey, share, "strong: probability of copying one RGB channel, redrawn per frame, to all three");
  f.number("blur", blur, share, "strong: probability of a Gaussian blur");
  f.number("blur_sigma_min", blur_sigma_min, {.min = 0, .max = 100}, "smallest blur, in output pixels");
  f.number("blur_sigma_max", blur_sigma_max, {.min = 0, .max = 100}, "largest blur, in output pixels");
  f.number("flip", flip, share, "probability of a horizontal flip");
}

void ClipColorOptions::validate(const std::string& path) const {
  require_ordered(path, "blur_sigma", blur_sigma_min, blur_sigma_max);
}

void draw_color(const ClipColorOptions& options, Rng& rng, ViewPlan& view) {
  check(!view.frames.empty(), "draw_color: the view has no frames yet");
  view.color = {};
  view.tilt_degrees = 0;
  if (rng.chance(options.strong)) {
    view.tilt_degrees = rng.uniform(-options.tilt_degrees, options.tilt_degrees);
    ColorPlan& color = view.color;
    if (rng.chance(options.jitter)) {
      color.brightness = rng.uniform(1 - options.brightness, 1 + options.brightness);
      color.contrast = rng.uniform(1 - options.contrast, 1 + options.contrast);
      color.saturation = rng.uniform(1 - options.saturation, 1 + options.saturation);
      color.hue = rng.uniform(-options.hue, options.hue);
      if (options.brightness > 0) color.jitter.push_back(ColorOp::brightness);
      if (options.contrast > 0) color.jitter.push_back(ColorOp::contrast);
      if (options.saturation > 0) color.jitter.push_back(ColorOp::saturation);
      if (options.hue > 0) color.jitter.push_back(ColorOp::hue);
      rng.shuffle(std::span<ColorOp>(color.jitter));
    }
    if (rng.chance(options.grey)) {
      color.grey_channel.resize(view.frames.size());
      for (int8_t& channel : color.grey_channel) channel = static_cast<int8_t>(rng.integer(0, 2));
    }
    if (rng.chance(options.blur)) color.blur_sigma = rng.uniform(options.blur_sigma_min, options.blur_sigma_max);
  }
  view.flip = rng.chance(options.flip);
}

std::vector<int64_t> uniform_starts(int64_t video_frames, int64_t span, int64_t clips) {
  check(video_frames >= 1 && span >= 0 && clips >= 1, "uniform_starts: nothing to place");
  const int64_t last = std::max<int64_t>(0, video_frames - 1 - span);
  std::vector<int64_t> starts;
  for (int64_t i = 0; i < clips; ++i)
    starts.push_back(clips == 1 ? last / 2 : (i * last + (clips - 1) / 2) / (clips - 1));
  return starts;
}

std::vector<int64_t> tiled_starts(int64_t video_frames, int64_t span) {
  check(video_frames >= 1 && span >= 0, "tiled_starts: nothing to place");
  const int64_t last = video_frames - 1 - span;
  if (last < 0) return {0};
  std::vector<int64_t> starts;
  for (int64_t start = 0; start <= last; start += std::max<int64_t>(1, span)) starts.push_back(start);
  starts.push_back(last);
  return starts;
}

std::vector<int64_t> floored_starts(int64_t video_frames, int64_t frames, int64_t stride, int64_t clips) {
  check(video_frames >= 1 && frames >= 1 && stride >= 1 && clips >= 1, "floored_starts: nothing to place");
  const int64_t room = std::max<int64_t>(0, video_frames - frames * stride);
  std::vector<int64_t> starts;
  for (int64_t i = 0; i < clips; ++i) starts.push_back(clips == 1 ? room / 2 : i * room / (clips - 1));
  return starts;
}

const std::vector<std::string>& grid_methods() {
  static const std::vector<std::string> names = {"cstp", "cvrl", "sts"};
  return names;
}

GridOptions grid_of(const std::string& method) {
  GridOptions grid;
  if (method == "cvrl") {
    grid.floored = true;
    grid.crop_share = 1;
    grid.filter = Filter::bilinear;
    grid.antialias = false;
  } else if (method == "sts") {
    grid.squeeze = true;
    grid.filter = Filter::bilinear;
    grid.antialias = false;
  } else {
    check(method == "cstp", cat("grid_of: there is no grid of '", method, "'"));
  }
  return grid;
}

SamplePlan evaluation_plan(const VideoInfo& video, const GridOptions& options) {
  const bool square = options.crop_mode == "square";
  if ((options.crops != 1 && options.crops != 3) || (square && options.crops != 1)) {
    throw ConfigError(cat("evaluation: ", options.crops, " crops with crop_mode ", options.crop_mode,
                          " were asked for; there are 1 or 3 with center, and 1 with square"));
  }
  const int64_t span = clip_span(options.frames, options.stride);
  const std::vector<int64_t> starts = options.clips == 0 ? tiled_starts(video.frames, span)
                                      : options.floored
                                          ? floored_starts(video.frames, options.frames, options.stride, options.clips)
                                          : uniform_starts(video.frames, span, options.clips);
  const CropBox centre =
      square ? CropBox{} : centre_crop(options.squeeze ? squeezed(video) : video, options.crop_share);
  SamplePlan plan;
  for (const int64_t start : starts) {
    for (int64_t crop = 0; crop < options.crops; ++crop) {
      ViewPlan view;
      view.frames = clip_frames(start, options.frames, options.stride, video.frames);
      view.stride = options.stride;
      view.filter = options.filter;
      view.antialias = options.antialias;
      view.crop = centre;
      if (options.crops == 3) {
        const double place = static_cast<double>(crop) / 2;  // left, centre, right
        if (video.width >= video.height) {
          view.crop.x = place * (1 - centre.w);
        } else {
          view.crop.y = place * (1 - centre.h);
        }
      }
      plan.views.push_back(std::move(view));
    }
  }
  return plan;
}

void probe_time(const std::string& probe, Rng& rng, SamplePlan& plan) {
  check(probe == "none" || probe == "shuffle" || probe == "repeat", "probe_time: unknown probe");
  for (ViewPlan& view : plan.views) {
    if (probe == "shuffle") rng.shuffle(std::span<int64_t>(view.frames));
    if (probe == "repeat") std::ranges::fill(view.frames, int64_t{view.frames[view.frames.size() / 2]});
  }
}

}  // namespace cstp
