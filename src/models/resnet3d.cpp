// src/models/resnet3d.cpp: 3D residual networks, one grammar for every named form.
//
// Sources: Tran et al., "A Closer Look at Spatiotemporal Convolutions for Action Recognition" (CVPR 2018) for R3D and
// R(2+1)D; torchvision.models.video for the forms and names of r3d18, mc3_18 and r2plus1d18; CSTP's released code for
// r2plus1d10, r3d10_pool and r3d18_pool; the forms that STS (its released code), HDC and VCOP's users share for r3d10,
// r3d18_vcop and r2plus1d18_vcop; CVRL's released code for r3d50, r3d101 and r3d152. Three different networks are
// called "R(2+1)D-18" in this literature, so a name here says the exact form, and a test holds the parameter count of
// each.
#include <torch/nn/init.h>
#include <torch/nn/modules/container/sequential.h>
#include <torch/nn/modules/linear.h>
#include <torch/nn/modules/pooling.h>

#include <array>
#include <cmath>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "conv_units.h"
#include "cstp/models/backbone.h"

namespace cstp {
namespace {

/// Convolutions of a block.
enum class Conv {
  full,                  ///< 3x3x3
  spatial,               ///< 1x3x3; time is never down-sampled
  mixed,                 ///< full in the first stage, spatial in the others (torchvision's MC3)
  factorised_per_block,  ///< (2+1)D; both convolutions share the mid channels of the first (torchvision)
  factorised_per_conv,   ///< (2+1)D; each has its own mid channels, and shortcuts are factorised too (CSTP)
  bottleneck,            ///< 1x1x1, 1x3x3, 1x1x1; the first is 3x1x1 in the two last stages (CVRL)
};
enum class Stem {
  full3,             ///< 3x7x7
  full7_pool,        ///< 7x7x7, then max-pool 3 stride 2 (CSTP's R3D)
  factorised_mid45,  ///< (2+1)D with 45 mid channels (torchvision)
  factorised,        ///< (2+1)D with the formula's mid channels, 83 at full width (CSTP)
  full5_pool,        ///< 5x7x7 stride 2 in time too, then max-pool 1x3x3 (CVRL)
};

struct Form {
  Stem stem;
  Conv conv;
  std::array<int64_t, 4> blocks;
};

/// norm(conv(relu(norm(conv(x))))) + shortcut(x), then ReLU.
class BasicBlockImpl : public torch::nn::Module {
 public:
  BasicBlockImpl(Conv conv, int64_t in, int64_t out, int64_t stride) {
    const int64_t block_mid = factorised_mid(in, out, kKernel);
    const Size3 strides = {conv == Conv::spatial ? 1 : stride, stride, stride};
    push_conv(conv1_, conv, in, out, strides, block_mid);
    conv1_->push_back(NormRelu(out));
    push_conv(conv2_, conv, out, out, {1, 1, 1}, block_mid);
    conv2_->push_back(Norm3d(out));
    register_module("conv1", conv1_);
    register_module("conv2", conv2_);
    if (stride == 1 && in == out) return;
    if (conv == Conv::factorised_per_conv) {
      const int64_t mid = factorised_mid(in, out, {1, 1, 1});
      downsample_->push_back(FactorisedConv(in, mid, out, Size3{1, 1, 1}, strides));
    } else {
      downsample_->push_back(make_conv(in, out, {1, 1, 1}, strides));
    }
    downsample_->push_back(Norm3d(out));
    register_module("downsample", downsample_);
  }

  at::Tensor forward(const at::Tensor& x) {
    return forward_and_add(*conv2_, conv1_->forward(x),
                           [&] { return downsample_->is_empty() ? x : downsample_->forward(x); });
  }

 private:
  static constexpr Size3 kKernel = {3, 3, 3};

  static void push_conv(torch::nn::Sequential& into, Conv conv, int64_t in, int64_t out, const Size3& strides,
                        int64_t block_mid) {
    if (conv == Conv::full || conv == Conv::spatial) {
      into->push_back(make_conv(in, out, {conv == Conv::full ? 3 : 1, 3, 3}, strides));
    } else {
      const int64_t mid = conv == Conv::factorised_per_block ? block_mid : factorised_mid(in, out, kKernel);
      into->push_back(FactorisedConv(in, mid, out, kKernel, strides));
    }
  }

