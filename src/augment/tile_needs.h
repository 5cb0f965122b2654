/// Tiles of a view: their shapes, and what of a frame each one needs.
#pragma once
#include <algorithm>
#include <cstdint>
#include <vector>

#include "view_geometry.h"
#include "view_records.h"

namespace cstp {

/// Shared memory of a block: so much that two fit on every GPU since the A100, and all that one can have there.
inline constexpr int64_t kMostSharedBytes = 80 * 1024;
inline constexpr int64_t kAllSharedBytes = 160 * 1024;

/// Shapes of a tile, from the usual one to the one that needs the least memory.
inline constexpr int kTileChoices = 5;
TileShape tile_shape(int64_t size, int choice);

/// Source samples [begin, end) of an axis.
struct Interval {
  int64_t begin = 0, end = 0;
  bool empty() const { return begin >= end; }
  void include(int64_t from, int64_t to) {
    if (from >= to) return;
    if (empty()) {
      begin = from;
      end = to;
    }
    begin = std::min(begin, from);
    end = std::max(end, to);
  }
};

/// [row_tiles, column_tiles]
std::vector<TileNeed> tile_needs(const ViewGeometry& geometry, int64_t size, const TileShape& shape);
/// Floats of the vertical pass, of the tile that has most.
int32_t mixed_floats(const std::vector<TileNeed>& needs);
/// Whether a block has the shared memory. @param choice of shape; the last may take all that there is
bool tiles_fit(const std::vector<TileNeed>& needs, const TileShape& shape, int choice);

}  // namespace cstp
