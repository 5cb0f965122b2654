/// Heads on an embedding [N,D]: MLP projector/predictor, projector of any depth.
#pragma once
#include <torch/nn/modules/container/sequential.h>
#include <torch/nn/modules/linear.h>
#include <torch/nn/pimpl.h>

#include <cstdint>

namespace cstp {

/// Linear(bias) - BatchNorm1d - ReLU - Linear(bias), CSTP's and BYOL's form. Input [N,in], output [N,out].
/// Parameters: layers.0 (linear), layers.1 (norm), layers.3 (linear).
class MlpImpl : public torch::nn::Module {
 public:
  MlpImpl(int64_t in, int64_t hidden, int64_t out);
  at::Tensor forward(const at::Tensor& x);

 private:
  torch::nn::Sequential layers_;
};
TORCH_MODULE(Mlp);

struct ProjectorOptions {
  int64_t in = 0, hidden = 0;
  int64_t hidden_layers = 3;
  int64_t out = 128;
  double norm_momentum = 0.1;  ///< weight of a batch in the running statistics
};

/// hidden_layers times {Linear(bias) - BatchNorm1d - ReLU}, then Linear(bias): SimCLR's projector, CVRL's with three
/// hidden layers. Input [N,in], output [N,out]. Parameters: layers.0 (linear), layers.1 (norm), layers.3 (linear), ...
class ProjectorImpl : public torch::nn::Module {
 public:
  explicit ProjectorImpl(const ProjectorOptions& options);
  at::Tensor forward(const at::Tensor& x);

 private:
  torch::nn::Sequential layers_;
};
TORCH_MODULE(Projector);

/// How CSTP initialises: Xavier-uniform convolutions and linear layers; norm gammas 1 (clean) or also Xavier-uniform,
/// U(-a,a) with a = sqrt(6/n), signs and all (released). Biases: 0 (clean); left at their default draw (released).
void initialize_xavier(torch::nn::Module& module, bool random_norm_gamma);

}  // namespace cstp
