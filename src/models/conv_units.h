/// Units that the 3D networks are composed of. Convolutions keep the size at stride 1, and have no bias because a batch
/// norm follows each. Children are numbered as torchvision numbers them, so that weights can move both ways.
#pragma once
#include <ATen/ATen.h>
#include <torch/csrc/autograd/custom_function.h>
#include <torch/nn/modules/activation.h>
#include <torch/nn/modules/container/sequential.h>
#include <torch/nn/modules/conv.h>
#include <torch/nn/pimpl.h>

#include <algorithm>
#include <array>
#include <cmath>
#include <cstdint>
#include <utility>

#include "cstp/distributed/sync_norm.h"
#include "cstp/models/backbone.h"

namespace cstp {

/// (t, h, w)
using Size3 = std::array<int64_t, 3>;

/// A channel count at a width; see ModelOptions::width.
inline int64_t scaled_channels(int64_t channels, double width) {
  if (width == 1.0) return channels;
  return std::max<int64_t>(8, 8 * std::llround(static_cast<double>(channels) * width / 8));
}

/// Channels behind `channels` that make a multiple of 8, what tensor cores take 16 bytes at a time.
inline int64_t padding_channels(int64_t channels) { return (8 - channels % 8) % 8; }

/// t x h x w convolution without bias. Computed as its ComputeForm says:
/// - with padded channels, its output has channels of zeros behind, to a multiple of 8. The norm behind it keeps them
///   zero and the temporal convolution behind that gives them zero weights, so that they tell nobody anything; the
///   parameter keeps its shape and is padded anew for every pass, which moves a thousandth of a step's bytes.
/// - as 2D views, a 1 x h x w convolution is an h x w one over [N*T,C,H,W], which in channels-last order is a view.
class ClipConvImpl : public torch::nn::Conv3dImpl {
 public:
  explicit ClipConvImpl(const torch::nn::Conv3dOptions& wanted) : Conv3dImpl(wanted) {}
  void compute_as(const ComputeForm& form) { form_ = form; }
  /// Whether what follows can do with channels of zeros behind the others.
  void may_pad() { may_pad_ = true; }

  at::Tensor forward(const at::Tensor& x) {
    const auto& stride = *options.stride();
    const auto& padding = std::get<torch::ExpandingArray<3>>(options.padding());
    at::Tensor filters = weight;
    if (const int64_t more = padding_channels(weight.size(0)); may_pad_ && more > 0 && chosen(form_.pad_channels, x)) {
      filters = at::constant_pad_nd(weight, {0, 0, 0, 0, 0, 0, 0, 0, 0, more});
    }
    const bool flat = weight.size(2) == 1 && stride[0] == 1;
    if (!flat || !chosen(form_.conv2d_views, x) || !x.is_contiguous(at::MemoryFormat::ChannelsLast3d)) {
      return at::conv3d(x, filters, {}, *options.stride(), *padding);
    }
    const at::Tensor frames = x.transpose(1, 2).flatten(0, 1);  // [N*T,C,H,W]
    const at::Tensor y =
        at::conv2d(frames, filters.squeeze(2), {}, {stride[1], stride[2]}, {(*padding)[1], (*padding)[2]});
    return y.unflatten(0, {x.size(0), x.size(2)}).transpose(1, 2);  // [N,O,T,H',W']
  }

