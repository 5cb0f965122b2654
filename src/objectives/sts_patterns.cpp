#include "cstp/objectives/sts_patterns.h"

#include <algorithm>

#include "cstp/core/error.h"

namespace cstp {
namespace {

/// The runs of the pixels for which inside(y, x) holds.
template <class Inside>
Block block_where(int64_t size, const Inside& inside) {
  Block block;
  for (int64_t y = 0; y < size; ++y) {
    for (int64_t x = 0; x < size; ++x) {
      if (!inside(y, x)) continue;
      const auto pixel = static_cast<int32_t>(y * size + x);
      if (x > 0 && !block.empty() && block.back().end == pixel) {
        ++block.back().end;
      } else {
        block.push_back({pixel, pixel + 1});
      }
    }
  }
  return block;
}

/// Ring of a pixel, 0 at the centre: by its distance from the nearest edge, in eighths of the side.
int64_t ring(int64_t size, int64_t y, int64_t x) {
  const int64_t edge = std::min({y, x, size - 1 - y, size - 1 - x});
  return 3 - std::min<int64_t>(3, edge / (size / 8));
}

/// Triangles 2i and 2i+1 share quadrant i (top left, top right, bottom left, bottom right) and its diagonal.
bool in_wedge(int64_t size, int64_t wedge, int64_t y, int64_t x) {
  const int64_t half = size / 2;
  const int64_t quadrant = 2 * (y / half) + x / half;
  if (wedge / 2 != quadrant) return false;
  const int64_t r = y % half, c = x % half;
  const bool falling = quadrant == 0 || quadrant == 3;  // the diagonal runs down to the right
  const int64_t side = falling ? c - r : r + c - (half - 1);
  return wedge % 2 == 0 ? side <= 0 : side >= 0;
}

}  // namespace

int64_t pixel_count(const Block& block) {
  int64_t count = 0;
  for (const PixelRun& run : block) count += run.end - run.begin;
  return count;
}

StsPatterns::StsPatterns(int64_t side) : size(side) {
  check(side >= 8 && side % 8 == 0, "StsPatterns: the side is a multiple of 8");
  for (int64_t i = 0; i < 16; ++i) {
    blocks[0].push_back(block_where(side, [&](int64_t y, int64_t x) { return 4 * y / side * 4 + 4 * x / side == i; }));
  }
  for (int64_t i = 0; i < 4; ++i) {
    blocks[1].push_back(block_where(side, [&](int64_t y, int64_t x) { return ring(side, y, x) == i; }));
  }
  for (int64_t i = 0; i < 8; ++i) {
    blocks[2].push_back(block_where(side, [&](int64_t y, int64_t x) { return in_wedge(side, i, y, x); }));
  }
  whole = {{0, static_cast<int32_t>(side * side)}};
}

}  // namespace cstp
