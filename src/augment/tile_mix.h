/// Step 1 of a tile (tile_body.h): the vertical pass, from planes of bytes to rows of floats in shared memory.
#pragma once
#include <cstring>

#include "view_records.h"

#ifdef __CUDACC__
#define CSTP_PRAGMA(text) _Pragma(#text)
#define CSTP_UNROLL(times) CSTP_PRAGMA(unroll times)
#else
#define CSTP_UNROLL(times)
#endif

namespace cstp {

// Memory, as either machine reads it.

CSTP_HD uint32_t load_word(Address at) {
#ifdef __CUDA_ARCH__
  return __ldg(reinterpret_cast<const uint32_t*>(at));
#else
  uint32_t word;
  std::memcpy(&word, reinterpret_cast<const void*>(at), sizeof word);
  return word;
#endif
}
/// @param to begins at a word
CSTP_HD void store_word(uint16_t* to, uint32_t word) {
#ifdef __CUDA_ARCH__
  *reinterpret_cast<uint32_t*>(to) = word;
#else
  std::memcpy(to, &word, sizeof word);
#endif
}
CSTP_HD uint32_t load_byte(Address at) {
#ifdef __CUDA_ARCH__
  return __ldg(reinterpret_cast<const uint8_t*>(at));
#else
  return *reinterpret_cast<const uint8_t*>(at);
#endif
}
CSTP_HD float load_float(Address floats, int64_t i) {
#ifdef __CUDA_ARCH__
  return __ldg(reinterpret_cast<const float*>(floats) + i);
#else
  return reinterpret_cast<const float*>(floats)[i];
#endif
}
CSTP_HD TapSpan load_span(Address spans, int64_t i) {
#ifdef __CUDA_ARCH__
  const int2 span = __ldg(reinterpret_cast<const int2*>(spans) + i);
  return {span.x, span.y};
#else
  return reinterpret_cast<const TapSpan*>(spans)[i];
#endif
}

/// n / divisor for n < 2^21, with `inverse` = 1 / divisor: a division of whole numbers costs twenty instructions.
CSTP_HD int32_t quotient(int32_t n, float inverse) {
  return static_cast<int32_t>((static_cast<float>(n) + 0.5F) * inverse);
}

/// A tile of one frame of one view.
struct Tile {
  const ViewRecord* view;
  const FrameRecord* frame;
  const GeometryRecord* geometry;
  TileNeed need;
  int32_t view_row;       ///< of [V*B]
  int32_t t;              ///< frame of the clip
  int32_t row, column;    ///< of the square; with a tilt, of the view
  int32_t rows, columns;  ///< that lie inside
  int32_t pitch;          ///< floats of a mixed row: luma, then blue, then red differences
};

/// @param block slot of view_count, or, in the pass that sums, of contrast_count
CSTP_HD Tile tile_of(const RenderLaunch& launch, BlockNumber block, bool sums) {
  Tile tile;
  tile.t = block.t;
  tile.view_row = sums ? launch.contrast_views[block.slot] : block.slot;
  tile.view = launch.views + tile.view_row;
  tile.frame = launch.frames + (int64_t{tile.view_row} * launch.clip_frames + tile.t);
  tile.geometry = launch.geometries + tile.frame->geometry;
  tile.need = reinterpret_cast<const TileNeed*>(tile.geometry->tiles)[block.tile];
  tile.row = tile.need.tile_row;
  tile.column = tile.need.tile_column;
  tile.rows = launch.size - tile.row < launch.tile.rows ? launch.size - tile.row : launch.tile.rows;
  tile.columns = launch.size - tile.column < launch.tile.columns ? launch.size - tile.column : launch.tile.columns;
  tile.pitch = 4 * (tile.need.luma_fours + 2 * tile.need.chroma_fours);
  return tile;
}

// Step 1: the vertical pass.

/// Reads columns c..c+3 of a plane's rows as the bytes of one word.
class FourColumns {
 public:
  /// @param from of row 0, column c
  CSTP_HD FourColumns(Address from, int32_t step, int32_t stride, int32_t readable)
      : step_(step), readable_(readable), phase_(step == 2 ? static_cast<uint32_t>(from & 1) : 0) {
    // Words where rows begin at them; a pair of words for interleaved samples, of which every second byte is ours.
    const bool aligned = ((from - phase_) & 3) == 0 && (stride & 3) == 0;
    words_ = readable >= 4 && aligned && step <= 2 ? step : 0;
  }
  CSTP_HD uint32_t operator()(Address at) const {
    if (words_ == 1) return load_word(at);
    if (words_ == 2) {
      const uint32_t low = load_word(at - phase_) >> (8 * phase_);
      const uint32_t high = load_word(at - phase_ + 4) >> (8 * phase_);
      return (low & 0xff) | (low >> 8 & 0xff00) | (high & 0xff) << 16 | (high >> 16 & 0xff) << 24;
    }
    uint32_t word = 0;
    for (int32_t i = 0; i < 4 && i < readable_; ++i) {
      word |= load_byte(at + static_cast<Address>(i) * static_cast<Address>(step_)) << (8 * i);
    }
    return word;
  }

