#include "cstp/distributed/sync_norm.h"

#include <ATen/ATen.h>
#include <torch/csrc/autograd/custom_function.h>

#include "cstp/core/error.h"
#include "cstp/distributed/collectives.h"
#include "fused_norm.h"
#include "held_world.h"

namespace cstp {
namespace {

using torch::autograd::AutogradContext;
using torch::autograd::variable_list;

at::Tensor widened(const at::Tensor& x) { return x.scalar_type() == at::kDouble ? x : x.to(at::kFloat); }

/// All dimensions but the channels'.
std::vector<int64_t> reduced_dims(const at::Tensor& x) {
  std::vector<int64_t> dims = {0};
  for (int64_t d = 2; d < x.dim(); ++d) dims.push_back(d);
  return dims;
}

/// [C] seen as [1,C,1,...] beside x.
at::Tensor beside(const at::Tensor& channel_values, const at::Tensor& x) {
  std::vector<int64_t> shape(static_cast<size_t>(x.dim()), 1);
  shape[1] = channel_values.size(0);
  return channel_values.to(x.scalar_type()).reshape(shape);
}

/// Not inputs of the function: nothing is differentiated through them.
struct Running {
  at::Tensor mean, var;
  double momentum;
};

/// An autograd function takes no undefined tensor; a norm without scale and shift passes empty ones.
at::Tensor or_empty(const at::Tensor& values, const at::Tensor& x) {
  return values.defined() ? values : at::empty({0}, x.options().memory_format(at::MemoryFormat::Contiguous));
}
std::optional<at::Tensor> or_none(const at::Tensor& values) {
  return values.numel() > 0 ? std::optional(values) : std::nullopt;
}

class SyncNorm : public torch::autograd::Function<SyncNorm> {
 public:
  static at::Tensor forward(AutogradContext* context, const at::Tensor& x, const at::Tensor& weight,
                            const at::Tensor& bias, Running running, double eps, const World& world) {
    const std::vector<int64_t> dims = reduced_dims(x);
    const int64_t channels = x.size(1);
    const int64_t own = x.numel() / channels;
    const at::Tensor wide = widened(x);
    const at::Tensor own_mean = wide.mean(dims);                                       // [C]
    const at::Tensor own_square = (wide - beside(own_mean, wide)).square().sum(dims);  // [C], around the own mean
    const at::Tensor m = own_mean.to(at::kDouble);
    const auto n = static_cast<double>(own);
    at::Tensor sums = at::cat({m * n, own_square.to(at::kDouble) + m.square() * n, at::full({1}, n, m.options())});
    sum_over_ranks(sums, world);  // [2C+1]
    const at::Tensor count = sums.narrow(0, 2 * channels, 1);
    const at::Tensor mean = sums.narrow(0, 0, channels) / count;
    const at::Tensor var = (sums.narrow(0, channels, channels) / count - mean.square()).clamp_min(0);
    if (running.mean.defined()) {
      running.mean.mul_(1 - running.momentum).add_(mean.to(running.mean.scalar_type()), running.momentum);
      const at::Tensor unbiased = var * (count / (count - 1));
      running.var.mul_(1 - running.momentum).add_(unbiased.to(running.var.scalar_type()), running.momentum);
    }
    context->save_for_backward({x, weight, mean, at::rsqrt(var + eps), count});
    context->saved_data["world"] = hold(world);
    // In eval mode, with the statistics given, LibTorch's norm is the affine map in one pass.
    return std::get<0>(at::native_batch_norm(x, or_none(weight), or_none(bias), mean.to(wide.scalar_type()),
                                             var.to(wide.scalar_type()),
                                             /*training=*/false, /*momentum=*/0, eps));
  }

