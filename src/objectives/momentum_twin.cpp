#include "momentum_twin.h"

#include <ATen/ATen.h>
#include <torch/utils.h>

#include <utility>

#include "cstp/core/error.h"

namespace cstp {

void follow(const std::vector<at::Tensor>& target, const std::vector<at::Tensor>& online, double momentum) {
  check(target.size() == online.size(), "follow: the networks differ");
  const torch::NoGradGuard no_grad;
  at::_foreach_lerp_(target, online, 1 - momentum);
}

MomentumTwin::MomentumTwin(std::shared_ptr<Backbone> backbone, std::shared_ptr<MlpImpl> projector)
    : backbone_(register_module("backbone", std::move(backbone))), projector_(std::move(projector)) {
  if (projector_) register_module("projector", projector_);
  for (at::Tensor& parameter : parameters()) parameter.set_requires_grad(false);
}

void MomentumTwin::copy_from(const Backbone& backbone, const MlpImpl* projector) {
  follow_online(backbone, projector, 0);
  const torch::NoGradGuard no_grad;
  const auto copy_buffers = [](torch::nn::Module& to, const torch::nn::Module& from) {
    const std::vector<at::Tensor> source = from.buffers();
    std::vector<at::Tensor> target = to.buffers();
    for (size_t i = 0; i < target.size(); ++i) target[i].copy_(source[i]);
  };
  copy_buffers(*backbone_, backbone);
  if (projector_) copy_buffers(*projector_, *projector);
}

void MomentumTwin::follow_online(const Backbone& backbone, const MlpImpl* projector, double momentum) {
  check((projector != nullptr) == (projector_ != nullptr), "MomentumTwin: one network has a projector, one has none");
  follow(backbone_->parameters(), backbone.parameters(), momentum);
  if (projector_) follow(projector_->parameters(), projector->parameters(), momentum);
}

at::Tensor MomentumTwin::forward(const at::Tensor& clips) {
  const torch::NoGradGuard no_grad;
  const at::Tensor y = backbone_->embed(clips);
  return projector_ ? projector_->forward(y) : y;
}

}  // namespace cstp
