/// Batch norm in training mode with the sum and the ReLU behind it, in as few passes over memory as there can be: two
/// reads and a write forward, instead of up to five and three. On the CPU, where norms are bound by memory, that is
/// what they cost.
#pragma once
#include <ATen/core/Tensor.h>
#include <torch/nn/modules/batchnorm.h>

namespace cstp {

/// True for what fused_norm() can take: the training of a norm with weights and running statistics on [N,C,T,H,W]
/// values of f32 or bf16 in channels-last order on the CPU. @param addend as x, or undefined
bool can_fuse_norm(const torch::nn::BatchNorm3dImpl& norm, const at::Tensor& x, const at::Tensor& addend);

/// norm(x) (+ addend), then ReLU where `relu`; the running statistics move on as LibTorch's do. Equals LibTorch's norm
/// but for rounding: sums are taken around a value of the channel itself, in parts of a fixed size and then in f64, and
/// do not depend on the number of threads.
at::Tensor fused_norm(torch::nn::BatchNorm3dImpl& norm, const at::Tensor& x, const at::Tensor& addend, bool relu);

}  // namespace cstp