  torch::nn::Sequential conv1_;
  torch::nn::Sequential conv2_;
  torch::nn::Sequential downsample_;
};
TORCH_MODULE(BasicBlock);

/// CVRL's block: reduce, look about in space, expand; norm and ReLU between, norm after the last; + shortcut(x), then
/// ReLU. Time is never down-sampled, space by the middle convolution.
class BottleneckImpl : public torch::nn::Module {
 public:
  static constexpr int64_t kExpansion = 4;

  /// @param kernel of the first convolution in time
  BottleneckImpl(int64_t in, int64_t mid, int64_t kernel, int64_t stride)
      : conv1_(TemporalConv(in, mid, kernel, 1), NormRelu(mid)),
        conv2_(make_conv(mid, mid, {1, 3, 3}, {1, stride, stride}), NormRelu(mid)),
        conv3_(TemporalConv(mid, kExpansion * mid, 1, 1), Norm3d(kExpansion * mid)) {
    register_module("conv1", conv1_);
    register_module("conv2", conv2_);
    register_module("conv3", conv3_);
    const int64_t out = kExpansion * mid;
    if (stride == 1 && in == out) return;
    if (stride == 1) {
      downsample_->push_back(TemporalConv(in, out, 1, 1));
    } else {
      downsample_->push_back(make_conv(in, out, {1, 1, 1}, {1, stride, stride}));
    }
    downsample_->push_back(Norm3d(out));
    register_module("downsample", downsample_);
  }

  at::Tensor forward(const at::Tensor& x) {
    return forward_and_add(*conv3_, conv2_->forward(conv1_->forward(x)),
                           [&] { return downsample_->is_empty() ? x : downsample_->forward(x); });
  }

 private:
  torch::nn::Sequential conv1_, conv2_, conv3_, downsample_;
};
TORCH_MODULE(Bottleneck);

/// Variance scaling by fan-in, scale 1: a normal distribution cut at two deviations and widened to make up for the cut,
/// as CVRL's framework defines it.
void initialize_variance_scaling(at::Tensor weight) {
  constexpr double kCutDeviation = 0.87962566103423978;  // of a standard normal cut at +-2
  const double fan_in = static_cast<double>(weight.numel()) / static_cast<double>(weight.size(0));
  const double deviation = std::sqrt(1 / fan_in) / kCutDeviation;
  const double bound = std::erf(std::sqrt(2.0));  // P(|x| < 2)
  const torch::NoGradGuard no_grad;
  weight.uniform_(-bound, bound).erfinv_().mul_(std::sqrt(2.0) * deviation);
}

class ResNet3d final : public Backbone {
 public:
  ResNet3d(const Form& form, double width) {
    const bool bottleneck = form.conv == Conv::bottleneck;
    push_stem(form.stem, width);
    register_module("stem", stem_);
    int64_t in = scaled_channels(64, width);
    for (size_t k = 0; k < layers_.size(); ++k) {
      const int64_t base = scaled_channels(int64_t{64} << k, width);
      const Conv conv = form.conv != Conv::mixed ? form.conv : k == 0 ? Conv::full : Conv::spatial;
      channels_[k] = bottleneck ? Bottleneck::Impl::kExpansion * base : base;
      for (int64_t block = 0; block < form.blocks[k]; ++block) {
        const int64_t stride = k > 0 && block == 0 ? 2 : 1;
        if (bottleneck) {
          layers_[k]->push_back(Bottleneck(in, base, k < 2 ? 1 : 3, stride));
        } else {
          layers_[k]->push_back(BasicBlock(conv, in, base, stride));
        }
        in = channels_[k];
      }
      register_module("layer" + std::to_string(k + 1), layers_[k]);
    }
    // Norms keep gamma 1, beta 0.
    for (const auto& parameter : named_parameters()) {
      if (parameter.value().dim() == 1) continue;
      if (bottleneck) {
        initialize_variance_scaling(parameter.value());
      } else {  // as torchvision initialises its video networks
        torch::nn::init::kaiming_normal_(parameter.value(), 0, torch::kFanOut, torch::kReLU);
      }
    }
  }

  std::vector<at::Tensor> stages(const at::Tensor& clips) override {
    std::vector<at::Tensor> maps;
    at::Tensor x = stem_->forward(clips);
    for (auto& layer : layers_) {
      x = layer->forward(x);  // [N,C_k,T_k,H_k,W_k]
      maps.push_back(x);
    }
    return maps;
  }

