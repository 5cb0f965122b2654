/// The arithmetic of one pixel, written once for the host's compiler and for CUDA's: colour conversion, filters,
/// colour operations, input range. Colours are floats in [0,1]; every colour operation clamps its result there.
///
/// Formulas of the colour operations: torchvision, "Transforming and augmenting images" (functional adjust_*), on
/// floats instead of bytes, so nothing is rounded between two operations.
#pragma once
#include <cmath>
#include <cstdint>
#include <type_traits>

#include "cstp/video/frame.h"

#ifdef __CUDACC__
#define CSTP_HD __host__ __device__ __forceinline__
#else
// Inlined always: a body compiled for AVX-512 must not call one compiled for the smallest machine.
#define CSTP_HD inline __attribute__((always_inline))
#endif

namespace cstp {

struct Rgb {
  float r, g, b;
};

CSTP_HD float clamp01(float value) {
#ifdef __CUDA_ARCH__
  return __saturatef(value);  // costs nothing: a modifier of the operation before it
#endif
  const float floored = value < 0.0F ? 0.0F : value;
  return floored > 1.0F ? 1.0F : floored;
}

/// YCbCr -> RGB for samples from which black (`black`, 128, 128) was already taken away, so that zero is black and what
/// lies outside a frame needs no case of its own.
struct YcbcrToRgb {
  float black;  ///< Y of black: 16 or 0
  float y;      ///< R = y*Y + r_cr*Cr, G = y*Y + g_cb*Cb + g_cr*Cr, B = y*Y + b_cb*Cb
  float r_cr, g_cb, g_cr, b_cb;
};

/// From the luma weights (Kr, Kb) of the standards: R = Y + 2(1-Kr)Cr, B = Y + 2(1-Kb)Cb, G solves Y = Kr R + Kg G + Kb
/// B.
inline YcbcrToRgb ycbcr_to_rgb(ColorMatrix matrix, ColorRange range) {
  double kr = 0.299;  // ITU-R BT.601
  double kb = 0.114;
  switch (matrix) {
    case ColorMatrix::bt601: break;
    case ColorMatrix::bt709: kr = 0.2126, kb = 0.0722; break;
    case ColorMatrix::bt2020: kr = 0.2627, kb = 0.0593; break;
    case ColorMatrix::fcc: kr = 0.30, kb = 0.11; break;
    case ColorMatrix::smpte240m: kr = 0.212, kb = 0.087; break;
  }
  const bool limited = range == ColorRange::limited;
  const double luma_scale = 1.0 / (limited ? 219.0 : 255.0);
  const double chroma_scale = 1.0 / (limited ? 224.0 : 255.0);
  const double kg = 1.0 - kr - kb;
  return {limited ? 16.0F : 0.0F,
          static_cast<float>(luma_scale),
          static_cast<float>(2 * (1 - kr) * chroma_scale),
          static_cast<float>(-2 * kb * (1 - kb) / kg * chroma_scale),
          static_cast<float>(-2 * kr * (1 - kr) / kg * chroma_scale),
          static_cast<float>(2 * (1 - kb) * chroma_scale)};
}

/// Of one pixel, or of a vector of them.
template <class Value>
CSTP_HD void to_rgb(const YcbcrToRgb& k, const Value& y, const Value& cb, const Value& cr, Value& r, Value& g,
                    Value& b) {
  const Value zero{};
  const Value one = zero + 1.0F;
  const Value grey = k.y * y;
  const Value red = grey + k.r_cr * cr, green = grey + k.g_cb * cb + k.g_cr * cr, blue = grey + k.b_cb * cb;
  if constexpr (std::is_same_v<Value, float>) {
    r = clamp01(red);
    g = clamp01(green);
    b = clamp01(blue);
    return;
  }
  r = red < zero ? zero : red;
  g = green < zero ? zero : green;
  b = blue < zero ? zero : blue;
  r = r > one ? one : r;
  g = g > one ? one : g;
  b = b > one ? one : b;
}

/// Keys' cubic: a = -0.5 (as Pillow, and torchvision with antialias) or -0.75 (as PyTorch without, and OpenCV).
CSTP_HD double cubic_weight(double distance, double a) {
  const double d = distance < 0 ? -distance : distance;
  if (d < 1) return ((a + 2) * d - (a + 3)) * d * d + 1;
  if (d < 2) return (((d - 5) * d + 8) * d - 4) * a;
  return 0;
}

CSTP_HD double triangle_weight(double distance) {
  const double d = distance < 0 ? -distance : distance;
  return d < 1 ? 1 - d : 0;
}

/// Weights of "L" in Pillow and of rgb_to_grayscale in torchvision (ITU-R BT.601).
CSTP_HD float luma(Rgb p) { return 0.299F * p.r + 0.587F * p.g + 0.114F * p.b; }

/// Weights of TensorFlow's rgb_to_grayscale, which sum to 0.9999.
CSTP_HD float tensorflow_luma(Rgb p) { return 0.2989F * p.r + 0.587F * p.g + 0.114F * p.b; }

CSTP_HD Rgb adjust_brightness(Rgb p, float factor) {
  return {clamp01(factor * p.r), clamp01(factor * p.g), clamp01(factor * p.b)};
}

/// `mean` is the mean luma of the whole clip, so all its frames change alike.
CSTP_HD Rgb adjust_contrast(Rgb p, float factor, float mean) {
  const float rest = (1.0F - factor) * mean;
  return {clamp01(factor * p.r + rest), clamp01(factor * p.g + rest), clamp01(factor * p.b + rest)};
}

/// `mean` is each channel's mean over the whole clip. (TensorFlow's adjust_contrast on a clip laid out as one tall
/// image: CVRL, released code.)
CSTP_HD Rgb adjust_channel_contrast(Rgb p, float factor, Rgb mean) {
  return {clamp01((p.r - mean.r) * factor + mean.r), clamp01((p.g - mean.g) * factor + mean.g),
          clamp01((p.b - mean.b) * factor + mean.b)};
}

CSTP_HD Rgb adjust_saturation(Rgb p, float factor) {
  const float rest = (1.0F - factor) * luma(p);
  return {clamp01(factor * p.r + rest), clamp01(factor * p.g + rest), clamp01(factor * p.b + rest)};
}

/// Scales and clips the S of HSV, which keeps V: every channel's distance from the highest grows by min(factor, 1/S).
/// (TensorFlow's adjust_saturation.)
CSTP_HD Rgb adjust_hsv_saturation(Rgb p, float factor) {
  const float rg_high = p.r > p.g ? p.r : p.g;
  const float rg_low = p.r > p.g ? p.g : p.r;
  const float high = rg_high > p.b ? rg_high : p.b;
  const float low = rg_low < p.b ? rg_low : p.b;
  const float chroma = high - low;
  const float most = chroma > 0.0F ? high / chroma : factor;  // 1/S; a grey pixel stays as it is
  const float scale = factor < most ? factor : most;
  return {clamp01(high - scale * (high - p.r)), clamp01(high - scale * (high - p.g)),
          clamp01(high - scale * (high - p.b))};
}

/// One channel of HSV -> RGB without branches: v - v*s*clamp(min(k, 4-k), 0, 1), k = (offset + 6h) mod 6, with offset
/// 5 (that is -1), 3, 1 for R, G, B. `sextant` is offset + 6h in [-6, 12).
CSTP_HD float hsv_channel(float sextant, float value, float chroma) {
  const float wrapped = sextant < 0.0F ? sextant + 6.0F : sextant;
  const float k = wrapped >= 6.0F ? wrapped - 6.0F : wrapped;
  const float rising = k < 4.0F - k ? k : 4.0F - k;
  return clamp01(value - chroma * clamp01(rising));
}

/// Turns the hue by `shift` turns in [-0.5, 0.5].
CSTP_HD Rgb adjust_hue(Rgb p, float shift) {
  const float rg_high = p.r > p.g ? p.r : p.g;
  const float rg_low = p.r > p.g ? p.g : p.r;
  const float high = rg_high > p.b ? rg_high : p.b;
  const float low = rg_low < p.b ? rg_low : p.b;
  const float chroma = high - low;
  const float inverse = 1.0F / (chroma > 0.0F ? chroma : 1.0F);  // a grey pixel has hue 0
  // Hue in sextants, [-1, 5): counted from red, green or blue, whichever is highest (in that order when equal).
  const float from_red = (p.g - p.b) * inverse;
  const float from_green = 2.0F + (p.b - p.r) * inverse;
  const float from_blue = 4.0F + (p.r - p.g) * inverse;
  const float below_red = p.g == high ? from_green : from_blue;
  const float hue = (p.r == high ? from_red : below_red) + 6.0F * shift;  // [-4, 8]
  return {hsv_channel(hue - 1.0F, high, chroma), hsv_channel(hue + 3.0F, high, chroma),
          hsv_channel(hue + 1.0F, high, chroma)};
}

CSTP_HD float solarize(float value, float threshold) { return value >= threshold ? 1.0F - value : value; }

/// What the network sees of a channel: scale*value + bias.
struct InputAffine {
  float scale[3];
  float bias[3];
};

/// Where pixel (x, y) of a view lies in the upright-or-not square that resampling gives: offset + x*dx + y*dy.
/// All quarter turns (rotation metadata, the plan's own) and the flip are in these three numbers.
struct Placement {
  int64_t offset = 0, dx = 1, dy = 0;
};

/// @param turns counter-clockwise quarter turns of the S x S square, then `flip` mirrors it left to right
/// @param column_step, row_step how the square lies in memory
CSTP_HD Placement compose_placement(int turns, bool flip, int64_t size, int64_t column_step, int64_t row_step) {
  const auto source = [&](int64_t x, int64_t y) {
    int64_t column = flip ? size - 1 - x : x;
    int64_t row = y;
    for (int turn = 0; turn < turns;
         ++turn) {  // after a counter-clockwise turn, (column, row) shows (last - row, column)
      const int64_t before = column;
      column = size - 1 - row;
      row = before;
    }
    return column * column_step + row * row_step;
  };
  const int64_t offset = source(0, 0);
  return {offset, source(1, 0) - offset, source(0, 1) - offset};
}

/// Products that are rounded before they are added, on every machine: what is cut to whole pixels must not depend on
/// whether a compiler joins the two.
CSTP_HD double rounded_product(double a, double b) {
#ifdef __CUDA_ARCH__
  return __dmul_rn(a, b);
#endif
  return a * b;
}

/// A turn of a square about the centre of its pixel grid, to the nearest pixel (torchvision's rotate, expand=False).
struct Tilt {
  double cosine = 1, sine = 0, centre = 0;
};

struct GridPoint {
  int64_t x, y;
};

/// Where pixel (x, y) of the tilted square is taken from; may lie outside.
CSTP_HD GridPoint tilted_source(const Tilt& tilt, int64_t x, int64_t y) {
  const double right = static_cast<double>(x) - tilt.centre;
  const double below = static_cast<double>(y) - tilt.centre;
  const double from_x = rounded_product(tilt.cosine, right) - rounded_product(tilt.sine, below) + tilt.centre;
  const double from_y = rounded_product(tilt.sine, right) + rounded_product(tilt.cosine, below) + tilt.centre;
  return {static_cast<int64_t>(nearbyint(from_x)), static_cast<int64_t>(nearbyint(from_y))};
}

}  // namespace cstp
