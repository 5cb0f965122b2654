/// The same views in double precision, written down plainly: planes -> RGB at full size -> crop -> resize -> turns,
/// flip, tilt -> colours. Slow; what renderers are measured against.
#pragma once
#include <array>
#include <cstdint>
#include <vector>

#include "augment_cases.h"
#include "cstp/video/frame.h"

namespace cstp {

/// Three channels of width x height values in [0,1].
struct RgbImage {
  int64_t width = 0, height = 0;
  std::array<std::vector<double>, 3> channels;
};

/// A part of a frame; chroma between its samples is bilinear.
RgbImage full_rgb(const Frame& frame, const PixelCrop& box);

/// Where libraries differ in what they call the same operation.
struct ReferenceRules {
  bool area = false;  ///< shrinks by the mean over the pixel's area (OpenCV's INTER_AREA) whatever the plan says
  bool clip_contrast = true;  ///< contrast about the mean of the clip, else about each frame's
  bool operator<(const ReferenceRules& other) const {
    return std::pair(area, clip_contrast) < std::pair(other.area, other.clip_contrast);
  }
};

/// A view in [0,1], before the input range: [T,S,S,3].
std::vector<double> reference_view(const BenchCase& bench, const BenchView& view, const ReferenceRules& rules);

/// Peak signal-to-noise ratio in dB of a view in the case's input range; the peak is 1.
double psnr(const BenchCase& bench, const std::vector<float>& view, const std::vector<double>& reference);

}  // namespace cstp