 private:
  int32_t step_, readable_, words_;
  uint32_t phase_;
};

CSTP_HD void add_weighted(uint32_t word, float weight, float (&sums)[4]) {
  for (int32_t i = 0; i < 4; ++i) sums[i] += weight * static_cast<float>(word >> (8 * i) & 0xff);
}

/// One output of the vertical pass, in four columns. @param from of row 0 @param to four floats
CSTP_HD void mix_four(const FourColumns& columns, Address from, int32_t stride, TapSpan span, Address weights,
                      int64_t first_weight, float black, float* to) {
  Address at = from + static_cast<Address>(int64_t{span.first} * stride);
  float sums[4] = {};
  float total = 0;
  int32_t k = 0;
  for (; k + 1 < span.count; k += 2) {  // two reads under way at a time
    const uint32_t word = columns(at);
    const uint32_t next = columns(at + static_cast<Address>(int64_t{stride}));
    at += static_cast<Address>(2 * int64_t{stride});
    const float weight = load_float(weights, first_weight + k);
    const float next_weight = load_float(weights, first_weight + k + 1);
    add_weighted(word, weight, sums);
    add_weighted(next, next_weight, sums);
    total += weight + next_weight;
  }
  if (k < span.count) {
    const float weight = load_float(weights, first_weight + k);
    add_weighted(columns(at), weight, sums);
    total += weight;
  }
  // Zero is black, and weights are fewer than 1 in all where the plane ends.
  const float taken = black * total;
#ifdef __CUDA_ARCH__
  *reinterpret_cast<float4*>(to) = make_float4(sums[0] - taken, sums[1] - taken, sums[2] - taken, sums[3] - taken);
#else
  for (int32_t i = 0; i < 4; ++i) to[i] = sums[i] - taken;
#endif
}

/// Thread `thread` of `threads`: four columns of a plane and four rows of the square at a time, so that where they lie
/// is found out once. @param mixed [need.rows, pitch]
CSTP_HD void mix_tile(const Tile& tile, int32_t thread, int32_t threads, float* mixed) {
  constexpr int32_t kTogether = 4;
  const FrameRecord& frame = *tile.frame;
  const GeometryRecord& geometry = *tile.geometry;
  const TileNeed& need = tile.need;
  const int32_t fours = need.luma_fours + 2 * need.chroma_fours;
  const float inverse = 1.0F / static_cast<float>(fours);
  const int32_t items = (need.rows + kTogether - 1) / kTogether * fours;
  for (int32_t item = thread; item < items; item += threads) {
    const int32_t together = quotient(item, inverse);
    const int32_t group = item - together * fours;
    const bool luma = group < need.luma_fours;
    const bool red = group >= need.luma_fours + need.chroma_fours;
    const int32_t own = luma ? group : group - need.luma_fours - (red ? need.chroma_fours : 0);
    const int32_t column = (luma ? need.luma_from : need.chroma_from) + 4 * own;
    const int32_t stride = luma ? frame.y_stride : frame.uv_stride;
    const int32_t step = luma ? 1 : frame.uv_step;
    const Address origin = luma ? frame.y : red ? frame.cr : frame.cb;
    const float black = luma ? frame.coefficients.black : 128.0F;
    const AxisTaps& taps = luma ? geometry.luma_down : geometry.chroma_down;
    const Address spans = taps.spans, weights = taps.weights;
    const int64_t width = taps.width;
    const Address from = origin + static_cast<Address>(int64_t{column} * step);
    const FourColumns columns(from, step, stride, (luma ? frame.luma_end : frame.chroma_end) - column);
    const int32_t first = kTogether * together;
    const int32_t end = first + kTogether < need.rows ? first + kTogether : need.rows;
    CSTP_UNROLL(1)
    for (int32_t row = first; row < end; ++row) {
      const TapSpan span = load_span(spans, need.row + row);
      mix_four(columns, from, stride, span, weights, (need.row + row) * width, black,
               mixed + row * tile.pitch + 4 * group);
    }
  }
}

}  // namespace cstp