 private:
  static bool chosen(Choice choice, const at::Tensor& x) {
    return choice == Choice::on || (choice == Choice::automatic && x.is_cuda());
  }
  ComputeForm form_;
  bool may_pad_ = false;
};
TORCH_MODULE(ClipConv);

inline ClipConv make_conv(int64_t in, int64_t out, const Size3& kernel, const Size3& stride) {
  return ClipConv(torch::nn::Conv3dOptions(in, out, {kernel[0], kernel[1], kernel[2]})
                      .stride({stride[0], stride[1], stride[2]})
                      .padding({kernel[0] / 2, kernel[1] / 2, kernel[2] / 2})
                      .bias(false));
}
/// Before a norm and a temporal convolution.
inline ClipConv make_padded_conv(int64_t in, int64_t out, const Size3& kernel, const Size3& stride) {
  ClipConv conv = make_conv(in, out, kernel, stride);
  conv->may_pad();
  return conv;
}

/// Max-pool with TensorFlow's 'same' zero padding: sizes are divided by the stride and rounded up; of an odd number of
/// zeros the larger half lies behind. @param x no value below 0: then zeros around it change no maximum, so none are
/// written. Kernels of at most 3, strides of at most 2.
inline at::Tensor max_pool_same(const at::Tensor& x, const Size3& kernel, const Size3& stride) {
  Size3 before{};
  for (size_t d = 0; d < before.size(); ++d) {
    const int64_t rest = x.size(static_cast<int64_t>(d) + 2) % stride[d];
    before[d] = std::max<int64_t>(kernel[d] - (rest == 0 ? stride[d] : rest), 0) / 2;
  }
  return at::max_pool3d(x, kernel, stride, before, /*dilation=*/1, /*ceil_mode=*/true);
}

/// Mean over a clip, [N,C,T,H,W] -> [N,C]. As mean({2,3,4}), but what its gradient is spread into is in channels-last
/// order too.
inline at::Tensor mean_over_clip(const at::Tensor& x) { return x.permute({0, 2, 3, 4, 1}).flatten(1, 3).mean(1); }

inline torch::nn::ReLU make_relu() { return torch::nn::ReLU(torch::nn::ReLUOptions().inplace(true)); }

/// relu(chain(x) + addend()), where the chain ends in a norm.
template <class Addend>
at::Tensor forward_and_add(torch::nn::SequentialImpl& chain, at::Tensor x, const Addend& addend) {
  const size_t last = chain.size() - 1;
  for (size_t i = 0; i < last; ++i) x = (chain.begin() + static_cast<std::ptrdiff_t>(i))->forward(x);
  return chain.at<Norm3dImpl>(last).relu(x, addend());
}

/// Every n-th step of [N,C,T,H*W]: a slice, whose gradient keeps the memory order of what was sliced.
class EveryNth : public torch::autograd::Function<EveryNth> {
 public:
  static at::Tensor forward(torch::autograd::AutogradContext* context, const at::Tensor& x, int64_t n) {
    context->saved_data["sizes"] = x.sizes().vec();
    context->saved_data["n"] = n;
    context->saved_data["last"] = x.is_contiguous(at::MemoryFormat::ChannelsLast);
    return x.slice(2, 0, c10::nullopt, n).clone();
  }
  static torch::autograd::variable_list backward(torch::autograd::AutogradContext* context,
                                                 const torch::autograd::variable_list& gradients) {
    const bool last = context->saved_data["last"].toBool();
    const auto order = last ? at::MemoryFormat::ChannelsLast : at::MemoryFormat::Contiguous;
    const at::Tensor dx =
        at::empty(context->saved_data["sizes"].toIntVector(), gradients[0].options().memory_format(order)).zero_();
    dx.slice(2, 0, c10::nullopt, context->saved_data["n"].toInt()).copy_(gradients[0]);
    return {dx, at::Tensor()};
  }
};

/// t x 1 x 1 convolution (1 x 1 x 1 among them), computed as a t x 1 one over [N,C,T,H*W], which is a view. LibTorch's
/// CPU path for the 3D form unfolds the input (5 times slower, measured) and loses the channels-last order. Its
/// parameter keeps the 3D shape. Channels of x behind those it has weights for are zeros, and get zero weights.
class TemporalConvImpl : public torch::nn::Conv3dImpl {
 public:
  TemporalConvImpl(int64_t in, int64_t out, int64_t kernel, int64_t stride)
      : Conv3dImpl(torch::nn::Conv3dOptions(in, out, {kernel, 1, 1}).stride({stride, 1, 1}).bias(false)) {}
  at::Tensor forward(const at::Tensor& x) {
    const int64_t kernel = options.kernel_size()->at(0);
    int64_t stride = options.stride()->at(0);
    at::Tensor cells = x.flatten(3);  // [N,C,T,H*W]
    // Where a kernel looks at one step alone, the steps in between need not be given to it. And on the CPU must not:
    // for fewer than 16 channels the backward pass of oneDNN's strided 1x1 convolutions (LibTorch 2.11) writes past its
    // memory.
    if (kernel == 1 && stride > 1 && x.is_cpu()) cells = EveryNth::apply(cells, std::exchange(stride, 1));
    at::Tensor filters = weight;
    if (const int64_t more = x.size(1) - weight.size(1); more > 0) {
      filters = at::constant_pad_nd(weight, {0, 0, 0, 0, 0, 0, 0, more});
    }
    const at::Tensor y = at::conv2d(cells, filters.squeeze(4), {}, {stride, 1}, {kernel / 2, 0});  // [N,O,T',H*W]
    return y.unflatten(3, {x.size(3), x.size(4)});
  }
};
TORCH_MODULE(TemporalConv);

/// Channels between the spatial and the temporal half of a factorised convolution that give it (at most) as many
/// weights as the t x h x w convolution it stands for: floor(t*h*w*i*o / (h*w*i + t*o)).
/// Source: Tran et al., "A Closer Look at Spatiotemporal Convolutions", CVPR 2018, section on R(2+1)D; CSTP's released
/// code uses the same formula for every factorised convolution, the stem and the 1x1x1 shortcuts among them.
inline int64_t factorised_mid(int64_t in, int64_t out, const Size3& kernel) {
  const auto [t, h, w] = kernel;
  return t * h * w * in * out / (h * w * in + t * out);
}

/// Spatial 1 x h x w convolution to `mid` channels, norm, ReLU, temporal t x 1 x 1 convolution.
/// Children: 0 (spatial), 1 (norm), 3 (temporal); 2 is the ReLU, which has no state.
class FactorisedConvImpl : public torch::nn::Module {
 public:
  FactorisedConvImpl(int64_t in, int64_t mid, int64_t out, const Size3& kernel, const Size3& stride)
      : spatial_(make_padded_conv(in, mid, {1, kernel[1], kernel[2]}, {1, stride[1], stride[2]})),
        norm_(mid),
        temporal_(mid, out, kernel[0], stride[0]) {
    register_module("0", spatial_);
    register_module("1", norm_);
    register_module("3", temporal_);
  }
  at::Tensor forward(const at::Tensor& x) { return temporal_(norm_->relu(spatial_(x))); }

 private:
  ClipConv spatial_;
  Norm3d norm_;
  TemporalConv temporal_;
};
TORCH_MODULE(FactorisedConv);

}  // namespace cstp
