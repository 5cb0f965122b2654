/// The loops of the CPU body: pixel_math.h applied to blocks of pixels that stay in the nearest caches from the first
/// operation to the last.
#pragma once
#include <array>
#include <cstdint>
#include <span>
#include <vector>

#include "cstp/sampling/plan.h"
#include "pixel_math.h"
#include "row_ops.h"

namespace cstp {

/// Floats of a column of a block: kRowBlock reds, as many greens, as many blues.
inline constexpr int64_t kColumnFloats = 3 * kRowBlock;

/// kRowBlock rows of a picture, or some columns of them, column by column: [columns, 3, kRowBlock]. Rows past the
/// picture's last are black until the first operation that moves black.
struct PixelBlock {
  float* data = nullptr;
  int64_t columns = 0;
};

/// Where the red of pixel (x, y) lies in the blocks of a square of S x S, one after the other.
constexpr int64_t block_place(int64_t x, int64_t y, int64_t size) {
  return (y / kRowBlock * size + x) * kColumnFloats + y % kRowBlock;
}

/// Rows of the transposed square, from `row` on.
/// @param square blocks of S x S pixels
void turn_block(float* square, int64_t row, const PixelBlock& block);
/// Pixels by a table of their places in the square's blocks; -1 is black.
void pick_block(const float* square, const int32_t* places, const PixelBlock& block);

/// Sum of the luma of all pixels.
double luma_sum(const PixelBlock& block);
/// Sums of the three channels.
std::array<double, 3> channel_sums(const PixelBlock& block);
void change_brightness(const PixelBlock& block, float factor);
void change_contrast(const PixelBlock& block, float factor, float mean);
void change_channel_contrast(const PixelBlock& block, float factor, Rgb mean);
void change_saturation(const PixelBlock& block, float factor);
void change_hsv_saturation(const PixelBlock& block, float factor);
void change_hue(const PixelBlock& block, float shift);
void make_grey(const PixelBlock& block, ColorRule rule);
void copy_channel(const PixelBlock& block, int channel);

/// Interleaved pixels on their way out: solarized, then in the network's range.
/// @param threshold above 1: none is inverted
/// @param pixels    R, G, B, R, ...; whole pixels
/// @param out       may be where the pixels are
/// @param past      writes past the caches, for memory that was not read of late; end_of_writes() must follow
void finish_pixels(std::span<const float> pixels, float threshold, const InputAffine& range, bool past, float* out);
/// What was written past the caches is there for every thread.
void end_of_writes();

}  // namespace cstp
