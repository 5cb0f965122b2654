#include "cstp/models/heads.h"

#include <torch/nn/init.h>
#include <torch/nn/modules/activation.h>

#include <cmath>
#include <string>

#include "cstp/distributed/sync_norm.h"

namespace cstp {

MlpImpl::MlpImpl(int64_t in, int64_t hidden, int64_t out)
    : layers_(torch::nn::Linear(in, hidden), Norm1d(hidden), torch::nn::ReLU(torch::nn::ReLUOptions().inplace(true)),
              torch::nn::Linear(hidden, out)) {
  register_module("layers", layers_);
}

at::Tensor MlpImpl::forward(const at::Tensor& x) { return layers_->forward(x); }

ProjectorImpl::ProjectorImpl(const ProjectorOptions& options) {
  int64_t width = options.in;
  for (int64_t layer = 0; layer < options.hidden_layers; ++layer) {
    layers_->push_back(torch::nn::Linear(width, options.hidden));
    layers_->push_back(Norm1d(torch::nn::BatchNorm1dOptions(options.hidden).momentum(options.norm_momentum)));
    layers_->push_back(torch::nn::ReLU(torch::nn::ReLUOptions().inplace(true)));
    width = options.hidden;
  }
  layers_->push_back(torch::nn::Linear(width, options.out));
  register_module("layers", layers_);
}

at::Tensor ProjectorImpl::forward(const at::Tensor& x) { return layers_->forward(x); }

void initialize_xavier(torch::nn::Module& module, bool random_norm_gamma) {
  // Told apart by shape, so that every kind of convolution, linear layer and norm is covered: only norms have a
  // one-dimensional weight.
  const torch::NoGradGuard no_grad;
  for (auto& parameter : module.named_parameters()) {
    at::Tensor& value = parameter.value();
    const bool bias = parameter.key().ends_with("bias");
    if (value.dim() > 1) {
      torch::nn::init::xavier_uniform_(value);
    } else if (bias) {
      if (!random_norm_gamma) value.zero_();
    } else if (random_norm_gamma) {
      const double bound = std::sqrt(6.0 / static_cast<double>(value.numel()));
      value.uniform_(-bound, bound);
    } else {
      value.fill_(1);
    }
  }
}

}  // namespace cstp
