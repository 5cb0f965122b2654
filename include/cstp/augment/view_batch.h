/// Rendered views of B videos on the device, beside the plans they came from: what an objective's loss sees.
#pragma once
#include <ATen/core/Tensor.h>

#include <cstdint>
#include <vector>

#include "cstp/sampling/plan.h"

namespace cstp {

struct ViewBatch {
  at::Tensor views;               ///< [V*B,3,T,S,S] f32, view-major: view v of video b is row v*B + b
  std::vector<SamplePlan> plans;  ///< B
  at::Tensor labels;              ///< [B] int64 class labels on the device, -1 where unknown
  at::Tensor targets;             ///< [V*B,W] f32 on the device, rows as of views; undefined where nobody annotates
  std::vector<int64_t> records;   ///< B indices into the data set
  at::Tensor plan_labels;         ///< Objective::plan_labels() on the device, where it was asked for beforehand
  int64_t videos() const { return static_cast<int64_t>(plans.size()); }
};

}  // namespace cstp
