#include "training_step.h"

#include <torch/utils.h>

#include <optional>

#include "cstp/core/error.h"
#include "cstp/core/log.h"
#include "cstp/core/random.h"
#include "cstp/core/text.h"
#include "cstp/distributed/gradient_sync.h"
#include "cstp/distributed/sync_norm.h"
#include "cstp/engine/device.h"
#include "cstp/engine/graphed_step.h"

namespace cstp {
namespace {

constexpr uint64_t kStepStream = 0x73746570;  // keeps these draws apart from those of samples

/// A batch at addresses that stay, for a recorded step.
class FixedBatch {
 public:
  const ViewBatch& take(const ViewBatch& batch, const at::Tensor& plan_labels) {
    const c10::Device device = batch.views.device();
    keep(fixed_.views, batch.views, device);
    keep(fixed_.labels, batch.labels, device);
    keep(fixed_.targets, batch.targets, device);
    keep(fixed_.plan_labels, plan_labels, device);
    fixed_.plans = batch.plans;
    fixed_.records = batch.records;
    return fixed_;
  }

 private:
  static void keep(at::Tensor& home, const at::Tensor& now, c10::Device device) {
    if (!now.defined()) return;
    if (!home.defined()) {
      home = now.to(device, /*non_blocking=*/true, /*copy=*/true);
    } else {
      check(home.sizes() == now.sizes(), "FixedBatch: batches of one run differ in shape");
      home.copy_(now, /*non_blocking=*/true);
    }
  }
  ViewBatch fixed_;
};

std::vector<at::Tensor> without_names(const Optimizer::Named& named) {
  std::vector<at::Tensor> tensors;
  for (const auto& [name, tensor] : named) tensors.push_back(tensor);
  return tensors;
}

}  // namespace

Optimizer::Named prepared(Objective& objective, c10::Device device, const RunConfig& config, const World& world) {
  objective.to(device);
  if (config.train.channels_last) to_channels_last(objective);
  if (config.train.sync_norm == "auto") synchronize_norms(objective, world);
  return objective.trainable();
}

void seed_step(int64_t seed, int64_t step, int64_t rank) {
  Rng draws(static_cast<uint64_t>(seed) ^ kStepStream, static_cast<uint64_t>(step), static_cast<uint64_t>(rank));
  torch::manual_seed(draws.bits());
}

struct TrainingStep::Impl {
  c10::Device device;
  bool bf16;
  Objective& objective;
  Optimizer& optimizer;
  GradientSync gradients;
  std::optional<GraphedStep> graph;
  FixedBatch fixed;
  LossTerms terms;  ///< where a recorded step writes: a replay does not come by the lines that fill it
  at::Tensor norm;

  void compute(const ViewBatch& batch, StageClock& clock) {
    clock.enter(&StageTimes::forward);
    optimizer.zero_grad();
    with_precision(bf16, device, [&] { terms = objective.loss(batch); });
    clock.enter(&StageTimes::backward);
    gradients.expect_backward();
    terms.total.backward();
    clock.enter(&StageTimes::update);
    norm = optimizer.update();
    objective.after_step();
  }
};

TrainingStep::TrainingStep(const RunConfig& config, c10::Device device, const World& world, Objective& objective,
                           Optimizer& optimizer)
    : impl_(new Impl{.device = device,
                     .bf16 = config.train.precision == "bf16",
                     .objective = objective,
                     .optimizer = optimizer,
                     .gradients = {without_names(objective.trainable()), world},
                     .graph = {},
                     .fixed = {},
                     .terms = {},
                     .norm = {}}) {
  const std::string eager = why_eager({.wanted = config.train.cuda_graph,
                                       .on_gpu = device.is_cuda(),
                                       .ranks = world.size,
                                       .capturable = objective.capturable(),
                                       .objective = find_objective(config.objective).name});
  if (eager.empty()) impl_->graph.emplace(device, config.train.cuda_graph == "on");
  if (device.is_cuda() && world.is_first()) {
    log::info(eager.empty() ? "the step is recorded as a CUDA graph"
                            : cat("the step is not recorded as a CUDA graph: ", eager));
  }
}

TrainingStep::~TrainingStep() = default;

LossTerms TrainingStep::run(const ViewBatch& batch, double lr, StageClock& clock) {
  clock.enter(&StageTimes::forward);
  impl_->optimizer.begin_step(lr);
  if (impl_->graph) {
    const ViewBatch& same = impl_->fixed.take(batch, impl_->objective.plan_labels(batch));
    impl_->graph->run([&] { impl_->compute(same, clock); });
  } else {
    impl_->compute(batch, clock);
  }
  clock.enter(&StageTimes::rest);
  LossTerms terms = impl_->terms;
  if (impl_->graph) terms.embeddings = terms.embeddings.clone();  // kept for steps; the next replay writes over it
  return terms;
}

const at::Tensor& TrainingStep::gradient_norm() const { return impl_->norm; }

}  // namespace cstp
