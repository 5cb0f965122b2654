/// One step of training, the same for a run and for its benchmark.
#pragma once
#include <ATen/core/Tensor.h>

#include <cstdint>
#include <memory>

#include "cstp/augment/view_batch.h"
#include "cstp/distributed/world.h"
#include "cstp/engine/optimizer.h"
#include "cstp/engine/run_config.h"
#include "cstp/engine/stage_times.h"
#include "cstp/objectives/objective.h"

namespace cstp {

/// The objective on the device, in the memory order and with the norms of the recipe: what an optimizer is to be made
/// of. @return its trainable parameters
Optimizer::Named prepared(Objective& objective, c10::Device device, const RunConfig& config, const World& world);

/// Each rank's dropout is its own, and a function of the step, so that it needs no place in the checkpoint.
void seed_step(int64_t seed, int64_t step, int64_t rank);

/// Loss of a batch, gradients, their mean over the ranks, update; on a GPU recorded once as a CUDA graph, where that
/// can be done, and replayed.
class TrainingStep {
 public:
  /// @param objective, optimizer as prepared() and as every rank is to start: they outlive this
  TrainingStep(const RunConfig& config, c10::Device device, const World& world, Objective& objective,
               Optimizer& optimizer);
  ~TrainingStep();
  TrainingStep(const TrainingStep&) = delete;
  TrainingStep& operator=(const TrainingStep&) = delete;

  /// Nothing is waited for. @param lr of this step. @param clock enters forward, backward, update, rest
  /// @return terms that later steps leave as they are in `embeddings`; the scalars hold until the next step
  LossTerms run(const ViewBatch& batch, double lr, StageClock& clock);
  /// Of the newest step: global norm before clipping, [] f32 on the device; holds until the next step.
  const at::Tensor& gradient_norm() const;

 private:
  struct Impl;
  std::unique_ptr<Impl> impl_;
};

}  // namespace cstp
