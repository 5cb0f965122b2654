/// Plans executed on pixels: 8-bit 4:2:0 frames -> RGB views in [0,1], then the input range of the method.
///
/// One signature, two bodies: render_cpu() here; the fused CUDA body takes the same RenderJob. Order of execution per
/// frame: crop + resize (planes are resampled separately, then YCbCr -> RGB), turn, flip, tilt, jitter in the drawn
/// order, grey, blur, solarize, range. Every colour operation clamps to [0,1], as torchvision does on 8-bit pictures.
#pragma once
#include <array>
#include <cstdint>
#include <span>
#include <string>

#include "cstp/data/sample.h"
#include "cstp/sampling/plan.h"

namespace cstp {

class Fields;

/// What numbers the network sees. Stored in the checkpoint; evaluation takes it from there.
struct InputOptions {
  std::string range = "signed";  ///< signed [-1,1] | unit [0,1] | standard (x - mean) / std
  std::array<double, 3> mean = {0.43216, 0.394666, 0.37645};  ///< Kinetics, RGB; used by `standard`
  std::array<double, 3> std = {0.22803, 0.22145, 0.216989};
  void bind(Fields& f);
};

/// Renders one view of a sample.
/// @param out [T,S,S,3] f32, row-major
/// Thread safety: no shared state.
void render_cpu(const Sample& sample, const ViewPlan& view, int64_t size, const InputOptions& input,
                std::span<float> out);

/// Renders all views into sample.rendered ([V,T,S,S,3]) and releases the decoded frames. The loader's finish hook.
void render_sample(Sample& sample, int64_t size, const InputOptions& input);

/// Renders all views into sample.raw ([V,T,S,S,3] bytes) as the plan says but for its colours, which are left out: what
/// labels are measured from. The frames stay.
void render_raw(Sample& sample, int64_t size);

/// One RGB frame of a view as bytes [S,S,3], for pictures (contact sheets): range undone.
void render_preview(const Sample& sample, const ViewPlan& view, int64_t size, size_t frame, std::span<uint8_t> rgb);

}  // namespace cstp
