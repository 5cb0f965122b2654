// src/models/s3d.cpp: separable 3D Inception networks, with and without gates.
//
// Sources: Xie et al., "Rethinking Spatiotemporal Feature Learning: Speed-Accuracy Trade-offs in Video Classification"
// (ECCV 2018); torchvision.models.video for the form and the names of s3d; the released code of Wang et al.,
// "Self-supervised Video Representation Learning by Pace Prediction" (ECCV 2020) for s3dg, which STS's best results
// rest on. Both start from the framework's default initialisation.
//
//             s3d                                          s3dg
//   stem      1x7x7, then 7x1x1                            3x7x7
//   pools     padded on both sides; the last rounds down   'same' zero padding, all round up
//   gates     none                                         before the second pool and after every branch
//   norms     eps 1e-3                                     eps 1e-5
//
// Differs from torchvision: a batch weighs 0.1 in the running statistics, as in every other network here, and not
// 0.001, with which they would be those of the start for the first thousand steps.
// Differs from Pace's code: before a pool of 3 it pads behind only, also where the size is odd and TensorFlow would pad
// on both sides; at the sizes of the papers none is odd.
#include <ATen/ATen.h>
#include <torch/nn/modules/container/sequential.h>
#include <torch/nn/modules/linear.h>

#include <array>
#include <memory>
#include <vector>

#include "conv_units.h"
#include "cstp/models/backbone.h"

namespace cstp {
namespace {

/// A torch::nn::Sequential that may stand in another one.
class ChainImpl : public torch::nn::SequentialImpl {
 public:
  at::Tensor forward(const at::Tensor& x) { return SequentialImpl::forward(x); }
};
TORCH_MODULE(Chain);

/// x * sigmoid(W * mean(x) + b): how much of each channel passes, from what the whole clip shows. [N,C,T,H,W]
class GateImpl : public torch::nn::Module {
 public:
  explicit GateImpl(int64_t channels) : fc_(register_module("fc", torch::nn::Linear(channels, channels))) {}
  at::Tensor forward(const at::Tensor& x) {
    return x * fc_(mean_over_clip(x)).sigmoid().view({x.size(0), x.size(1), 1, 1, 1});
  }

 private:
  torch::nn::Linear fc_;
};
TORCH_MODULE(Gate);

class PoolImpl : public torch::nn::Module {
 public:
  PoolImpl(const Size3& kernel, const Size3& stride, bool same) : kernel_(kernel), stride_(stride), same_(same) {}
  at::Tensor forward(const at::Tensor& x) {
    if (same_) return max_pool_same(x, kernel_, stride_);
    const Size3 padding = {(kernel_[0] - 1) / 2, (kernel_[1] - 1) / 2, (kernel_[2] - 1) / 2};
    return at::max_pool3d(x, kernel_, stride_, padding);
  }

 private:
  Size3 kernel_, stride_;
  bool same_;
};
TORCH_MODULE(Pool);

/// Output channels: [branch 0, branch 1 reduced - branch 1, branch 2 reduced - branch 2, branch 3 behind a pool].
struct Branches {
  int64_t b0, b1_reduced, b1, b2_reduced, b2, b3;
};

constexpr std::array<Branches, 2> kStage3 = {{{64, 96, 128, 16, 32, 32}, {128, 128, 192, 32, 96, 64}}};
constexpr std::array<Branches, 5> kStage4 = {{{192, 96, 208, 16, 48, 64},
                                              {160, 112, 224, 24, 64, 64},
                                              {128, 128, 256, 24, 64, 64},
                                              {112, 144, 288, 32, 64, 64},
                                              {256, 160, 320, 32, 128, 128}}};
constexpr std::array<Branches, 2> kStage5 = {{{256, 160, 320, 32, 128, 128}, {384, 192, 384, 48, 128, 128}}};

/// What a network is built of.
class Parts {
 public:
  Parts(bool gated, double width) : gated_(gated), width_(width) {}

  bool gated() const { return gated_; }
  int64_t channels(int64_t full) const { return scaled_channels(full, width_); }

  /// Convolution, norm, ReLU.
  template <class Conv>
  Chain unit(const Conv& conv, int64_t out) const {
    Chain chain;
    chain->push_back(conv);
    chain->push_back(NormRelu(torch::nn::BatchNormOptions(out).eps(gated_ ? 1e-5 : 1e-3)));
    return chain;
  }
  Chain pointwise(int64_t in, int64_t out) const { return unit(TemporalConv(in, out, 1, 1), out); }

  /// A unit in space, then one in time.
  Chain separable(int64_t in, int64_t out, int64_t kernel, int64_t stride) const {
    Chain chain;
    chain->push_back(unit(make_conv(in, out, {1, kernel, kernel}, {1, stride, stride}), out));
    chain->push_back(unit(TemporalConv(out, out, kernel, stride), out));
    return chain;
  }

