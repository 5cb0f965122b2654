/// Batches of rendered views on a device: loader threads decode and render, the training thread only gathers and
/// copies.
#pragma once
#include <ATen/core/Tensor.h>
#include <c10/core/Device.h>

#include "cstp/augment/render.h"
#include "cstp/augment/view_batch.h"
#include "cstp/data/clip_loader.h"

namespace cstp {

struct ViewOutput {
  c10::Device device = c10::kCPU;
  int64_t size = 112;  ///< S
  InputOptions input;
  bool channels_last = true;  ///< memory order of the views; the shape stays [N,3,T,S,S]
};

/// The set-up with the finish hook of a learner: raw bytes where the plan wants them; the set-up's own hook (an
/// objective's annotate()), which still sees the decoded frames; then the rendered views.
ClipLoader::Setup with_rendering(ClipLoader::Setup setup, const ViewOutput& output);

/// Gathers rendered samples into one tensor, and their targets. Samples with an error are left out.
ViewBatch gather_views(const Batch& batch, const ViewOutput& output);

class ViewStream {
 public:
  /// The loader's finish hook becomes that of with_rendering().
  ViewStream(ClipLoader::Setup setup, const ViewOutput& output);
  /// The next batch on the device, rendered. Empty (videos() == 0) after the last.
  ViewBatch next();
  double wait_seconds() const { return wait_; }  ///< time next() spent waiting for the loader
  ClipLoader::Timing timing() const { return loader_.timing(); }

 private:
  ViewOutput output_;
  ClipLoader loader_;
  double wait_ = 0;
};

}  // namespace cstp
