/// Planes of one size and orientation from those of another.
#pragma once
#include <array>
#include <cstdint>

#include "cstp/video/frame.h"

namespace cstp {

/// Planes to be written, owned by the caller.
struct PlaneTargets {
  std::array<uint8_t*, 3> planes{};  ///< y, u, v
  std::array<int64_t, 3> strides{};
};

/// The frame upright and width x height (both even): area averages where a plane shrinks, bilinear where it grows,
/// copied where it does neither.
void scale_upright(const Frame& frame, int64_t width, int64_t height, const PlaneTargets& to);

}  // namespace cstp