  void gate(Chain& chain, int64_t channels) const {
    if (gated_) chain->push_back(Gate(channels));
  }
  Pool pool(const Size3& kernel, const Size3& stride) const { return Pool(kernel, stride, gated_); }

 private:
  bool gated_;
  double width_;
};

class InceptionImpl : public torch::nn::Module {
 public:
  InceptionImpl(const Parts& parts, int64_t in, const Branches& full) {
    const int64_t b0 = parts.channels(full.b0), b1 = parts.channels(full.b1), b2 = parts.channels(full.b2),
                  b3 = parts.channels(full.b3);
    const int64_t b1_reduced = parts.channels(full.b1_reduced), b2_reduced = parts.channels(full.b2_reduced);
    out_ = b0 + b1 + b2 + b3;
    branches_[0] = parts.pointwise(in, b0);
    branches_[1]->push_back(parts.pointwise(in, b1_reduced));
    branches_[1]->push_back(parts.separable(b1_reduced, b1, 3, 1));
    branches_[2]->push_back(parts.pointwise(in, b2_reduced));
    branches_[2]->push_back(parts.separable(b2_reduced, b2, 3, 1));
    branches_[3]->push_back(parts.pool({3, 3, 3}, {1, 1, 1}));
    branches_[3]->push_back(parts.pointwise(in, b3));
    const std::array<int64_t, 4> outs = {b0, b1, b2, b3};
    for (size_t k = 0; k < branches_.size(); ++k) {
      parts.gate(branches_[k], outs[k]);
      register_module("branch" + std::to_string(k), branches_[k]);
    }
  }

  at::Tensor forward(const at::Tensor& x) {
    return at::cat({branches_[0](x), branches_[1](x), branches_[2](x), branches_[3](x)}, 1);
  }
  int64_t out() const { return out_; }

 private:
  int64_t out_ = 0;
  std::array<Chain, 4> branches_;
};
TORCH_MODULE(Inception);

class S3d final : public Backbone {
 public:
  S3d(bool gated, double width) : parts_(gated, width) {
    const int64_t first = parts_.channels(64);
    int64_t in = parts_.channels(192);
    features_->push_back(gated ? parts_.unit(make_conv(3, first, {3, 7, 7}, {2, 2, 2}), first)
                               : parts_.separable(3, first, 7, 2));
    features_->push_back(parts_.pool({1, 3, 3}, {1, 2, 2}));
    features_->push_back(parts_.pointwise(first, first));
    Chain second = parts_.separable(first, in, 3, 1);
    parts_.gate(second, in);
    features_->push_back(second);
    end_stage(in);
    features_->push_back(parts_.pool({1, 3, 3}, {1, 2, 2}));
    in = push_stage(in, kStage3);
    features_->push_back(parts_.pool({3, 3, 3}, {2, 2, 2}));
    in = push_stage(in, kStage4);
    features_->push_back(parts_.pool({2, 2, 2}, {2, 2, 2}));
    push_stage(in, kStage5);
    register_module("features", features_);
  }

  std::vector<at::Tensor> stages(const at::Tensor& clips) override {
    require_clip(clips.size(2), clips.size(3), clips.size(4));
    std::vector<at::Tensor> maps;
    at::Tensor x = clips;
    auto layer = features_->begin();
    for (const int64_t end : ends_) {
      for (; layer != features_->begin() + end; ++layer) x = layer->forward(x);
      maps.push_back(x);  // [N,C_k,T_k,H_k,W_k]
    }
    return maps;
  }

  std::vector<int64_t> stage_channels() const override { return channels_; }

  /// The last pool of s3d wants two values in each direction; before it time was halved twice and space four times,
  /// each time rounding up.
  SmallestClip smallest_clip() const override {
    return parts_.gated() ? SmallestClip{} : SmallestClip{.frames = 5, .size = 17};
  }

 private:
  template <size_t Count>
  int64_t push_stage(int64_t in, const std::array<Branches, Count>& blocks) {
    for (const Branches& branches : blocks) {
      const Inception block(parts_, in, branches);
      features_->push_back(block);
      in = block->out();
    }
    end_stage(in);
    return in;
  }
  void end_stage(int64_t channels) {
    ends_.push_back(static_cast<int64_t>(features_->size()));
    channels_.push_back(channels);
  }

  Parts parts_;
  torch::nn::Sequential features_;
  std::vector<int64_t> ends_;  ///< of the stages among the features
  std::vector<int64_t> channels_;
};

}  // namespace

std::shared_ptr<Backbone> make_s3d(const ModelOptions& o) { return std::make_shared<S3d>(false, o.width); }
std::shared_ptr<Backbone> make_s3dg(const ModelOptions& o) { return std::make_shared<S3d>(true, o.width); }

}  // namespace cstp