  static variable_list backward(AutogradContext* context, const variable_list& gradients) {
    const variable_list saved = context->get_saved_variables();
    const at::Tensor &x = saved[0], &weight = saved[1], &mean = saved[2], &inverse = saved[3], &count = saved[4];
    const std::vector<int64_t> dims = reduced_dims(x);
    const int64_t channels = x.size(1);
    const at::Tensor dy = widened(gradients[0]);
    const at::Tensor centred = widened(x) - beside(mean, dy);
    const at::Tensor own_dy = dy.sum(dims);               // [C]
    const at::Tensor own_dot = (dy * centred).sum(dims);  // [C]
    at::Tensor sums = at::cat({own_dy, own_dot}).to(at::kDouble);
    sum_over_ranks(sums, context_world(context));
    const at::Tensor shift = sums.narrow(0, 0, channels) / count;
    const at::Tensor slope = sums.narrow(0, channels, channels) / count * inverse.square();
    at::Tensor scale = inverse;
    if (weight.numel() > 0) scale = scale * weight.to(at::kDouble);
    const at::Tensor dx =
        ((dy - beside(shift, dy) - centred * beside(slope, dy)) * beside(scale, dy)).to(x.scalar_type());
    variable_list result(6);
    result[0] = dx;
    if (weight.numel() > 0) {  // of this rank's rows alone: the gradient sync adds the ranks up
      result[1] = (own_dot.to(at::kDouble) * inverse).to(weight.scalar_type());
      result[2] = own_dy.to(weight.scalar_type());
    }
    return result;
  }

 private:
  static const World& context_world(AutogradContext* context) { return held(context->saved_data["world"]); }
};

/// The part that the one- and the three-dimensional norm share: LibTorch's bookkeeping around the function above.
template <class Norm>
at::Tensor train_over_ranks(Norm& norm, const at::Tensor& x, const World& world) {
  double momentum = 0;
  if (norm.running_mean.defined()) {
    norm.num_batches_tracked.add_(1);
    const auto wanted = norm.options.momentum();
    momentum = wanted ? *wanted : 1.0 / norm.num_batches_tracked.template item<double>();  // none: the plain average
  }
  return sync_norm(x, norm.weight, norm.bias, norm.running_mean, norm.running_var, momentum, norm.options.eps(), world);
}

}  // namespace

at::Tensor sync_norm(const at::Tensor& x, const at::Tensor& weight, const at::Tensor& bias,
                     const at::Tensor& running_mean, const at::Tensor& running_var, double momentum, double eps,
                     const World& world) {
  check(x.dim() >= 2 && x.numel() > 0, "sync_norm: wanted rows of channels");
  return SyncNorm::apply(x, or_empty(weight, x), or_empty(bias, x), Running{running_mean, running_var, momentum}, eps,
                         world);
}

at::Tensor Norm1dImpl::forward(const at::Tensor& x) {
  if (world_.size == 1 || !is_training()) return BatchNorm1dImpl::forward(x);
  return train_over_ranks(*this, x, world_);
}

/// Of more channels than the norm has: those behind are zeros and stay so, with a scale and a shift of 0.
at::Tensor Norm3dImpl::forward_padded(const at::Tensor& x) {
  const int64_t own = options.num_features();
  const auto padded = [&](const at::Tensor& values) { return at::constant_pad_nd(values, {0, x.size(1) - own}); };
  const at::Tensor mean = padded(running_mean), var = padded(running_var);
  const bool trains = is_training();
  if (trains) num_batches_tracked.add_(1);
  const double momentum = options.momentum().value_or(0);
  at::Tensor y;
  if (trains && world_.size > 1) {
    y = sync_norm(x, padded(weight), padded(bias), mean, var, momentum, options.eps(), world_);
  } else {
    y = at::batch_norm(x, padded(weight), padded(bias), mean, var, trains, momentum, options.eps(),
                       /*cudnn_enabled=*/true);
  }
  if (trains) {
    const at::NoGradGuard no_grad;
    running_mean.copy_(mean.narrow(0, 0, own));
    running_var.copy_(var.narrow(0, 0, own));
  }
  return y;
}

at::Tensor Norm3dImpl::relu(const at::Tensor& x, const at::Tensor& addend) {
  if (can_fuse_norm(*this, x, addend, world_)) return fused_norm(*this, x, addend, /*relu=*/true, world_);
  at::Tensor y = Norm3dImpl::forward(x);
  if (addend.defined()) y += addend;
  return y.relu_();
}

at::Tensor Norm3dImpl::forward(const at::Tensor& x) {
  if (can_fuse_norm(*this, x, {}, world_)) return fused_norm(*this, x, {}, /*relu=*/false, world_);
  if (x.size(1) > options.num_features()) return forward_padded(x);
  if (world_.size == 1 || !is_training()) return BatchNorm3dImpl::forward(x);
  return train_over_ranks(*this, x, world_);
}

void synchronize_norms(const torch::nn::Module& module, const World& world) {
  for (const auto& child : module.modules(/*include_self=*/false)) {
    if (auto* norm = dynamic_cast<SyncedNorm*>(child.get())) norm->synchronize(world);
  }
}

}  // namespace cstp
