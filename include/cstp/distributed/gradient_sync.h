/// Gradients become their means over all ranks during the backward pass, bucket by bucket (wraps c10d::Reducer).
#pragma once
#include <ATen/core/Tensor.h>

#include <memory>
#include <vector>

#include "cstp/distributed/world.h"

namespace cstp {

class GradientSync {
 public:
  /// @param parameters in the order of registration; a backward pass must reach each of them. In a world of one this is
  /// nothing.
  GradientSync(const std::vector<at::Tensor>& parameters, const World& world);
  ~GradientSync();
  GradientSync(const GradientSync&) = delete;
  GradientSync& operator=(const GradientSync&) = delete;

  /// Before each backward pass. When that pass returns, every gradient is the mean.
  void expect_backward();

 private:
  struct Impl;
  std::unique_ptr<Impl> impl_;
};

}  // namespace cstp
