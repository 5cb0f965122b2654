/// What bench_render_cuda renders: batches of videos of made frames, two views of 16 frames each, drawn by the methods'
/// own laws.
#pragma once
#include <cstdint>
#include <functional>
#include <string>
#include <vector>

#include "cstp/core/random.h"
#include "cstp/data/sample.h"
#include "cstp/sampling/plan.h"

namespace cstp {

inline constexpr int64_t kRenderFrames = 16;

struct FrameSize {
  int64_t width, height;
};

struct RenderCase {
  const char* name;
  FrameSize frame;
  int64_t size;  ///< S of the views
  std::function<void(const VideoInfo&, int64_t size, Rng&, std::vector<ViewPlan>&)> draw;
  /// "cvrl 340x256->224"
  std::string title() const;
};
const std::vector<RenderCase>& render_cases();

/// @param videos of the batch; 0: 64 at 112 pixels, 32 at 224
std::vector<Sample> drawn_batch(const RenderCase& one, int64_t videos);

/// The plans of CVRL's cases as JSON, for tools/peers/render_cuda.py. @throws DataError if the file cannot be written
void write_plans(const std::string& path, int64_t videos);

}  // namespace cstp
