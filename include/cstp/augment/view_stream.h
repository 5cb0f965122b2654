/// Batches of rendered views on a device. On a CPU, loader threads decode and render, and the training thread only
/// gathers. On a GPU, loader threads leave the parts of planes that views read in pinned memory, and the GPU copies and
/// renders a batch on a stream of its own while the step before it computes; the host waits for nothing but the loader.
#pragma once
#include <ATen/core/Tensor.h>
#include <c10/core/Device.h>

#include <memory>
#include <string>

#include "cstp/augment/render.h"
#include "cstp/augment/view_batch.h"
#include "cstp/data/clip_loader.h"

namespace cstp {

struct ViewOutput {
  c10::Device device = c10::kCPU;
  int64_t size = 112;  ///< S
  InputOptions input;
  bool channels_last = true;  ///< memory order of the views; the shape stays [N,3,T,S,S]
  bool cuda_renders = false;  ///< the GPU renders, see cuda_renders(); else the loader's threads do
  bool bf16 = false;          ///< type of the views where the GPU renders; else f32
};

/// Whether the GPU renders. @param wanted loader.render
/// @throws DeviceError if it should and cannot
bool cuda_renders(const std::string& wanted, c10::Device device);

/// The set-up with the finish hook of a learner: raw bytes where the plan wants them; the set-up's own hook (an
/// objective's annotate()), which still sees the decoded frames; then the rendered views, or what a GPU renders from.
/// Where a GPU renders and there is no hook of its own, the GPU may decode too (loader.decode).
/// @param used_on the stream (cudaStream_t) on which gather_views() will be called; null: the device's first
/// @throws DeviceError if loader.decode is cuda, and it cannot
ClipLoader::Setup with_rendering(ClipLoader::Setup setup, const ViewOutput& output, void* used_on = nullptr);

/// Gathers rendered samples into one tensor, and their targets; or renders them on the GPU's current stream, without
/// waiting for it. Samples with an error are left out.
ViewBatch gather_views(const Batch& batch, const ViewOutput& output);

class ViewStream {
 public:
  /// The loader's finish hook becomes that of with_rendering().
  ViewStream(ClipLoader::Setup setup, const ViewOutput& output);
  ~ViewStream();
  /// The next batch on the device, rendered. Empty (videos() == 0) after the last.
  ViewBatch next();
  double wait_seconds() const { return wait_; }  ///< time next() spent waiting for the loader
  ClipLoader::Timing timing() const { return loader_.timing(); }

 private:
  struct Ahead;
  Batch wait_for_batch();
  void start(const Batch& batch);

  ViewOutput output_;
  std::unique_ptr<Ahead> ahead_;  ///< where the GPU renders: its stream, and the batch after the one in use
  ClipLoader loader_;
  double wait_ = 0;
};

}  // namespace cstp
