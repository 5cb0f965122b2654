/// Optical flow of a view on its own pixel grid, so that it lines up with what the network sees.
///
/// Two ways. view_flow() solves it on the planned crop and a margin around it, from grey pictures at the size of the
/// view; the margin is there because flow near the edge of a picture lacks what comes in from outside.
/// stored_view_flow() cuts it from flow of whole frames that was computed before (STS as published: TV-L1 at short side
/// 256).
#pragma once
#include <cstdint>
#include <string>

#include "cstp/data/flow_store.h"
#include "cstp/data/sample.h"
#include "cstp/sampling/plan.h"
#include "cstp/video/flow.h"

namespace cstp {

struct ViewFlowOptions {
  FlowOptions solver;
  int64_t margin = 16;  ///< output pixels beyond each edge of the view, as far as the frame reaches
};

/// A crop grown on all sides, still a square of output pixels.
struct GrownCrop {
  CropBox box;
  int64_t side = 0;           ///< output pixels of the grown square
  int64_t left = 0, top = 0;  ///< where the view begins in it
};
/// Grows by up to 2*margin output pixels in width and height, by the same in both, and never beyond the frame: at an
/// edge of the frame the margin lies on the other side, and along a side that the crop fills there is none.
GrownCrop grow_crop(const CropBox& crop, int64_t size, int64_t margin);

/// Flow between consecutive frames of a view, and on to `frame_after` if that is not negative. Solved before the flip
/// and mirrored with it, u negated, so that a mirrored view has exactly the mirrored flow.
/// @param view without turns and tilt
/// @return fields [T-1,S,S] (one more with frame_after) in output pixels a step
/// Thread safety: no shared state; a thread keeps its solver.
ViewFlow view_flow(const Sample& sample, const ViewPlan& view, int64_t frame_after, int64_t size,
                   const ViewFlowOptions& options);

/// The same from a dump: cut, resized as bytes (bilinear, without antialiasing) and then decoded, as released; values
/// stay in pixels of the dump's frames. A frame that repeats itself has a field of zeros.
/// @param video path of the file; @param view of neighbouring frames
/// @throws DecodeError if the dump has no such fields
ViewFlow stored_view_flow(const FlowStore& store, const std::string& video, const ViewPlan& view, int64_t frame_after,
                          int64_t size);

/// What stored_view_flow() makes of the fields it read. @param stored from the view's first frame on
ViewFlow cut_view_flow(const FlowFields& stored, const ViewPlan& view, int64_t frame_after, int64_t size);

/// Every field mirrored in place, u negated.
void mirror_flow(ViewFlow& flow, int64_t size);

}  // namespace cstp