  std::vector<int64_t> stage_channels() const override { return {channels_.begin(), channels_.end()}; }

 private:
  void push_stem(Stem stem, double width) {
    const Size3 stride = {1, 2, 2};
    const int64_t out = scaled_channels(64, width);
    if (stem == Stem::full3 || stem == Stem::full7_pool) {
      stem_->push_back(make_conv(3, out, {stem == Stem::full3 ? 3 : 7, 7, 7}, stride));
    } else if (stem == Stem::full5_pool) {
      stem_->push_back(make_conv(3, out, {5, 7, 7}, {2, 2, 2}));
    } else {
      const int64_t mid = stem == Stem::factorised ? factorised_mid(3, out, {3, 7, 7}) : scaled_channels(45, width);
      stem_->push_back(make_padded_conv(3, mid, {1, 7, 7}, stride));
      stem_->push_back(NormRelu(mid));
      stem_->push_back(torch::nn::Identity());  // torchvision's ReLU: the names of the others count it
      stem_->push_back(TemporalConv(mid, out, 3, 1));
    }
    stem_->push_back(NormRelu(out));
    if (stem == Stem::full7_pool) {
      stem_->push_back(torch::nn::MaxPool3d(torch::nn::MaxPool3dOptions(3).stride(2).padding(1)));
    }
    if (stem == Stem::full5_pool) {
      stem_->push_back(
          torch::nn::MaxPool3d(torch::nn::MaxPool3dOptions({1, 3, 3}).stride({1, 2, 2}).padding({0, 1, 1})));
    }
  }

  std::array<int64_t, 4> channels_{};
  torch::nn::Sequential stem_;
  std::array<torch::nn::Sequential, 4> layers_;
};

}  // namespace

std::shared_ptr<Backbone> make_r3d18(const ModelOptions& o) {
  return std::make_shared<ResNet3d>(Form{Stem::full3, Conv::full, {2, 2, 2, 2}}, o.width);
}
std::shared_ptr<Backbone> make_r2plus1d18(const ModelOptions& o) {
  return std::make_shared<ResNet3d>(Form{Stem::factorised_mid45, Conv::factorised_per_block, {2, 2, 2, 2}}, o.width);
}
std::shared_ptr<Backbone> make_r2plus1d10(const ModelOptions& o) {
  return std::make_shared<ResNet3d>(Form{Stem::factorised, Conv::factorised_per_conv, {1, 1, 1, 1}}, o.width);
}
std::shared_ptr<Backbone> make_r3d10(const ModelOptions& o) {
  return std::make_shared<ResNet3d>(Form{Stem::full3, Conv::full, {1, 1, 1, 1}}, o.width);
}
std::shared_ptr<Backbone> make_r2plus1d18_vcop(const ModelOptions& o) {
  return std::make_shared<ResNet3d>(Form{Stem::factorised, Conv::factorised_per_conv, {2, 2, 2, 2}}, o.width);
}
std::shared_ptr<Backbone> make_r3d10_pool(const ModelOptions& o) {
  return std::make_shared<ResNet3d>(Form{Stem::full7_pool, Conv::full, {1, 1, 1, 1}}, o.width);
}
std::shared_ptr<Backbone> make_r3d18_pool(const ModelOptions& o) {
  return std::make_shared<ResNet3d>(Form{Stem::full7_pool, Conv::full, {2, 2, 2, 2}}, o.width);
}
std::shared_ptr<Backbone> make_mc3_18(const ModelOptions& o) {
  return std::make_shared<ResNet3d>(Form{Stem::full3, Conv::mixed, {2, 2, 2, 2}}, o.width);
}
std::shared_ptr<Backbone> make_r3d50(const ModelOptions& o) {
  return std::make_shared<ResNet3d>(Form{Stem::full5_pool, Conv::bottleneck, {3, 4, 6, 3}}, o.width);
}
std::shared_ptr<Backbone> make_r3d101(const ModelOptions& o) {
  return std::make_shared<ResNet3d>(Form{Stem::full5_pool, Conv::bottleneck, {3, 4, 23, 3}}, o.width);
}
std::shared_ptr<Backbone> make_r3d152(const ModelOptions& o) {
  return std::make_shared<ResNet3d>(Form{Stem::full5_pool, Conv::bottleneck, {3, 8, 36, 3}}, o.width);
}

}  // namespace cstp
