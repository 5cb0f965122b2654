/// The three partitions of a view about whose blocks STS asks (specification of STS, section 4).
///
///   P1 grid     16 squares, row by row
///   P2 nested   a centre square and three square rings around it, inside out
///   P3 wedges   8 right triangles, between the diagonals and the mid-lines; the pixels of a diagonal belong to both
///               of its neighbours
#pragma once
#include <array>
#include <cstddef>
#include <cstdint>
#include <vector>

namespace cstp {

/// Consecutive pixels [begin, end) of a row-major view [S,S], within one row.
struct PixelRun {
  int32_t begin = 0, end = 0;
};
using Block = std::vector<PixelRun>;

int64_t pixel_count(const Block& block);

struct StsPatterns {
  /// Requires a size S that is a multiple of 8.
  explicit StsPatterns(int64_t size);

  int64_t size;
  std::array<std::vector<Block>, 3> blocks;  ///< of P1, P2, P3: 16, 4 and 8; block i is called i+1 in the labels
  Block whole;                               ///< every pixel
};

/// Which questions are asked of the partitions, and of the clip as a whole.
struct StsParts {
  bool p1 = true, p2 = true, p3 = true, global = true;
  bool pattern(size_t i) const { return i == 0 ? p1 : i == 1 ? p2 : p3; }
  bool any() const { return p1 || p2 || p3 || global; }
};

}  // namespace cstp
