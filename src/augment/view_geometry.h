/// How a view's plan meets a frame: taps on the coded planes, mirrored as the view wants them, and what is left to be
/// turned, worked out once per (view, frame size) and used for all of its frames. And what both bodies ask of a plan.
#pragma once
#include <cstdint>
#include <optional>
#include <vector>

#include "cstp/augment/render.h"
#include "cstp/sampling/plan.h"
#include "cstp/video/frame.h"
#include "pixel_math.h"
#include "resample.h"

namespace cstp {

struct ViewGeometry {
  Taps luma_across, luma_down;
  Taps chroma_across, chroma_down;
  bool turned = false;       ///< pixel (x, y) of the view is pixel (y, x) of the resampled square
  std::optional<Tilt> tilt;  ///< instead of a turn: pixel (x, y) of the view is of the square at tilted_source(x, y)
  int turns = 0;  ///< of the square, then a flip: both are in the taps and in `turned` unless there is a tilt
  bool flip = false;
  int64_t width = 0, height = 0;  ///< coded size and rotation this was made for
  int quarter_turns = 0;

  bool fits(const Frame& frame) const {
    return frame.width == width && frame.height == height && frame.quarter_turns == quarter_turns;
  }
};

/// With a tilt, the places of the view's pixels, in the order of PixelBlocks, in the square's blocks; -1 where black.
std::vector<int32_t> tilt_table(const ViewGeometry& geometry, int64_t size);

/// Chroma samples are taken to lie at the centre of their 2 x 2 luma samples (as in MPEG-1 and JPEG); the quarter
/// sample by which MPEG-2 streams differ is far below what a view resolves.
ViewGeometry make_geometry(const Frame& frame, const ViewPlan& view, int64_t size);

/// What no drawn plan does. Checks with our own mistakes in mind.
void check_view(const ViewPlan& view, int64_t size);
InputAffine input_affine(const InputOptions& input);

}  // namespace cstp
