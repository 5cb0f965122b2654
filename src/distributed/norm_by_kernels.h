/// The fused norm of fused_norm.h through kernels: those of a GPU, or a test's.
#pragma once
#include <ATen/core/Tensor.h>
#include <torch/nn/modules/batchnorm.h>

#include "cstp/distributed/world.h"
#include "norm_launch.h"

namespace cstp {

/// As fused_norm(), with statistics over the ranks of `world`, in one collective forward and one backward.
/// @param x may have more channels than the norm: those behind are padding, all zero, and so in the output
/// @throws DeviceError with the device's words if a kernel cannot be launched
at::Tensor norm_by_kernels(const NormLaunchers& launchers, torch::nn::BatchNorm3dImpl& norm, const at::Tensor& x,
                           const at::Tensor& addend, bool relu, const World& world);

}  // namespace cstp
