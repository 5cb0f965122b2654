/// A square picture with the blocks of one of STS's patterns: thin lines between them, outlines and arrows on some.
#pragma once
#include <cstdint>
#include <span>
#include <string>
#include <vector>

#include "cstp/objectives/sts_patterns.h"
#include "cstp/video/picture.h"

namespace cstp {

/// An answer that is shown: a block, and what is said of it.
struct BlockMark {
  int64_t block = 0;  ///< from 1, as in the labels; outside of the pattern: nothing is drawn
  Color outline;
  int64_t orientation = 0;  ///< 1..8: an arrow at (orientation - 1) * 45 degrees, clockwise from the right; 0: none
  int64_t octant = 0;       ///< 1..8: a swatch of that colour (see octant_color); 0: none
};

/// The corner of the RGB cube that stands for an octant: 1 blue, 2 cyan, 3 magenta, 4 white, 5 black, 6 green, 7 red, 8
/// yellow.
Color octant_color(int64_t octant);
std::string octant_name(int64_t octant);

/// Where a block's arrow and swatch stand, in pixels of the view: its centre, of a ring the middle of its upper bar.
struct BlockPlace {
  double x = 0, y = 0;
};
BlockPlace block_place(const StsPatterns& patterns, int64_t pattern, int64_t block);

/// Draws side x side pixels whose top left corner is (x, y).
/// @param background [S,S,3] bytes, S = patterns.size
void draw_block_panel(Picture& sheet, int64_t x, int64_t y, int64_t side, const StsPatterns& patterns, int64_t pattern,
                      std::span<const uint8_t> background, std::span<const BlockMark> marks);

}  // namespace cstp
