/// The CUDA body of the renderer, block by block and thread by thread, as functions of their numbers: render_cuda.cu
/// runs them on a GPU, tests run them over the same grid on the CPU.
///
/// A block makes a tile of the resampled square (16 x 56 pixels for views of 112 and 224) in three steps between which
/// its threads meet:
/// 1. mix_tile: the vertical pass. A thread reads four neighbouring bytes of every row that an output row needs, and
///    writes four floats to shared memory. Outputs of a block share rows, which the nearest cache serves.
/// 2. make_pixels, stage_pixels: the horizontal pass out of shared memory, conversion, colours, range. A thread stays
///    in one column, so that what it knows of the column's taps serves four pixels; neighbouring threads read
///    neighbouring columns. Finished pixels go to shared memory.
/// 3. store_tile: rows of the tile, which are whole 16-byte words of channels-last memory, go out in such words.
///
/// Why this and not taps on the fly: of crops of 340 x 256 to 224 and of 320 x 240 to 112 a pixel reads 4 to 64 luma
/// and 8 to 50 chroma samples; with a vertical pass of its own it is 2 to 8 and 4 to 10, and a source byte is turned
/// into a float once or twice, not for every pixel around it. Why tiles and not rows: a turned view's tile is the same
/// tile, written out transposed, and the part of the square that a tilted one needs stays small. Bytes that must move
/// for a frame of a view: the crop's planes once, S*S*3 outputs once; at 224 in bf16 that is 0.30 MB written and
/// at most 0.13 MB read.
#pragma once
#include "tile_mix.h"
#include "tile_store.h"

namespace cstp {

// Step 2: the horizontal pass and the colours.

/// Pixels of a thread: in column `column` of the tile, every kThreadRows-th row.
template <int32_t kRows>
struct Pixels {
  Rgb p[kRows];
};

/// Adds the taps of output `x` of an axis, for several rows of the mixed columns from `from` on.
template <int32_t kRows>
CSTP_HD void add_taps(const AxisTaps& taps, int32_t x, int32_t from, const float* const (&rows)[kRows],
                      float (&sums)[kRows]) {
  const TapSpan span = load_span(taps.spans, x);
  const int64_t first_weight = x * taps.width;
  CSTP_UNROLL(2)
  for (int32_t k = 0; k < span.count; ++k) {
    const float weight = load_float(taps.weights, first_weight + k);
    for (int32_t j = 0; j < kRows; ++j) sums[j] += weight * rows[j][span.first - from + k];
  }
}

/// Both chroma planes at once.
template <int32_t kRows>
CSTP_HD void add_chroma(const AxisTaps& taps, int32_t x, const TileNeed& need, const float* const (&rows)[kRows],
                        float (&blue)[kRows], float (&red)[kRows]) {
  const TapSpan span = load_span(taps.spans, x);
  const int64_t first_weight = x * taps.width;
  const int32_t to_red = 4 * need.chroma_fours;
  CSTP_UNROLL(2)
  for (int32_t k = 0; k < span.count; ++k) {
    const float weight = load_float(taps.weights, first_weight + k);
    const int32_t at = 4 * need.luma_fours + span.first - need.chroma_from + k;
    for (int32_t j = 0; j < kRows; ++j) {
      blue[j] += weight * rows[j][at];
      red[j] += weight * rows[j][at + to_red];
    }
  }
}

/// kRows pixels of column `x` of the square, in the rows of shared memory that are given.
template <int32_t kRows>
CSTP_HD void cut_column(const Tile& tile, int32_t x, const float* const (&rows)[kRows], Rgb (&out)[kRows]) {
  float luma[kRows] = {}, blue[kRows] = {}, red[kRows] = {};
  add_taps<kRows>(tile.geometry->luma_across, x, tile.need.luma_from, rows, luma);
  add_chroma<kRows>(tile.geometry->chroma_across, x, tile.need, rows, blue, red);
  const YcbcrToRgb& k = tile.frame->coefficients;
  for (int32_t j = 0; j < kRows; ++j) to_rgb(k, luma[j], blue[j], red[j], out[j].r, out[j].g, out[j].b);
}

/// The jitter from operation `from` to `end`. @param mean of the clip, where the contrast is among them
template <int32_t kRows>
CSTP_HD void change_colours(const ViewRecord& view, int32_t from, int32_t end, Rgb mean, Rgb (&p)[kRows]) {
  for (int32_t i = from; i < end; ++i) {
    const float amount = view.amount[i];
    switch (view.operation[i]) {
      case kBrightness:
        for (int32_t j = 0; j < kRows; ++j) p[j] = adjust_brightness(p[j], amount);
        break;
      case kContrast:
        if (view.tensorflow != 0) {
          for (int32_t j = 0; j < kRows; ++j) p[j] = adjust_channel_contrast(p[j], amount, mean);
        } else {
          const float grey = luma(mean);  // the mean luma, as the luma is linear
          for (int32_t j = 0; j < kRows; ++j) p[j] = adjust_contrast(p[j], amount, grey);
        }
        break;
      case kSaturation:
        if (view.tensorflow != 0) {
          for (int32_t j = 0; j < kRows; ++j) p[j] = adjust_hsv_saturation(p[j], amount);
        } else {
          for (int32_t j = 0; j < kRows; ++j) p[j] = adjust_saturation(p[j], amount);
        }
        break;
      default:
        for (int32_t j = 0; j < kRows; ++j) p[j] = adjust_hue(p[j], amount);
    }
  }
}

/// A thread's place among the pixels of a tile. Rows past the tile's last repeat it, so that all threads do the same.
template <int32_t kRows>
struct ThreadPixels {
  int32_t column;      ///< of the tile
  int32_t row[kRows];  ///< of the tile
  bool inside[kRows];

