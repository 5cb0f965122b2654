/// Batch norm whose statistics are those of the global batch. On one rank it is LibTorch's batch norm, in fewer passes
/// over memory where it can be (src/distributed/fused_norm.h), and its parameters and buffers have the same names; so a
/// checkpoint does not know how many ranks wrote it.
///
/// Every norm of a model is one of these: a plain torch::nn::BatchNorm would see its own rank's rows alone.
#pragma once
#include <torch/nn/modules/batchnorm.h>
#include <torch/nn/pimpl.h>

#include <optional>

#include "cstp/distributed/world.h"

namespace cstp {

/// Training mode over all ranks: one all-reduce of (sum, sum of squares, count) forward, one of (sum of gradients, sum
/// of gradient times deviation) backward. Variances are biased for the output, unbiased for the running one, as in
/// LibTorch. Squares are summed around each rank's own mean and moved to 0 in f64, so that a mean far from 0 beside the
/// spread costs f32 values nothing.
/// @param x [N,C,...]; ranks may differ in N; @param weight, bias [C] or undefined
/// @param running_mean, running_var [C], updated in place, or undefined
at::Tensor sync_norm(const at::Tensor& x, const at::Tensor& weight, const at::Tensor& bias,
                     const at::Tensor& running_mean, const at::Tensor& running_var, double momentum, double eps,
                     const World& world);

/// What synchronize_norms() finds in a tree of modules.
class SyncedNorm {
 public:
  virtual ~SyncedNorm() = default;
  void synchronize(const World& world) { world_ = world; }

 protected:
  World world_;
};

class Norm1dImpl : public torch::nn::BatchNorm1dImpl, public SyncedNorm {
 public:
  explicit Norm1dImpl(const torch::nn::BatchNormOptions& wanted) : BatchNorm1dImpl(wanted) {}
  at::Tensor forward(const at::Tensor& x);
};
TORCH_MODULE(Norm1d);

class Norm3dImpl : public torch::nn::BatchNorm3dImpl, public SyncedNorm {
 public:
  explicit Norm3dImpl(const torch::nn::BatchNormOptions& wanted) : BatchNorm3dImpl(wanted) {}
  /// @param x [N,C,T,H,W]; may have more channels than the norm: padding, all zero, and so in the output
  at::Tensor forward(const at::Tensor& x);
  /// relu(forward(x) + addend). @param addend as x, or undefined
  at::Tensor relu(const at::Tensor& x, const at::Tensor& addend = {});

 private:
  at::Tensor forward_padded(const at::Tensor& x);
};
TORCH_MODULE(Norm3d);

/// A norm and the ReLU behind it, as one link of a chain.
class NormReluImpl : public Norm3dImpl {
 public:
  explicit NormReluImpl(const torch::nn::BatchNormOptions& wanted) : Norm3dImpl(wanted) {}
  at::Tensor forward(const at::Tensor& x) { return relu(x); }
};
TORCH_MODULE(NormRelu);

/// From now on every norm below `module` uses the statistics of all ranks; with a world of one, its own again.
void synchronize_norms(const torch::nn::Module& module, const World& world);

}  // namespace cstp
