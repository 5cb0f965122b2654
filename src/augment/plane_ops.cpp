#include "plane_ops.h"

#include <algorithm>
#include <array>
#include <cmath>

#include "multiversion.h"
#include "row_ops.h"

namespace cstp {
namespace {

/// Runs a pixel function over planes; inlined into each multiversioned caller, so that it is compiled for its machine.
template <class PixelFunction>
CSTP_HD void for_each_pixel(const RgbPlanes& rgb, PixelFunction&& function) {
  float* __restrict r = rgb.plane(0);
  float* __restrict g = rgb.plane(1);
  float* __restrict b = rgb.plane(2);
  for (int64_t i = 0; i < rgb.n; ++i) {
    const Rgb p = function(Rgb{r[i], g[i], b[i]});
    r[i] = p.r;
    g[i] = p.g;
    b[i] = p.b;
  }
}

int64_t reflected(int64_t i, int64_t size) {
  if (i < 0) return -i;
  return i < size ? i : 2 * (size - 1) - i;
}

}  // namespace

CSTP_MULTIVERSION
void convert_to_rgb(const YcbcrToRgb& coefficients, float* luma, float* cb, float* cr, int64_t n) {
  const YcbcrToRgb k = coefficients;
  float* __restrict first = luma;
  float* __restrict second = cb;
  float* __restrict third = cr;
  for (int64_t i = 0; i < n; ++i) {
    const Rgb p = to_rgb(k, first[i], second[i], third[i]);
    first[i] = p.r;
    second[i] = p.g;
    third[i] = p.b;
  }
}

CSTP_MULTIVERSION
void place(const float* __restrict resampled, const Placement& placement, int64_t size, float* __restrict out) {
  const auto [offset, dx, dy] = placement;
  if (dx == 1 || dx == -1) {
    for (int64_t y = 0; y < size; ++y) {
      const float* source = resampled + offset + y * dy;
      if (dx == 1) {
        for (int64_t x = 0; x < size; ++x) out[y * size + x] = source[x];
      } else {
        for (int64_t x = 0; x < size; ++x) out[y * size + x] = source[-x];
      }
    }
    return;
  }
  // The square's columns are contiguous and the view's rows are: turned tile by tile.
  std::array<float, kRowBlock * kRowBlock>
      tile;  // [y][x] of the view, y from the bottom where the view runs up (dy -1)
  for (int64_t top = 0; top < size; top += kRowBlock) {
    for (int64_t left = 0; left < size; left += kRowBlock) {
      const float* source = resampled + offset + left * dx + top * dy;
      float* target = out + top * size + left;
      if (top + kRowBlock <= size && left + kRowBlock <= size) {
        rows_to_columns(dy > 0 ? source : source - (kRowBlock - 1), dx, kRowBlock, tile.data());
        for (int64_t y = 0; y < kRowBlock; ++y) {
          const float* row = tile.data() + (dy > 0 ? y : kRowBlock - 1 - y) * kRowBlock;
          for (int64_t x = 0; x < kRowBlock; ++x) target[y * size + x] = row[x];
        }
      } else {
        for (int64_t y = 0; y < std::min(kRowBlock, size - top); ++y) {
          for (int64_t x = 0; x < std::min(kRowBlock, size - left); ++x) target[y * size + x] = source[x * dx + y * dy];
        }
      }
    }
  }
}

CSTP_MULTIVERSION
void place(const float* __restrict resampled, std::span<const int32_t> table, float* __restrict out) {
  for (size_t i = 0; i < table.size(); ++i) out[i] = table[i] < 0 ? 0.0F : resampled[table[i]];
}

CSTP_MULTIVERSION
double luma_sum(const RgbPlanes& rgb) {
  constexpr int64_t kLanes = 16;  // a fixed order of summation that a machine of any width can follow
  std::array<double, kLanes> lanes{};
  const float* r = rgb.plane(0);
  const float* g = rgb.plane(1);
  const float* b = rgb.plane(2);
  const int64_t whole = rgb.n / kLanes * kLanes;
  for (int64_t i = 0; i < whole; i += kLanes) {
    for (int64_t lane = 0; lane < kLanes; ++lane) {
      lanes[static_cast<size_t>(lane)] += static_cast<double>(luma({r[i + lane], g[i + lane], b[i + lane]}));
    }
  }
  double sum = 0;
  for (const double lane : lanes) sum += lane;
  for (int64_t i = whole; i < rgb.n; ++i) sum += static_cast<double>(luma({r[i], g[i], b[i]}));
  return sum;
}

CSTP_MULTIVERSION
std::array<double, 3> channel_sums(const RgbPlanes& rgb) {
  constexpr int64_t kLanes = 16;  // as in luma_sum()
  std::array<double, 3> sums{};
  const int64_t whole = rgb.n / kLanes * kLanes;
  for (int channel = 0; channel < 3; ++channel) {
    const float* values = rgb.plane(channel);
    std::array<double, kLanes> lanes{};
    for (int64_t i = 0; i < whole; i += kLanes) {
      for (int64_t lane = 0; lane < kLanes; ++lane)
        lanes[static_cast<size_t>(lane)] += static_cast<double>(values[i + lane]);
    }
    double& sum = sums[static_cast<size_t>(channel)];
    for (const double lane : lanes) sum += lane;
    for (int64_t i = whole; i < rgb.n; ++i) sum += static_cast<double>(values[i]);
  }
  return sums;
}

CSTP_MULTIVERSION
void change_brightness(const RgbPlanes& rgb, float factor) {
  for_each_pixel(
      rgb, [factor](Rgb p) __attribute__((always_inline)) { return adjust_brightness(p, factor); });
}

CSTP_MULTIVERSION
void change_contrast(const RgbPlanes& rgb, float factor, float mean) {
  for_each_pixel(
      rgb, [ factor, mean ](Rgb p) __attribute__((always_inline)) { return adjust_contrast(p, factor, mean); });
}

CSTP_MULTIVERSION
void change_channel_contrast(const RgbPlanes& rgb, float factor, Rgb mean) {
  for_each_pixel(
      rgb, [ factor, mean ](Rgb p) __attribute__((always_inline)) { return adjust_channel_contrast(p, factor, mean); });
}

CSTP_MULTIVERSION
void change_hsv_saturation(const RgbPlanes& rgb, float factor) {
  for_each_pixel(
      rgb, [factor](Rgb p) __attribute__((always_inline)) { return adjust_hsv_saturation(p, factor); });
}

CSTP_MULTIVERSION
void change_saturation(const RgbPlanes& rgb, float factor) {
  for_each_pixel(
      rgb, [factor](Rgb p) __attribute__((always_inline)) { return adjust_saturation(p, factor); });
}

CSTP_MULTIVERSION
void change_hue(const RgbPlanes& rgb, float shift) {
  for_each_pixel(
      rgb, [shift](Rgb p) __attribute__((always_inline)) { return adjust_hue(p, shift); });
}

CSTP_MULTIVERSION
void make_grey(const RgbPlanes& rgb, ColorRule rule) {
  if (rule == ColorRule::tensorflow) {
    for_each_pixel(
        rgb, [](Rgb p) __attribute__((always_inline)) {
          const float grey = tensorflow_luma(p);
          return Rgb{grey, grey, grey};
        });
    return;
  }
  for_each_pixel(
      rgb, [](Rgb p) __attribute__((always_inline)) {
        const float grey = luma(p);
        return Rgb{grey, grey, grey};
      });
}

void copy_channel(const RgbPlanes& rgb, int channel) {
  for (int other = 0; other < 3; ++other) {
    if (other != channel) std::copy_n(rgb.plane(channel), rgb.n, rgb.plane(other));
  }
}

CSTP_MULTIVERSION
void solarize(const RgbPlanes& rgb, float threshold) {
  float* values = rgb.data;
  for (int64_t i = 0; i < 3 * rgb.n; ++i) values[i] = solarize(values[i], threshold);
}

std::vector<float> gaussian_kernel(double sigma, int64_t size, int64_t taps) {
  const int64_t wanted = taps > 0 ? taps / 2 : static_cast<int64_t>(std::ceil(3 * sigma));
  const int64_t radius = std::min(wanted, size - 1);
  std::vector<double> weights;
  double sum = 0;
  for (int64_t i = -radius; i <= radius; ++i) {
    const double distance = static_cast<double>(i) / sigma;
    weights.push_back(std::exp(-0.5 * distance * distance));
    sum += weights.back();
  }
  std::vector<float> kernel;
  for (const double weight : weights) kernel.push_back(static_cast<float>(weight / sum));
  return kernel;
}

void blur(float* plane, int64_t size, std::span<const float> kernel, BlurBorder border, std::vector<float>& scratch) {
  const auto radius = static_cast<int64_t>(kernel.size() / 2);
  const int64_t width = padded_width(size);
  scratch.resize(static_cast<size_t>(size * width + 3 * width + 2 * radius));
  float* copy = scratch.data();         // [S, width] the plane, rows padded
  float* padded = copy + size * width;  // one row with its borders
  float* mixed = padded + width + 2 * radius;
  float* nothing = mixed + width;  // a row of zeros
  const bool reflects = border == BlurBorder::reflect;
  std::fill_n(nothing, width, 0.0F);
  for (int64_t y = 0; y < size; ++y) {
    std::copy_n(plane + y * size, size, copy + y * width);
    std::fill_n(copy + y * width + size, width - size, 0.0F);
  }
  std::fill_n(padded, width + 2 * radius, 0.0F);
  std::vector<const float*> rows(kernel.size());
  for (int64_t y = 0; y < size; ++y) {
    for (int64_t k = -radius; k <= radius; ++k) {
      const bool inside = y + k >= 0 && y + k < size;
      rows[static_cast<size_t>(k + radius)] = inside || reflects ? copy + reflected(y + k, size) * width : nothing;
    }
    mix_rows(rows.data(), kernel, width, mixed);
    std::copy_n(mixed, size, padded + radius);
    for (int64_t x = 1; x <= radius; ++x) {
      padded[radius - x] = reflects ? mixed[x] : 0.0F;
      padded[radius + size - 1 + x] = reflects ? mixed[size - 1 - x] : 0.0F;
    }
    for (size_t k = 0; k < kernel.size(); ++k) rows[k] = padded + k;
    mix_rows(rows.data(), kernel, width, mixed);
    std::copy_n(mixed, size, plane + y * size);
  }
}

CSTP_MULTIVERSION
void interleave(const RgbPlanes& rgb, const InputAffine& range, float* __restrict out) {
  const float* __restrict r = rgb.plane(0);
  const float* __restrict g = rgb.plane(1);
  const float* __restrict b = rgb.plane(2);
  const InputAffine k = range;
  for (int64_t i = 0; i < rgb.n; ++i) {
    out[3 * i] = k.scale[0] * r[i] + k.bias[0];
    out[3 * i + 1] = k.scale[1] * g[i] + k.bias[1];
    out[3 * i + 2] = k.scale[2] * b[i] + k.bias[2];
  }
}

}  // namespace cstp
