// src/models/c3d.cpp: C3D, with and without batch norms, and its light form.
//
// Source: Tran et al., "Learning Spatiotemporal Features with 3D Convolutional Networks" (ICCV 2015): eight 3x3x3
// convolutions with bias in five groups, max pools between. The pretext form of STS and HDC, without pool5 and the
// fully connected layers: the embedding is the mean of the last group. c3d_bn adds a norm before each ReLU (CSTP's and
// STS's released code).
//
// c3d_light is the network of the released code of MAS (Wang et al., "Self-supervised Spatio-temporal Representation
// Learning for Videos by Predicting Motion and Appearance Statistics", CVPR 2019): five convolutions, pools with 'same'
// padding, fc6 and fc7 of 2048 with ReLU, no dropout in the pretext. The fully connected layers are part of the
// backbone: conv5, pool5, fc6 and fc7 are its last stage, a map of 1x1x1, so that whatever trains that stage trains
// them. fc6 reads 1x4x4 values, which is pool5 at 16x112x112; at other sizes pool5 is averaged (or repeated) to it.
// Differs from MAS: clips are RGB around 0 and not BGR bytes; they are multiplied by 127.5, half the range of a byte,
// because MAS's initial weights are for bytes and would leave next to nothing of values around 1 after five layers.
#include <ATen/ATen.h>
#include <torch/nn/init.h>
#include <torch/nn/modules/container/sequential.h>
#include <torch/nn/modules/linear.h>

#include <array>
#include <cmath>
#include <memory>
#include <string>
#include <vector>

#include "conv_units.h"
#include "cstp/models/backbone.h"

namespace cstp {
namespace {

/// Convolutions between two pools.
struct Group {
  std::array<const char*, 2> names;
  int64_t channels;
};
using Groups = std::array<Group, 5>;
constexpr Groups kEight = {{{{"conv1", nullptr}, 64},
                            {{"conv2", nullptr}, 128},
                            {{"conv3a", "conv3b"}, 256},
                            {{"conv4a", "conv4b"}, 512},
                            {{"conv5a", "conv5b"}, 512}}};
constexpr Groups kFive = {{{{"conv1", nullptr}, 64},
                           {{"conv2", nullptr}, 128},
                           {{"conv3", nullptr}, 256},
                           {{"conv4", nullptr}, 256},
                           {{"conv5", nullptr}, 256}}};

/// The groups' outputs after their ReLU and before their pool.
class C3d : public Backbone {
 public:
  C3d(const Groups& groups, bool norm, double width) {
    int64_t in = 3;
    for (size_t k = 0; k < groups.size(); ++k) {
      const int64_t out = scaled_channels(groups[k].channels, width);
      for (const char* name : groups[k].names) {
        if (name == nullptr) break;
        torch::nn::Sequential conv(
            torch::nn::Conv3d(torch::nn::Conv3dOptions(in, out, 3).padding(1)));  // with bias, before a norm too
        if (norm) {
          conv->push_back(NormRelu(out));
        } else {
          conv->push_back(make_relu());
        }
        groups_[k].push_back(register_module(name, conv));
        in = out;
      }
      if (k > 0) channels_.push_back(out);
    }
    for (const auto& parameter : named_parameters()) {
      if (parameter.value().dim() > 1) {
        torch::nn::init::kaiming_normal_(parameter.value(), 0, torch::kFanOut, torch::kReLU);
      } else if (parameter.key().ends_with("0.bias")) {
        torch::nn::init::zeros_(parameter.value());
      }
    }
  }

  /// Of the groups 2 to 5.
  std::vector<at::Tensor> stages(const at::Tensor& clips) override {
    std::vector<at::Tensor> maps;
    at::Tensor x = clips;
    for (size_t k = 0; k < groups_.size(); ++k) {
      if (k > 0) x = pooled(x, k == 1 ? 1 : 2);
      for (auto& conv : groups_[k]) x = conv->forward(x);
      if (k > 0) maps.push_back(x);  // [N,C_k,T_k,H_k,W_k]
    }
    return maps;
  }

  std::vector<int64_t> stage_channels() const override { return channels_; }

 protected:
  /// Sizes are rounded up, as in the frameworks that C3D and MAS were published in; so short and small clips survive.
  static at::Tensor pooled(const at::Tensor& x, int64_t steps) {
    return max_pool_same(x, {steps, 2, 2}, {steps, 2, 2});
  }

 private:
  std::array<std::vector<torch::nn::Sequential>, 5> groups_;
  std::vector<int64_t> channels_;
};

class C3dLight final : public C3d {
 public:
  explicit C3dLight(double width) : C3d(kFive, /*norm=*/false, width) {
    const int64_t out = scaled_channels(2048, width);
    fc6_ = register_module("fc6", torch::nn::Linear(kCells * C3d::stage_channels().back(), out));
    fc7_ = register_module("fc7", torch::nn::Linear(out, out));
    int64_t in = 3;
    for (size_t k = 0; k < kFive.size(); ++k) {
      start(std::string(kFive[k].names[0]) + ".0", 0.01, in, 0);
      in = kFive[k].channels;
    }
    start("fc6", 0.005, kCells * in, 1);
    start("fc7", 0.005, 2048, 1);
  }

  std::vector<at::Tensor> stages(const at::Tensor& clips) override {
    std::vector<at::Tensor> maps = C3d::stages(clips * 127.5);
    const at::Tensor cells = at::adaptive_avg_pool3d(pooled(maps.back(), 2), {1, 4, 4}).flatten(1);  // [N,16*256]
    const at::Tensor x = fc7_(fc6_(cells).relu()).relu();                                            // [N,2048]
    maps.back() = x.view({x.size(0), x.size(1), 1, 1, 1});
    return maps;
  }

  std::vector<int64_t> stage_channels() const override {
    std::vector<int64_t> channels = C3d::stage_channels();
    channels.back() = fc7_->options.out_features();
    return channels;
  }

 private:
  static constexpr int64_t kCells = 16;

  /// Normal weights of MAS's deviation at full width; of a thinner layer's fewer inputs each counts for more, so that
  /// activations keep their size. @param full_in input channels at full width
  void start(const std::string& layer, double deviation, int64_t full_in, double bias) {
    at::Tensor weight = named_parameters()[layer + ".weight"];
    const double share = static_cast<double>(full_in) / static_cast<double>(weight.size(1));
    torch::nn::init::normal_(weight, 0, deviation * std::sqrt(share));
    torch::nn::init::constant_(named_parameters()[layer + ".bias"], bias);
  }

  torch::nn::Linear fc6_{nullptr}, fc7_{nullptr};
};

}  // namespace

std::shared_ptr<Backbone> make_c3d(const ModelOptions& o) { return std::make_shared<C3d>(kEight, false, o.width); }
std::shared_ptr<Backbone> make_c3d_bn(const ModelOptions& o) { return std::make_shared<C3d>(kEight, true, o.width); }
std::shared_ptr<Backbone> make_c3d_light(const ModelOptions& o) { return std::make_shared<C3dLight>(o.width); }

}  // namespace cstp
