#include "tile_needs.h"

#include <array>
#include <utility>

#include "tile_store.h"

namespace cstp {
namespace {

/// Outputs [begin, end) of an axis read these.
Interval read_by(const Taps& taps, int64_t begin, int64_t end) {
  Interval interval;
  for (auto i = static_cast<size_t>(begin); i < static_cast<size_t>(end); ++i) {
    interval.include(taps.first[i], taps.first[i] + taps.count[i]);
  }
  return interval;
}

/// From a multiple of four, in fours.
void set_fours(const Interval& columns, int32_t& from, int32_t& fours) {
  from = static_cast<int32_t>(columns.begin / 4 * 4);
  fours = columns.empty() ? 0 : static_cast<int32_t>((columns.end - from + 3) / 4);
}

/// Rows and columns of the square.
struct SquarePart {
  Interval rows, columns;
};

/// What of the square the view's pixels [tile] are taken from, with a pixel to spare on each side.
SquarePart tilted_part(const ViewGeometry& geometry, int64_t size, const SquarePart& tile) {
  const Placement column = compose_placement(geometry.turns, geometry.flip, size, 1, 0);
  const Placement row = compose_placement(geometry.turns, geometry.flip, size, 0, 1);
  SquarePart part;
  for (const int64_t y : {tile.rows.begin, tile.rows.end - 1}) {
    for (const int64_t x : {tile.columns.begin, tile.columns.end - 1}) {
      const GridPoint from = tilted_source(*geometry.tilt, x, y);
      const int64_t at_column = column.offset + from.x * column.dx + from.y * column.dy;
      const int64_t at_row = row.offset + from.x * row.dx + from.y * row.dy;
      part.columns.include(at_column - 1, at_column + 2);
      part.rows.include(at_row - 1, at_row + 2);
    }
  }
  for (Interval* side : {&part.rows, &part.columns}) {
    side->begin = std::clamp<int64_t>(side->begin, 0, size);
    side->end = std::clamp<int64_t>(side->end, side->begin, size);
  }
  return part;
}

}  // namespace

TileShape tile_shape(int64_t size, int choice) {
  constexpr std::array<std::pair<int32_t, int32_t>, kTileChoices> kMost = {
      {{16, 64}, {8, 64}, {8, 32}, {8, 16}, {8, 8}}};  // rows, columns
  const auto side = static_cast<int32_t>(size);
  const auto [rows, columns] = kMost[static_cast<size_t>(choice)];
  TileShape shape{};
  shape.rows = rows;
  shape.columns = piece_of(side, columns);
  shape.row_tiles = (side + shape.rows - 1) / shape.rows;
  shape.column_tiles = (side + shape.columns - 1) / shape.columns;
  return shape;
}

std::vector<TileNeed> tile_needs(const ViewGeometry& geometry, int64_t size, const TileShape& shape) {
  std::vector<TileNeed> needs;
  for (int64_t row = 0; row < size; row += shape.rows) {
    for (int64_t column = 0; column < size; column += shape.columns) {
      SquarePart part{{row, std::min<int64_t>(row + shape.rows, size)},
                      {column, std::min<int64_t>(column + shape.columns, size)}};
      if (geometry.tilt) part = tilted_part(geometry, size, part);
      TileNeed need{};
      need.tile_row = static_cast<int32_t>(row);
      need.tile_column = static_cast<int32_t>(column);
      need.row = static_cast<int32_t>(part.rows.begin);
      need.rows = static_cast<int32_t>(part.rows.end - part.rows.begin);
      set_fours(read_by(geometry.luma_across, part.columns.begin, part.columns.end), need.luma_from, need.luma_fours);
      set_fours(read_by(geometry.chroma_across, part.columns.begin, part.columns.end), need.chroma_from,
                need.chroma_fours);
      needs.push_back(need);
    }
  }
  return needs;
}

int32_t mixed_floats(const std::vector<TileNeed>& needs) {
  int32_t most = 0;
  for (const TileNeed& need : needs) most = std::max(most, need.rows * 4 * (need.luma_fours + 2 * need.chroma_fours));
  return most;
}

bool tiles_fit(const std::vector<TileNeed>& needs, const TileShape& shape, int choice) {
  const int64_t staged = std::max<int64_t>(int64_t{shape.rows} * stage_pitch<float>(shape.columns),
                                           int64_t{shape.columns} * stage_pitch<float>(shape.rows));
  return 4 * (mixed_floats(needs) + staged) <= (choice + 1 == kTileChoices ? kAllSharedBytes : kMostSharedBytes);
}

}  // namespace cstp
