/// Two more laws of random resized crops, whole pixels in, whole pixels out.
///
/// Sources: the released code of CVRL (Qian et al., CVPR 2021), which crops with TensorFlow's
/// sample_distorted_bounding_box, as its specification describes that operation; torchvision's RandomResizedCrop.
#pragma once
#include <cstdint>
#include <optional>

#include "cstp/core/random.h"
#include "cstp/sampling/draw.h"
#include "cstp/sampling/overlap_pair.h"

namespace cstp {

struct CropSize {
  int64_t w = 0, h = 0;
  bool operator==(const CropSize&) const = default;
};
/// Heights that are drawn from for one aspect (width / height): low..high, both included; high < low never.
struct CropHeights {
  int64_t low = 0, high = 0;
};
CropHeights crop_heights(int64_t width, int64_t height, const CropOptions& options, double aspect);
/// The crop of a drawn height, moved by one pixel where rounding took its area out of the range; nothing if that does
/// not help.
std::optional<CropSize> sized_crop(int64_t width, int64_t height, const CropOptions& options, double aspect,
                                   int64_t drawn);

/// Aspect uniform, then the height uniform, then the place, whose last pixel is never drawn; up to 100 tries, else the
/// whole frame. Mean area of 340x256 and [0.3,1] x [0.5,2]: .504.
PixelBox height_uniform_crop(int64_t width, int64_t height, const CropOptions& options, Rng& rng);

/// Area uniform and the logarithm of the aspect uniform; up to 10 tries, else the largest centred box whose aspect is
/// in the range. Mean area of the same: .539.
PixelBox log_aspect_crop(int64_t width, int64_t height, const CropOptions& options, Rng& rng);

}  // namespace cstp
