/// What the renderer and its rivals are timed on: made clips, the plans drawn on them, and a description of both that
/// any program can read.
#pragma once
#include <cstdint>
#include <string>
#include <vector>

#include "cstp/augment/render.h"
#include "cstp/data/sample.h"
#include "cstp/sampling/plan.h"

namespace cstp {

/// A plan on one of the case's clips, its crop on whole pixels.
struct BenchView {
  size_t clip = 0;
  ViewPlan plan;
};

struct BenchCase {
  std::string name;
  int64_t width = 0, height = 0;  ///< of the frames
  int64_t size = 0;               ///< S
  InputOptions input;
  std::vector<Sample> clips;  ///< 4:2:0, planes of a frame one after the other in one block (I420)
  std::vector<BenchView> views;
};

/// T of every clip.
inline constexpr int64_t kBenchFrames = 16;

/// Crop + resize + range alone, by three filters on three sizes; CVRL's recipe; CSTP's. Drawn by the methods' own
/// draws, always alike.
std::vector<BenchCase> bench_cases();

struct PixelCrop {
  int64_t x = 0, y = 0, w = 0, h = 0;
};
/// The crop of a view in pixels of the frame.
PixelCrop pixel_crop(const BenchCase& bench, const ViewPlan& plan);

/// Odd number of weights of a view's blur.
int64_t blur_taps(const ColorPlan& color);

/// Writes cases.json (plans, one object per case) and, for each frame size, the frames as I420 and as RGB into a
/// folder.
void write_cases(const std::vector<BenchCase>& cases, const std::string& folder);

}  // namespace cstp
