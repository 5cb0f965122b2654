/// The target network of momentum methods: a second backbone and projector that follow the online ones slowly.
#pragma once
#include <ATen/core/Tensor.h>
#include <torch/nn/module.h>

#include <memory>
#include <vector>

#include "cstp/models/backbone.h"
#include "cstp/models/heads.h"

namespace cstp {

/// target <- momentum * target + (1 - momentum) * online, tensor by tensor.
void follow(const std::vector<at::Tensor>& target, const std::vector<at::Tensor>& online, double momentum);

/// Parameters need no gradient. Only they follow: batch norms keep their own running statistics, from their own
/// forward passes in train mode. (CSTP, released code.)
class MomentumTwin : public torch::nn::Module {
 public:
  /// @param projector may be null: then the target is the backbone's feature
  MomentumTwin(std::shared_ptr<Backbone> backbone, std::shared_ptr<MlpImpl> projector);

  /// Parameters and buffers become those of the online network.
  void copy_from(const Backbone& backbone, const MlpImpl* projector);
  void follow_online(const Backbone& backbone, const MlpImpl* projector, double momentum);
  /// @param clips [N,3,T,S,S]; @return [N,D], without gradient
  at::Tensor forward(const at::Tensor& clips);

 private:
  std::shared_ptr<Backbone> backbone_;
  std::shared_ptr<MlpImpl> projector_;
};

}  // namespace cstp
