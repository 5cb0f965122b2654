/// Step 3 of a tile (tile_body.h): staged pixels on their way out, and the types in which they leave.
#pragma once
#include "tile_mix.h"

namespace cstp {

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

}  // namespace cstp
