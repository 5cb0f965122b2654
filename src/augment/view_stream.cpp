#include "cstp/augment/view_stream.h"

#include <torch/types.h>

#include <chrono>
#include <cstring>

#include "cstp/core/error.h"

namespace cstp {
namespace {

ClipLoader::Setup with_rendering(ClipLoader::Setup setup, const ViewOutput& output) {
  setup.finish = [size = output.size, input = output.input](Sample& sample) { render_sample(sample, size, input); };
  return setup;
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
