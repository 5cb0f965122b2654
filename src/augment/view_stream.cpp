#include "cstp/augment/view_stream.h"

#include <c10/core/Event.h>
#include <c10/core/StreamGuard.h>
#include <c10/core/impl/DeviceGuardImplInterface.h>
#include <torch/types.h>

#include <algorithm>
#include <chrono>
#include <cstring>
#include <optional>

#include "cstp/core/error.h"
#include "device_views.h"

namespace cstp {

ClipLoader::Setup with_rendering(ClipLoader::Setup setup, const ViewOutput& output, void* used_on) {
  setup.gpu = gpu_decoding(setup.options, output, static_cast<bool>(setup.finish), used_on);
  setup.finish = [annotate = std::move(setup.finish), size = output.size, input = output.input,
                  packs = output.cuda_renders](Sample& sample) {
    if (sample.plan.raw_bytes) render_raw(sample, size);
    if (annotate) annotate(sample);
    sample.raw = {};
    sample.flow = {};
    if (packs) {
      pack_for_device(sample, size, input);
    } else {
      render_sample(sample, size, input);
    }
  };
  return setup;
}

namespace {

/// [V*W] of each sample -> [V*B,W], view-major as the views.
at::Tensor gather_targets(const std::vector<const Sample*>& samples, int64_t views, bool pinned) {
  const size_t values = samples.front()->targets.size();
  const auto count = static_cast<int64_t>(samples.size());
  const int64_t width = static_cast<int64_t>(values) / views;
  check(width * views == static_cast<int64_t>(values), "every view of a sample has as many targets");
  at::Tensor targets =
      torch::empty({views, count, width}, torch::TensorOptions().dtype(torch::kFloat32).pinned_memory(pinned));
  for (int64_t b = 0; b < count; ++b) {
    const std::vector<float>& from = samples[static_cast<size_t>(b)]->targets;
    check(from.size() == values, "gather_views: the samples of a batch differ in their targets");
    for (int64_t v = 0; v < views; ++v) {
      std::copy_n(from.begin() + v * width, width, targets.data_ptr<float>() + (v * count + b) * width);
    }
  }
  return targets.flatten(0, 1);
}

/// Views that the loader's threads rendered, on the device: [V*B,T,S,S,3]
at::Tensor gather_rendered(const std::vector<const Sample*>& samples, const ViewOutput& output) {
  const auto count = static_cast<int64_t>(samples.size());                                      // B
  const auto per_video = static_cast<int64_t>(samples.front()->plan.views.size());              // V
  const auto frames = static_cast<int64_t>(samples.front()->plan.views.front().frames.size());  // T
  const int64_t side = output.size;
  const int64_t view_values = frames * side * side * 3;
  const bool pinned = output.device.is_cuda();
  at::Tensor buffer = torch::empty({per_video * count, frames, side, side, 3},
                                   torch::TensorOptions().dtype(torch::kFloat32).pinned_memory(pinned));
  for (int64_t b = 0; b < count; ++b) {
    const Sample& sample = *samples[static_cast<size_t>(b)];
    check(static_cast<int64_t>(sample.rendered.size()) == per_video * view_values,
          "gather_views: the samples of a batch differ in views, frames or size");
    for (int64_t v = 0; v < per_video; ++v) {
      std::memcpy(buffer.data_ptr<float>() + (v * count + b) * view_values, sample.rendered.data() + v * view_values,
                  static_cast<size_t>(view_values) * sizeof(float));
    }
  }
  return buffer.to(output.device, pinned);
}

}  // namespace

ViewBatch gather_views(const Batch& batch, const ViewOutput& output) {
  ViewBatch views;
  std::vector<const Sample*> samples;
  for (const Sample& sample : batch) {
    if (sample.error.empty()) samples.push_back(&sample);
  }
  if (samples.empty()) return views;
  const auto count = static_cast<int64_t>(samples.size());                          // B
  const auto per_video = static_cast<int64_t>(samples.front()->plan.views.size());  // V
  const bool pinned = output.device.is_cuda();
  at::Tensor labels = torch::empty({count}, torch::TensorOptions().dtype(torch::kInt64).pinned_memory(pinned));
  for (int64_t b = 0; b < count; ++b) {
    const Sample& sample = *samples[static_cast<size_t>(b)];
    labels.data_ptr<int64_t>()[b] = sample.label;
    views.plans.push_back(sample.plan);
    views.records.push_back(sample.record);
  }
  const at::Tensor rendered =
      output.cuda_renders ? render_on_device(samples, output) : gather_rendered(samples, output);  // [N,T,S,S,3]
  views.views = rendered.permute({0, 4, 1, 2, 3});  // seen as [N,3,T,S,S] it is channels-last-3d memory already
  if (!output.channels_last) views.views = views.views.contiguous();
  views.labels = labels.to(output.device, pinned);
  if (!samples.front()->targets.empty()) {
    views.targets = gather_targets(samples, per_video, pinned).to(output.device, pinned);
  }
  return views;
}

/// A stream of the GPU's beside the one that computes, and the batch that was started there.
struct ViewStream::Ahead {
  c10::Stream stream;
  std::optional<ViewBatch> batch{};
  std::optional<c10::Event> done{};
};

namespace {

c10::Stream stream_beside(c10::Device device) {
  const auto* const gpu = c10::impl::getDeviceGuardImpl(device.type());
  return gpu->getStreamFromGlobalPool(gpu->getDevice());
}

}  // namespace

ViewStream::ViewStream(ClipLoader::Setup setup, const ViewOutput& output)
    : output_(output),
      ahead_(output.cuda_renders ? new Ahead{.stream = stream_beside(output.device)} : nullptr),
      loader_(with_rendering(std::move(setup), output, ahead_ ? ahead_->stream.native_handle() : nullptr)) {}

ViewStream::~ViewStream() = default;

Batch ViewStream::wait_for_batch() {
  const auto start = std::chrono::steady_clock::now();
  Batch batch = loader_.next();
  wait_ += std::chrono::duration<double>(std::chrono::steady_clock::now() - start).count();
  return batch;
}

void ViewStream::start(const Batch& batch) {
  const c10::StreamGuard there(ahead_->stream);
  ahead_->batch = gather_views(batch, output_);
  ahead_->done.emplace(output_.device.type());
  ahead_->done->record(ahead_->stream);
}

ViewBatch ViewStream::next() {
  if (!ahead_) return gather_views(wait_for_batch(), output_);
  if (!ahead_->batch) start(wait_for_batch());
  ViewBatch batch = std::move(*ahead_->batch);
  ahead_->batch.reset();
  const auto* const gpu = c10::impl::getDeviceGuardImpl(output_.device.type());
  const c10::Stream here = gpu->getStream(ahead_->stream.device());
  ahead_->done->block(here);  // the step waits on the GPU, not the host
  for (const at::Tensor& tensor : {batch.views, batch.labels, batch.targets}) {
    if (tensor.defined()) tensor.record_stream(here);  // memory of the other stream is not used again before the step
  }
  // While this batch's step computes. A loader that is late is waited for by the call after this one.
  if (loader_.ready()) start(loader_.next());
  return batch;
}

}  // namespace cstp
