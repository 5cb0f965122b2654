#include "crop_sampler.h"

#include <algorithm>
#include <cmath>

#include "cstp/core/error.h"

namespace cstp {
namespace {

/// To the nearest whole number, halves to the even one.
int64_t rounded(double value) { return std::llrint(value); }

int64_t height_of(double area, double aspect) { return rounded(std::sqrt(area / aspect)); }
int64_t width_of(int64_t height, double aspect) { return rounded(static_cast<double>(height) * aspect); }

/// Uniform in [0, slack), 0 where there is none: the upper end is left out, as in the released code.
int64_t offset(int64_t slack, Rng& rng) { return slack > 0 ? rng.integer(0, slack - 1) : 0; }

}  // namespace

CropHeights crop_heights(int64_t width, int64_t height, const CropOptions& options, double aspect) {
  const auto area = static_cast<double>(width * height);
  int64_t high = height_of(options.area_max * area, aspect);
  if (width_of(high, aspect) > width) {
    high = static_cast<int64_t>((static_cast<double>(width) + 0.5) / aspect);
    if (width_of(high, aspect) > width) --high;
  }
  high = std::min(high, height);
  return {std::min(height_of(options.area_min * area, aspect), high), high};
}

std::optional<CropSize> sized_crop(int64_t width, int64_t height, const CropOptions& options, double aspect,
                                   int64_t drawn) {
  const auto frame = static_cast<double>(width * height);
  CropSize size{width_of(drawn, aspect), drawn};
  const auto area = [&size] { return static_cast<double>(size.w * size.h); };
  if (area() < options.area_min * frame) size = {width_of(size.h + 1, aspect), size.h + 1};
  if (area() > options.area_max * frame) size = {width_of(size.h - 1, aspect), size.h - 1};
  const bool fits = size.w > 0 && size.h > 0 && size.w <= width && size.h <= height;
  if (!fits || area() < options.area_min * frame || area() > options.area_max * frame) return std::nullopt;
  return size;
}

PixelBox height_uniform_crop(int64_t width, int64_t height, const CropOptions& options, Rng& rng) {
  check(width > 0 && height > 0, "height_uniform_crop: the frame is empty");
  constexpr int kTries = 100;
  for (int i = 0; i < kTries; ++i) {
    const double aspect = rng.uniform(options.ratio_min, options.ratio_max);
    const CropHeights heights = crop_heights(width, height, options, aspect);
    if (const auto size = sized_crop(width, height, options, aspect, rng.integer(heights.low, heights.high))) {
      const int64_t x = offset(width - size->w, rng);
      const int64_t y = offset(height - size->h, rng);
      return {x, y, size->w, size->h};
    }
  }
  return {0, 0, width, height};
}

PixelBox log_aspect_crop(int64_t width, int64_t height, const CropOptions& options, Rng& rng) {
  check(width > 0 && height > 0, "log_aspect_crop: the frame is empty");
  constexpr int kTries = 10;
  const auto frame = static_cast<double>(width * height);
  for (int i = 0; i < kTries; ++i) {
    const double area = rng.uniform(options.area_min, options.area_max) * frame;
    const double aspect = std::exp(rng.uniform(std::log(options.ratio_min), std::log(options.ratio_max)));
    const int64_t w = rounded(std::sqrt(area * aspect));
    const int64_t h = rounded(std::sqrt(area / aspect));
    if (w < 1 || h < 1 || w > width || h > height) continue;
    const int64_t x = rng.integer(0, width - w);
    const int64_t y = rng.integer(0, height - h);
    return {x, y, w, h};
  }
  const double aspect = static_cast<double>(width) / static_cast<double>(height);
  int64_t w = width;
  int64_t h = height;
  if (aspect < options.ratio_min) h = rounded(static_cast<double>(width) / options.ratio_min);
  if (aspect > options.ratio_max) w = rounded(static_cast<double>(height) * options.ratio_max);
  w = std::clamp<int64_t>(w, 1, width);
  h = std::clamp<int64_t>(h, 1, height);
  return {(width - w) / 2, (height - h) / 2, w, h};
}

}  // namespace cstp
