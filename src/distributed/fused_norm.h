/// Batch norm in training mode with the sum and the ReLU behind it, in as few passes over memory as there can be: two
/// reads and a write forward, instead of up to five and three. Norms are bound by memory, on CPUs and on GPUs, so that
/// is what they cost. On a GPU the kernels of norm_launch.h run, where they were compiled.
#pragma once
#include <ATen/core/Tensor.h>
#include <torch/nn/modules/batchnorm.h>

#include "cstp/distributed/world.h"

namespace cstp {

/// True for what fused_norm() can take: the training of a norm with weights and running statistics on [N,C,T,H,W]
/// values of f32 or bf16 in channels-last order; over several ranks on a GPU alone. @param addend as x, or undefined
bool can_fuse_norm(const torch::nn::BatchNorm3dImpl& norm, const at::Tensor& x, const at::Tensor& addend,
                   const World& world = {});

/// norm(x) (+ addend), then ReLU where `relu`; the running statistics move on as LibTorch's do. Equals LibTorch's norm
/// but for rounding: sums are taken around a value of the channel itself, in parts of a fixed size and then in f64, and
/// do not depend on the number of threads.
at::Tensor fused_norm(torch::nn::BatchNorm3dImpl& norm, const at::Tensor& x, const at::Tensor& addend, bool relu,
                      const World& world = {});

}  // namespace cstp
