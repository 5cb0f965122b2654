/// What the loader hands to the renderer: decoded frames beside the plan that asked for them. No tensors here.
#pragma once
#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "cstp/core/unset_vector.h"
#include "cstp/sampling/plan.h"
#include "cstp/video/frame.h"

namespace cstp {

/// Optical flow of one view, on its own pixel grid: [fields,S,S] each, in output pixels, u to the right, v down.
struct ViewFlow {
  int64_t fields = 0;  ///< field t relates frames t and t+1
  std::vector<float> u, v;
};

class PackedViews;

/// One video's worth of views, decoded.
struct Sample {
  SamplePlan plan;
  std::vector<int64_t> frame_numbers;  ///< sorted, distinct: frames_wanted(plan)
  std::vector<Frame> frames;           ///< one per frame_numbers entry; planes lie in `memory`
  std::vector<std::shared_ptr<uint8_t[]>> memory;
  bool on_gpu = false;  ///< the planes lie in the GPU's memory, which decoded them
  VideoInfo video;
  std::string path;    ///< of the video's file
  int64_t record = 0;  ///< index into Dataset::videos
  int64_t label = -1;
  int64_t position = 0;         ///< place in the epoch's order
  int64_t attempt = 0;          ///< > 0 if bad videos were replaced here
  std::string error;            ///< why nothing was decoded; only where bad videos are kept (evaluation)
  std::vector<uint8_t> raw;     ///< [V,T,S,S,3] RGB without any colour operation, where the plan wants raw bytes
  std::vector<ViewFlow> flow;   ///< one per view, where the plan wants flow and the objective solved it
  std::vector<float> targets;   ///< [V,W], filled by Objective::annotate
  UnsetVector<float> rendered;  ///< [V,T,S,S,3], filled by the loader's finish hook (augment/render.h)
  std::shared_ptr<PackedViews> packed;  ///< instead, where a GPU renders: what it needs of the frames

  /// The frame with this number. Requires that it was wanted.
  const Frame& frame(int64_t number) const;
};

/// Consecutive positions, in order.
using Batch = std::vector<Sample>;

}  // namespace cstp
