/// The blurring pass of the CUDA body, as tile_body.h: Gaussian along rows, then down columns, solarize and range.
///
/// A block makes 56 x 32 pixels of a blurred view, whose pixels up to the blur the first pass wrote in 65535ths: two
/// bytes a channel, as much as a bf16 output, and sixteen times finer than 1/4096. Along rows threads stand one below
/// the other, down columns side by side, so that neither meets a bank of shared memory twice; a thread makes four
/// outputs, which share their reads.
#pragma once
#include "tile_body.h"

namespace cstp {

/// Shared memory of a block.
struct BlurMemory {
  int32_t in_pitch;      ///< elements of 16 bits; an odd number of words
  int32_t across_pitch;  ///< floats; odd
  int32_t in_bytes;      ///< also what the finished pixels are staged in
  int32_t bytes;
};
template <class Element>
CSTP_HD BlurMemory blur_memory(const BlurShape& shape) {
  const int32_t rows = shape.rows + 2 * shape.radius;
  BlurMemory memory;
  memory.in_pitch = 2 * ((3 * (shape.columns + 2 * shape.radius + 2) + 1) / 2 | 1);
  memory.across_pitch = 3 * shape.columns | 1;
  constexpr int32_t kPast = 64;  // the last row's reads go past it, with weights of zero
  const int32_t in_bytes = 2 * (rows * memory.in_pitch + kPast);
  const auto staged = static_cast<int32_t>(sizeof(Element)) * shape.rows * stage_pitch<Element>(shape.columns);
  memory.in_bytes = ((in_bytes > staged ? in_bytes : staged) + 15) / 16 * 16;
  memory.bytes = memory.in_bytes + 4 * rows * memory.across_pitch;
  return memory;
}

/// What a block makes of a blurred view.
struct BlurTile {
  const ViewRecord* view;
  int32_t view_row, slot, t;
  int32_t row, column, rows, columns;
  int32_t radius;
  int32_t from;           ///< first column that is read, even; may lie before the frame
  int32_t in_rows;        ///< rows + 2*radius
  const uint16_t* frame;  ///< [S,S,3]
};

/// @param block slot of blurred_count
CSTP_HD BlurTile blur_tile_of(const RenderLaunch& launch, BlockNumber block) {
  const BlurShape& shape = launch.blur;
  const int32_t tile_row = block.tile / shape.column_tiles;
  BlurTile tile;
  tile.slot = block.slot;
  tile.t = block.t;
  tile.view_row = launch.blurred_views[tile.slot];
  tile.view = launch.views + tile.view_row;
  tile.row = tile_row * shape.rows;
  tile.column = (block.tile - tile_row * shape.column_tiles) * shape.columns;
  tile.rows = launch.size - tile.row < shape.rows ? launch.size - tile.row : shape.rows;
  tile.columns = launch.size - tile.column < shape.columns ? launch.size - tile.column : shape.columns;
  tile.radius = tile.view->blur_radius;
  tile.from = (tile.column - tile.radius) & ~1;  // downwards, also of negative numbers
  tile.in_rows = tile.rows + 2 * tile.radius;
  tile.frame = launch.unblurred + (int64_t{tile.slot} * launch.clip_frames + tile.t) * launch.size * launch.size * 3;
  return tile;
}

/// Where pixel i of an axis is read: inside, mirrored without repeating the edge, or -1 for zero. (Blur::source)
CSTP_HD int32_t blur_source(int32_t i, int32_t size, bool zero) {
  if (i >= 0 && i < size) return i;
  if (zero) return -1;
  return i < 0 ? -i : 2 * (size - 1) - i;
}

/// Step 1: rows of the frame, as far as columns lie inside. @param in [in_rows, in_pitch]
CSTP_HD void load_blur_rows(const RenderLaunch& launch, const BlurTile& tile, const BlurMemory& memory, int32_t thread,
                            uint16_t* in) {
  const int32_t size = launch.size;
  const int32_t begin = tile.from > 0 ? tile.from : 0;
  const int32_t past = tile.column + tile.columns + tile.radius;
  const int32_t end = past < size ? past : size;
  const bool words = size % 2 == 0;  // then rows, and even columns, begin at words
  const int32_t elements = 3 * (end - begin);
  const int32_t per_row = words ? (elements + 1) / 2 : elements;  // an odd end takes one more, which is there
  const float inverse = 1.0F / static_cast<float>(per_row);
  for (int32_t item = thread; item < tile.in_rows * per_row; item += kBlurThreads) {
    const int32_t row = quotient(item, inverse);
    const int32_t part = item - row * per_row;
    const int32_t source = blur_source(tile.row - tile.radius + row, size, tile.view->blur_zero != 0);
    uint16_t* to = in + row * memory.in_pitch + 3 * (begin - tile.from);
    const uint16_t* from = tile.frame + (int64_t{source} * size + begin) * 3;
    if (words) {
      const uint32_t word = source < 0 ? 0 : load_word(reinterpret_cast<Address>(from + 2 * part));
      store_word(to + 2 * part, word);
    } else {
      to[part] = source < 0 ? uint16_t{0} : from[part];
    }
  }
}

/// Step 2: columns beyond the frame's edges.
CSTP_HD void fill_blur_edges(const RenderLaunch& launch, const BlurTile& tile, const BlurMemory& memory, int32_t thread,
                             uint16_t* in) {
  const int32_t first = tile.column - tile.radius;
  const int32_t last = tile.column + tile.columns + tile.radius - 1;
  const int32_t before = first < 0 ? -first : 0;
  const int32_t after = last >= launch.size ? last - launch.size + 1 : 0;
  const int32_t outside = before + after;
  for (int32_t item = thread; item < tile.in_rows * outside; item += kBlurThreads) {
    const int32_t row = item / outside;
    const int32_t i = item - row * outside;
    const int32_t column = i < before ? first + i : launch.size + i - before;
    const int32_t source = blur_source(column, launch.size, tile.view->blur_zero != 0);
    uint16_t* pixels = in + row * memory.in_pitch;
    for (int32_t c = 0; c < 3; ++c) {
      pixels[3 * (column - tile.from) + c] = source < 0 ? uint16_t{0} : pixels[3 * (source - tile.from) + c];
    }
  }
}

/// Four neighbouring outputs of a Gaussian: sums over k of weights[k] * value(i + k), i = 0..3.
template <class Values>
CSTP_HD void blur_four(Address weights, int32_t radius, const Values& value, float (&sums)[4]) {
  float window[7];
  for (int32_t i = 0; i < 3; ++i) window[i] = value(i);
  for (int32_t k = 0; k < padded_blur_taps(radius); k += 4) {
    for (int32_t i = 3; i < 7; ++i) window[i] = value(k + i);
    for (int32_t i = 0; i < 4; ++i) {
      const float weight = load_float(weights, k + i);
      for (int32_t j = 0; j < 4; ++j) sums[j] += weight * window[i + j];
    }
    for (int32_t i = 0; i < 3; ++i) window[i] = window[i + 4];
  }
}

/// Step 3: along rows, out of the 65535ths. @param across [in_rows, across_pitch]
CSTP_HD void blur_across(const BlurTile& tile, const BlurMemory& memory, int32_t thread, const uint16_t* in,
                         float* across) {
  const int32_t runs = (tile.columns + 3) / 4;
  const float inverse = 1.0F / static_cast<float>(tile.in_rows);
  for (int32_t item = thread; item < tile.in_rows * 3 * runs; item += kBlurThreads) {
    const int32_t place = quotient(item, inverse);
    const int32_t row = item - place * tile.in_rows;  // neighbours stand one below the other
    const int32_t run = place / 3;
    const int32_t c = place - 3 * run;
    const uint16_t* values = in + row * memory.in_pitch + 3 * (tile.column - tile.radius - tile.from + 4 * run) + c;
    float sums[4] = {};
    blur_four(
        tile.view->blur_weights, tile.radius, [values](int32_t i) { return static_cast<float>(values[3 * i]); }, sums);
    for (int32_t j = 0; j < 4 && 4 * run + j < tile.columns; ++j) {
      across[row * memory.across_pitch + 3 * (4 * run + j) + c] = sums[j] * (1.0F / 65535.0F);
    }
  }
}

/// Step 4: down columns, solarized and in the network's range. @param stage [rows, stage_pitch]
template <class As>
CSTP_HD void blur_down(const RenderLaunch& launch, const BlurTile& tile, const BlurMemory& memory, int32_t thread,
                       const float* across, typename As::Element* stage) {
  const int32_t pitch = stage_pitch<typename As::Element>(launch.blur.columns);
  const int32_t elements = 3 * tile.columns;
  const int32_t last = tile.in_rows - 1;
  const float inverse = 1.0F / static_cast<float>(elements);
  for (int32_t item = thread; item < (tile.rows + 3) / 4 * elements; item += kBlurThreads) {
    const int32_t run = quotient(item, inverse);
    const int32_t i = item - run * elements;
    const float* values = across + i;
    const int32_t first = 4 * run, step = memory.across_pitch;
    float sums[4] = {};
    blur_four(
        tile.view->blur_weights, tile.radius,
        [values, first, step, last](int32_t k) {
          return values[(first + k < last ? first + k : last) * step];  // past the last, weights are zero
        },
        sums);
    for (int32_t j = 0; j < 4 && first + j < tile.rows; ++j) {
      stage[(first + j) * pitch + i] = As::from(in_range(*tile.view, sums[j], i % 3));
    }
  }
}

template <class Element>
CSTP_HD StagedTile staged_tile(const RenderLaunch& launch, const BlurTile& tile) {
  return {tile.row, tile.column, tile.rows, tile.columns, stage_pitch<Element>(launch.blur.columns)};
}

}  // namespace cstp
