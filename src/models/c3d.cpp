// src/models/c3d.cpp: C3D, with and without batch norms.
//
// Source: Tran et al., "Learning Spatiotemporal Features with 3D Convolutional Networks" (ICCV 2015): eight 3x3x3
// convolutions with bias in five groups, max pools between. The pretext form of STS and HDC, without pool5 and the
// fully connected layers: the embedding is the mean of the last group. c3d_bn adds a norm before each ReLU (CSTP's and
// STS's released code).
#include <ATen/ATen.h>
#include <torch/nn/init.h>
#include <torch/nn/modules/container/sequential.h>

#include <array>
#include <memory>
#include <string>
#include <vector>

#include "conv_units.h"
#include "cstp/models/backbone.h"

namespace cstp {
namespace {

class C3d final : public Backbone {
 public:
  C3d(bool norm, double width) {
    int64_t in = 3;
    for (size_t group = 0; group < kGroups.size(); ++group) {
      const int64_t out = scaled_channels(kGroups[group].channels, width);
      for (const char* name : kGroups[group].names) {
        if (name == nullptr) break;
        torch::nn::Sequential conv(
            torch::nn::Conv3d(torch::nn::Conv3dOptions(in, out, 3).padding(1)));  // with bias, before a norm too
        if (norm) conv->push_back(Norm3d(out));
        conv->push_back(make_relu());
        groups_[group].push_back(register_module(name, conv));
        in = out;
      }
      if (group > 0) channels_.push_back(out);
    }
    for (const auto& parameter : named_parameters()) {
      if (parameter.value().dim() > 1) {
        torch::nn::init::kaiming_normal_(parameter.value(), 0, torch::kFanOut, torch::kReLU);
      } else if (parameter.key().ends_with("0.bias")) {
        torch::nn::init::zeros_(parameter.value());
      }
    }
  }

  /// conv2, conv3b, conv4b and conv5b after their ReLU, before their pool.
  std::vector<at::Tensor> stages(const at::Tensor& clips) override {
    std::vector<at::Tensor> maps;
    at::Tensor x = clips;
    for (size_t group = 0; group < groups_.size(); ++group) {
      if (group > 0) x = pooled(x, group == 1 ? 1 : 2);
      for (auto& conv : groups_[group]) x = conv->forward(x);
      if (group > 0) maps.push_back(x);  // [N,C_k,T_k,H_k,W_k]
    }
    return maps;
  }

  std::vector<int64_t> stage_channels() const override { return channels_; }

 private:
  struct Group {
    std::array<const char*, 2> names;
    int64_t channels;
  };
  static constexpr std::array<Group, 5> kGroups = {{{{"conv1", nullptr}, 64},
                                                    {{"conv2", nullptr}, 128},
                                                    {{"conv3a", "conv3b"}, 256},
                                                    {{"conv4a", "conv4b"}, 512},
                                                    {{"conv5a", "conv5b"}, 512}}};

  /// Sizes are rounded up, as in the framework that C3D was published in; so short and small clips survive.
  static at::Tensor pooled(const at::Tensor& x, int64_t steps) {
    return at::max_pool3d(x, {steps, 2, 2}, {steps, 2, 2}, 0, 1, /*ceil_mode=*/true);
  }

  std::array<std::vector<torch::nn::Sequential>, kGroups.size()> groups_;
  std::vector<int64_t> channels_;
};

}  // namespace

std::shared_ptr<Backbone> make_c3d(const ModelOptions& o) { return std::make_shared<C3d>(false, o.width); }
std::shared_ptr<Backbone> make_c3d_bn(const ModelOptions& o) { return std::make_shared<C3d>(true, o.width); }

}  // namespace cstp