  CSTP_HD ThreadPixels(const RenderLaunch& launch, const Tile& tile, int32_t thread) {
    const int32_t first = quotient(thread, 1.0F / static_cast<float>(launch.tile.columns));
    column = thread - first * launch.tile.columns;
    for (int32_t j = 0; j < kRows; ++j) {
      const int32_t wanted = first + j * kThreadRows;
      inside[j] = wanted < tile.rows && column < tile.columns;
      row[j] = wanted < tile.rows ? wanted : tile.rows - 1;
    }
    if (column >= tile.columns) column = tile.columns - 1;
  }
};

/// A thread's pixels of the view up to operation `end` of the jitter.
template <int32_t kRows>
CSTP_HD void make_pixels(const RenderLaunch& launch, const Tile& tile, const ThreadPixels<kRows>& at, int32_t end,
                         const float* mixed, Rgb (&p)[kRows]) {
  if (tile.geometry->tilted == 0) {
    const float* rows[kRows];
    for (int32_t j = 0; j < kRows; ++j) rows[j] = mixed + (tile.row + at.row[j] - tile.need.row) * tile.pitch;
    cut_column<kRows>(tile, tile.column + at.column, rows, p);
  } else {
    const GeometryRecord& geometry = *tile.geometry;
    for (int32_t j = 0; j < kRows; ++j) {
      const GridPoint from = tilted_source(geometry.tilt, tile.column + at.column, tile.row + at.row[j]);
      Rgb one[1] = {{0, 0, 0}};
      if (from.x >= 0 && from.x < launch.size && from.y >= 0 && from.y < launch.size) {
        const int64_t x = geometry.column.offset + from.x * geometry.column.dx + from.y * geometry.column.dy;
        const int64_t y = geometry.row.offset + from.x * geometry.row.dx + from.y * geometry.row.dy;
        const float* const rows[1] = {mixed + (static_cast<int32_t>(y) - tile.need.row) * tile.pitch};
        cut_column<1>(tile, static_cast<int32_t>(x), rows, one);
      }
      p[j] = one[0];
    }
  }
  Rgb mean{0, 0, 0};
  if (tile.view->contrast < end) {
    const float* means = launch.means + 3 * tile.view->contrast_slot;
    mean = {means[0], means[1], means[2]};
  }
  change_colours<kRows>(*tile.view, 0, end, mean, p);
}

CSTP_HD float in_range(const ViewRecord& view, float value, int32_t c) {
  return view.range.scale[c] * solarize(value, view.solarize) + view.range.bias[c];
}

/// What follows the jitter, for all of a thread's pixels.
template <class As, int32_t kRows>
CSTP_HD void stage_pixels(const RenderLaunch& launch, const Tile& tile, const ThreadPixels<kRows>& at, bool finished,
                          const Rgb (&pixels)[kRows], typename As::Element* stage) {
  const ViewRecord& view = *tile.view;
  const StagedTile staged = staged_tile<typename As::Element>(launch, tile);
  for (int32_t j = 0; j < kRows; ++j) {
    if (!at.inside[j]) continue;
    Rgb p = pixels[j];
    if (view.grey != 0) {
      const float grey = view.tensorflow != 0 ? tensorflow_luma(p) : luma(p);
      p = {grey, grey, grey};
    }
    if (const int32_t channel = tile.frame->grey_channel; channel >= 0) {
      const float value = channel == 0 ? p.r : channel == 1 ? p.g : p.b;
      p = {value, value, value};
    }
    if (finished) p = {in_range(view, p.r, 0), in_range(view, p.g, 1), in_range(view, p.b, 2)};
    const bool turned = tile.geometry->turned != 0;
    typename As::Element* to =
        stage + (turned ? at.column * staged.pitch + 3 * at.row[j] : at.row[j] * staged.pitch + 3 * at.column);
    to[0] = As::from(p.r);
    to[1] = As::from(p.g);
    to[2] = As::from(p.b);
  }
}

// The sums of a clip, for the contrast: partial sums of blocks, then of clips, in an order that is always the same.

/// A thread's part of its tile's sums. @param partial [3, threads]
template <int32_t kRows>
CSTP_HD void sum_pixels(const ThreadPixels<kRows>& at, const Rgb (&p)[kRows], int32_t thread, int32_t threads,
                        float* partial) {
  float r = 0, g = 0, b = 0;
  for (int32_t j = 0; j < kRows; ++j) {
    if (!at.inside[j]) continue;
    r += p[j].r;
    g += p[j].g;
    b += p[j].b;
  }
  partial[thread] = r;
  partial[threads + thread] = g;
  partial[2 * threads + thread] = b;
}

/// First half-width of the folding of `threads` values.
CSTP_HD int32_t first_fold(int32_t threads) {
  int32_t half = 1;
  while (2 * half < threads) half *= 2;
  return half;
}
/// One step of folding three rows of `threads` values; then threads meet, and `half` is halved, until it is 0.
template <class Value>
CSTP_HD void fold_sums(int32_t thread, int32_t threads, int32_t half, Value* partial) {
  if (thread >= half || thread + half >= threads) return;
  for (int32_t c = 0; c < 3; ++c) partial[c * threads + thread] += partial[c * threads + thread + half];
}

/// A thread's part of the sums over the blocks of clip `slot`. @param partial [3, kMeanThreads]
CSTP_HD void sum_blocks(const RenderLaunch& launch, int32_t slot, int32_t thread, double* partial) {
  const int32_t blocks = launch.clip_frames * launch.tile.row_tiles * launch.tile.column_tiles;
  const float* sums = launch.sums + int64_t{slot} * blocks * 3;
  double total[3] = {};
  for (int32_t block = thread; block < blocks; block += kMeanThreads) {
    for (int32_t c = 0; c < 3; ++c) total[c] += static_cast<double>(sums[3 * block + c]);
  }
  for (int32_t c = 0; c < 3; ++c) partial[c * kMeanThreads + thread] = total[c];
}
CSTP_HD void write_means(const RenderLaunch& launch, int32_t slot, const double* partial) {
  const double pixels = static_cast<double>(launch.size) * launch.size * launch.clip_frames;
  for (int32_t c = 0; c < 3; ++c) {
    launch.means[3 * slot + c] = static_cast<float>(partial[c * kMeanThreads] / pixels);
  }
}

}  // namespace cstp
