#include "block_ops.h"

#include <algorithm>

#include "cstp/core/multiversion.h"

#ifdef __SSE2__
#include <xmmintrin.h>
#endif

namespace cstp {
namespace {

/// Runs a pixel function over a block; inlined into each multiversioned caller, so that it is compiled for its machine.
template <class PixelFunction>
CSTP_HD void for_each_pixel(const PixelBlock& block, PixelFunction&& function) {
  for (int64_t x = 0; x < block.columns; ++x) {
    float* column = block.data + x * kColumnFloats;
    for (int64_t i = 0; i < kRowBlock; ++i) {
      const Rgb p = function(Rgb{column[i], column[kRowBlock + i], column[2 * kRowBlock + i]});
      column[i] = p.r;
      column[kRowBlock + i] = p.g;
      column[2 * kRowBlock + i] = p.b;
    }
  }
}

/// Sum of kRowBlock floats, in an order that a machine of any width can follow.
double lane_sum(const std::array<float, kRowBlock>& lanes) {
  double sum = 0;
  for (const float lane : lanes) sum += static_cast<double>(lane);
  return sum;
}

}  // namespace

void turn_block(float* square, int64_t row, const PixelBlock& block) {
  const int64_t size = block.columns;
  const int64_t rows = std::min(kRowBlock, size - row);
  for (int64_t left = 0; left < size; left += kRowBlock) {  // a column of the square's block is a part of our row
    float* source = square + block_place(row, left, size);
    const int64_t columns = std::min(kRowBlock, size - left);
    for (int64_t c = 0; c < 3; ++c) {
      float* target = block.data + left * kColumnFloats + c * kRowBlock;
      turn_tile({source + c * kRowBlock, kColumnFloats, rows}, {target, kColumnFloats, columns});
    }
  }
}

void pick_block(const float* square, const int32_t* places, const PixelBlock& block) {
  for (int64_t x = 0; x < block.columns; ++x) {
    float* column = block.data + x * kColumnFloats;
    for (int64_t i = 0; i < kRowBlock; ++i) {
      const int32_t place = places[x * kRowBlock + i];
      for (int64_t c = 0; c < 3; ++c) column[c * kRowBlock + i] = place < 0 ? 0.0F : square[place + c * kRowBlock];
    }
  }
}

CSTP_MULTIVERSION
double luma_sum(const PixelBlock& block) {
  Lanes upper{};
  Lanes lower{};
  for (int64_t x = 0; x < block.columns; ++x) {
    const Lanes* column = reinterpret_cast<const Lanes*>(block.data + x * kColumnFloats);
    upper += 0.299F * column[0] + 0.587F * column[2] + 0.114F * column[4];  // luma() of pixel_math.h
    lower += 0.299F * column[1] + 0.587F * column[3] + 0.114F * column[5];
  }
  std::array<float, kRowBlock> lanes;
  Lanes* kept = reinterpret_cast<Lanes*>(lanes.data());
  kept[0] = upper;
  kept[1] = lower;
  return lane_sum(lanes);
}

CSTP_MULTIVERSION
std::array<double, 3> channel_sums(const PixelBlock& block) {
  std::array<double, 3> sums{};
  for (size_t c = 0; c < sums.size(); ++c) {
    Lanes upper{};
    Lanes lower{};
    for (int64_t x = 0; x < block.columns; ++x) {
      const Lanes* column = reinterpret_cast<const Lanes*>(block.data + x * kColumnFloats) + 2 * c;
      upper += column[0];
      lower += column[1];
    }
    std::array<float, kRowBlock> lanes;
    Lanes* kept = reinterpret_cast<Lanes*>(lanes.data());
    kept[0] = upper;
    kept[1] = lower;
    sums[c] = lane_sum(lanes);
  }
  return sums;
}

CSTP_MULTIVERSION
void change_brightness(const PixelBlock& block, float factor) {
  for_each_pixel(
      block, [factor](Rgb p) __attribute__((always_inline)) { return adjust_brightness(p, factor); });
}

CSTP_MULTIVERSION
void change_contrast(const PixelBlock& block, float factor, float mean) {
  for_each_pixel(
      block, [ factor, mean ](Rgb p) __attribute__((always_inline)) { return adjust_contrast(p, factor, mean); });
}

CSTP_MULTIVERSION
void change_channel_contrast(const PixelBlock& block, float factor, Rgb mean) {
  for_each_pixel(
      block,
      [ factor, mean ](Rgb p) __attribute__((always_inline)) { return adjust_channel_contrast(p, factor, mean); });
}

CSTP_MULTIVERSION
void change_hsv_saturation(const PixelBlock& block, float factor) {
  for_each_pixel(
      block, [factor](Rgb p) __attribute__((always_inline)) { return adjust_hsv_saturation(p, factor); });
}

CSTP_MULTIVERSION
void change_saturation(const PixelBlock& block, float factor) {
  for_each_pixel(
      block, [factor](Rgb p) __attribute__((always_inline)) { return adjust_saturation(p, factor); });
}

CSTP_MULTIVERSION
void change_hue(const PixelBlock& block, float shift) {
  for_each_pixel(
      block, [shift](Rgb p) __attribute__((always_inline)) { return adjust_hue(p, shift); });
}

CSTP_MULTIVERSION
void make_grey(const PixelBlock& block, ColorRule rule) {
  if (rule == ColorRule::tensorflow) {
    for_each_pixel(
        block, [](Rgb p) __attribute__((always_inline)) {
          const float grey = tensorflow_luma(p);
          return Rgb{grey, grey, grey};
        });
    return;
  }
  for_each_pixel(
      block, [](Rgb p) __attribute__((always_inline)) {
        const float grey = luma(p);
        return Rgb{grey, grey, grey};
      });
}

CSTP_MULTIVERSION
void copy_channel(const PixelBlock& block, int channel) {
  for (int64_t x = 0; x < block.columns; ++x) {
    float* column = block.data + x * kColumnFloats;
    for (int64_t i = 0; i < kRowBlock; ++i) {
      const float value = column[channel * kRowBlock + i];
      for (int64_t c = 0; c < 3; ++c) column[c * kRowBlock + i] = value;
    }
  }
}

CSTP_MULTIVERSION
void finish_pixels(std::span<const float> pixels, float threshold, const InputAffine& range, bool past, float* out) {
  constexpr size_t kPeriod = 48;  // whole pixels and whole vectors
  std::array<float, kPeriod> scale, bias;
  for (size_t i = 0; i < kPeriod; ++i) {
    scale[i] = range.scale[i % 3];
    bias[i] = range.bias[i % 3];
  }
  const float* in = pixels.data();
  size_t start = 0;
#ifdef __SSE2__
  if (past && reinterpret_cast<uintptr_t>(out) % 16 == 0) {
    alignas(64) std::array<float, kPeriod> piece;
    for (; start + kPeriod <= pixels.size(); start += kPeriod) {
      for (size_t i = 0; i < kPeriod; ++i) piece[i] = scale[i] * solarize(in[start + i], threshold) + bias[i];
      for (size_t i = 0; i < kPeriod; i += 4) _mm_stream_ps(out + start + i, _mm_load_ps(piece.data() + i));
    }
  }
#endif
  for (; start + kPeriod <= pixels.size(); start += kPeriod) {
    for (size_t i = 0; i < kPeriod; ++i) out[start + i] = scale[i] * solarize(in[start + i], threshold) + bias[i];
  }
  for (; start < pixels.size(); ++start)
    out[start] = scale[start % 3] * solarize(in[start], threshold) + bias[start % 3];
}

void end_of_writes() {
#ifdef __SSE2__
  _mm_sfence();
#endif
}

}  // namespace cstp
