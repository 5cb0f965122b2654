/// Crops on the pixel grid, shared by the general draws and by pair sampling.
#pragma once
#include <optional>

#include "cstp/sampling/draw.h"
#include "cstp/sampling/overlap_pair.h"

namespace cstp {

/// One draw of area, aspect and place; nothing if the box does not fit the frame.
std::optional<PixelBox> try_crop(int64_t width, int64_t height, const CropOptions& options, Rng& rng);

inline CropBox relative_box(const PixelBox& box, int64_t width, int64_t height) {
  const auto w = static_cast<double>(width);
  const auto h = static_cast<double>(height);
  return {static_cast<double>(box.x) / w, static_cast<double>(box.y) / h, static_cast<double>(box.w) / w,
          static_cast<double>(box.h) / h};
}

}  // namespace cstp
