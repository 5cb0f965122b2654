#include "cstp/augment/view_stream.h"

#include <torch/types.h>

#include <algorithm>
#include <chrono>
#include <cstring>

#include "cstp/core/error.h"

namespace cstp {

ClipLoader::Setup with_rendering(ClipLoader::Setup setup, const ViewOutput& output) {
  setup.finish = [annotate = std::move(setup.finish), size = output.size, input = output.input](Sample& sample) {
    if (sample.plan.raw_bytes) render_raw(sample, size);
    if (annotate) annotate(sample);
    sample.raw = {};
    sample.flow = {};
    render_sample(sample, size, input);
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

}  // namespace

ViewBatch gather_views(const Batch& batch, const ViewOutput& output) {
  ViewBatch views;
  std::vector<const Sample*> samples;
  for (const Sample& sample : batch) {
    if (sample.error.empty()) samples.push_back(&sample);
  }
  if (samples.empty()) return views;
  const auto count = static_cast<int64_t>(samples.size());                                      // B
  const auto per_video = static_cast<int64_t>(samples.front()->plan.views.size());              // V
  const auto frames = static_cast<int64_t>(samples.front()->plan.views.front().frames.size());  // T
  const int64_t side = output.size;
  const int64_t view_values = frames * side * side * 3;
  const bool pinned = output.device.is_cuda();
  at::Tensor buffer = torch::empty({per_video * count, frames, side, side, 3},
                                   torch::TensorOptions().dtype(torch::kFloat32).pinned_memory(pinned));
  at::Tensor labels = torch::empty({count}, torch::TensorOptions().dtype(torch::kInt64).pinned_memory(pinned));
  for (int64_t b = 0; b < count; ++b) {
    const Sample& sample = *samples[static_cast<size_t>(b)];
    check(static_cast<int64_t>(sample.rendered.size()) == per_video * view_values,
          "gather_views: the samples of a batch differ in views, frames or size");
    for (int64_t v = 0; v < per_video; ++v) {
      std::memcpy(buffer.data_ptr<float>() + (v * count + b) * view_values, sample.rendered.data() + v * view_values,
                  static_cast<size_t>(view_values) * sizeof(float));
    }
    labels.data_ptr<int64_t>()[b] = sample.label;
    views.plans.push_back(sample.plan);
    views.records.push_back(sample.record);
  }
  // [N,T,S,S,3] seen as [N,3,T,S,S] is channels-last-3d memory already.
  views.views = buffer.to(output.device, pinned).permute({0, 4, 1, 2, 3});
  if (!output.channels_last) views.views = views.views.contiguous();
  views.labels = labels.to(output.device, pinned);
  if (!samples.front()->targets.empty()) {
    views.targets = gather_targets(samples, per_video, pinned).to(output.device, pinned);
  }
  return views;
}

ViewStream::ViewStream(ClipLoader::Setup setup, const ViewOutput& output)
    : output_(output), loader_(with_rendering(std::move(setup), output)) {}

ViewBatch ViewStream::next() {
  const auto start = std::chrono::steady_clock::now();
  const Batch batch = loader_.next();
  wait_ += std::chrono::duration<double>(std::chrono::steady_clock::now() - start).count();
  return gather_views(batch, output_);
}

}  // namespace cstp
