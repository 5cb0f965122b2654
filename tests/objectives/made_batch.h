/// Small objectives and batches for tests: 8 frames of 32 x 32 pixels unless told otherwise, an eighth of the channels.
#pragma once
#include <torch/torch.h>

#include <iterator>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "cstp/core/config.h"
#include "cstp/objectives/objective.h"

namespace cstp {

inline ObjectiveParts small_parts(const std::string& backbone = "r2plus1d10", double width = 0.125, int64_t frames = 8,
                                  int64_t size = 32) {
  ObjectiveParts parts;
  parts.clip = {.frames = frames, .stride = 2, .size = size};
  parts.make_backbone = [=] { return make_backbone({.name = backbone, .width = width}); };
  parts.classes = 3;
  return parts;
}

/// From flow-style YAML: "{name: cstp}". The weights depend on the seed alone.
inline std::shared_ptr<Objective> made_objective(const std::string& yaml, const ObjectiveParts& parts = small_parts(),
                                                 uint64_t seed = 1) {
  torch::manual_seed(seed);
  return make_objective(ConfigNode::parse(yaml, "test"), parts);
}

inline VideoInfo made_video() { return {.frames = 200, .fps = 25, .width = 64, .height = 48, .seconds = 8}; }

/// Noise for pixels and targets, real plans, and labels 0, 1, 2, 0, ...
inline ViewBatch made_batch(const Objective& objective, int64_t videos = 4, int64_t size = 32) {
  ViewBatch batch;
  std::vector<int64_t> labels;
  for (int64_t b = 0; b < videos; ++b) {
    Rng rng(5, 0, static_cast<uint64_t>(b));
    batch.plans.push_back(objective.plan(made_video(), rng));
    batch.records.push_back(b);
    labels.push_back(b % 3);
  }
  torch::manual_seed(9);
  const auto& views = batch.plans.front().views;
  batch.views = torch::randn({std::ssize(views) * videos, 3, std::ssize(views.front().frames), size, size});
  batch.labels = torch::tensor(labels);
  if (const int64_t width = objective.target_width(); width > 0) {  // labels 1 to 3, none the same for all videos
    const at::Tensor places = torch::arange(batch.views.size(0)).unsqueeze(1) + torch::randint(0, 3, {1, width});
    batch.targets = (places.remainder(3) + 1).to(torch::kFloat32);  // [V*B,W]
  }
  return batch;
}

/// Parameters and buffers by name.
inline std::vector<std::pair<std::string, at::Tensor>> state_of(const torch::nn::Module& module) {
  std::vector<std::pair<std::string, at::Tensor>> state;
  for (const auto& item : module.named_parameters()) state.emplace_back(item.key(), item.value());
  for (const auto& item : module.named_buffers()) state.emplace_back(item.key(), item.value());
  return state;
}

/// The tensor of that name, for tests to read or to overwrite in place.
inline at::Tensor tensor_of(const torch::nn::Module& module, const std::string& name) {
  for (auto& [key, tensor] : state_of(module)) {
    if (key == name) return tensor;
  }
  throw std::out_of_range("no tensor " + name);
}

inline void overwrite(const at::Tensor& tensor, const at::Tensor& value) {
  const torch::NoGradGuard no_grad;
  at::Tensor(tensor).copy_(value.expand_as(tensor));
}

/// A logged scalar.
inline double part_of(const LossTerms& terms, const std::string& name) {
  for (const auto& [key, value] : terms.parts) {
    if (key == name) return value.item<double>();
  }
  throw std::out_of_range("no part " + name);
}

inline bool has_module(const torch::nn::Module& module, const std::string& name) {
  return module.named_children().contains(name);
}

}  // namespace cstp
