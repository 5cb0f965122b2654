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

// How a channel leaves: f32, bf16, or, where a blur follows, 65535ths of [0,1].

struct AsFloat {
  using Element = float;
  static CSTP_HD float from(float value) { return value; }
};
struct AsBfloat16 {
  using Element = uint16_t;
  static CSTP_HD uint16_t from(float value) {
#ifdef __CUDA_ARCH__
    uint16_t bits;
    asm("cvt.rn.bf16.f32 %0, %1;" : "=h"(bits) : "f"(value));
    return bits;
#else
    uint32_t bits;
    std::memcpy(&bits, &value, sizeof bits);
    return static_cast<uint16_t>((bits + 0x7fff + (bits >> 16 & 1)) >> 16);  // to nearest, ties to even
#endif
  }
};
struct AsShare {
  using Element = uint16_t;
  static CSTP_HD uint16_t from(float value) { return static_cast<uint16_t>(65535.0F * value + 0.5F); }
};

/// Elements from row to row of the staged pixels: an odd number of words, so that threads down a column meet different
/// banks.
template <class Element>
CSTP_HD int32_t stage_pitch(int32_t columns) {
  constexpr auto kPerWord = static_cast<int32_t>(4 / sizeof(Element));
  return ((3 * columns + kPerWord - 1) / kPerWord | 1) * kPerWord;
}

/// Shared memory of a block that renders: the mixed rows, then the staged pixels, of either orientation and type.
template <class Element>
CSTP_HD int32_t render_shared_bytes(const RenderLaunch& launch) {
  const TileShape& tile = launch.tile;
  const int32_t upright = tile.rows * stage_pitch<Element>(tile.columns);
  const int32_t turned = tile.columns * stage_pitch<Element>(tile.rows);
  return 4 * launch.mixed_floats + static_cast<int32_t>(sizeof(Element)) * (upright > turned ? upright : turned);
}

/// The part of a view's frame that a tile becomes: of a turned view, the tile's transpose.
struct StagedTile {
  int32_t row, column, rows, columns;
  int32_t pitch;  ///< elements
};
template <class Element>
CSTP_HD StagedTile staged_tile(const RenderLaunch& launch, const Tile& tile) {
  if (tile.geometry->turned != 0)
    return {tile.column, tile.row, tile.columns, tile.rows, stage_pitch<Element>(launch.tile.rows)};
  return {tile.row, tile.column, tile.rows, tile.columns, stage_pitch<Element>(launch.tile.columns)};
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

// Step 3.

/// Staged pixels to a frame [S,S,3] of the output.
template <class Element>
CSTP_HD void store_tile(const StagedTile& staged, int32_t size, int32_t thread, int32_t threads, const Element* stage,
                        Element* frame) {
  constexpr auto kPerStore = static_cast<int32_t>(16 / sizeof(Element));
  Element* out = frame + (int64_t{staged.row} * size + staged.column) * 3;
  const int32_t elements = 3 * staged.columns;
  const bool whole =
      3 * size % kPerStore == 0 && elements % kPerStore == 0 && (reinterpret_cast<Address>(out) & 15) == 0;
  const int32_t per_row = whole ? elements / kPerStore : elements;
  const float inverse = 1.0F / static_cast<float>(per_row);
  for (int32_t item = thread; item < staged.rows * per_row; item += threads) {
    const int32_t row = quotient(item, inverse);
    const int32_t part = item - row * per_row;
    const Element* from = stage + row * staged.pitch;
    Element* to = out + int64_t{row} * size * 3;
    if (!whole) {
      to[part] = from[part];
      continue;
    }
#ifdef __CUDA_ARCH__
    const auto* words = reinterpret_cast<const uint32_t*>(from + part * kPerStore);
    *reinterpret_cast<uint4*>(to + part * kPerStore) = make_uint4(words[0], words[1], words[2], words[3]);
#else
    std::memcpy(to + part * kPerStore, from + part * kPerStore, 16);
#endif
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
