/// How a view's plan meets a frame: taps on the coded planes and one dihedral placement, worked out once per (view,
/// frame size) and used for all of its frames.
#pragma once
#include <cstdint>
#include <vector>

#include "cstp/sampling/plan.h"
#include "cstp/video/frame.h"
#include "pixel_math.h"
#include "resample.h"

namespace cstp {

struct ViewGeometry {
  Taps luma_across, luma_down;
  Taps chroma_across, chroma_down;
  Placement placement;            ///< resampled square -> view, without the tilt
  std::vector<int32_t> tilted;    ///< with a tilt: per output pixel its place in the resampled square, -1 where black
  int64_t width = 0, height = 0;  ///< coded size and rotation this was made for
  int quarter_turns = 0;

  bool fits(const Frame& frame) const {
    return frame.width == width && frame.height == height && frame.quarter_turns == quarter_turns;
  }
};

/// Chroma samples are taken to lie at the centre of their 2 x 2 luma samples (as in MPEG-1 and JPEG); the quarter
/// sample by which MPEG-2 streams differ is far below what a view resolves.
ViewGeometry make_geometry(const Frame& frame, const ViewPlan& view, int64_t size);

}  // namespace cstp
