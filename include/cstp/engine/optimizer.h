/// Optimizer on named parameters, and the learning rate as a function of the step.
#pragma once
#include <ATen/core/Tensor.h>

#include <string>
#include <utility>
#include <vector>

#include "cstp/core/config.h"

namespace cstp {

struct OptimizerOptions {
  std::string name = "sgd";  ///< sgd | adamw
  double momentum = 0.9;     ///< sgd; beta1 of adamw
  double beta2 = 0.999;      ///< adamw
  bool nesterov = false;
  double weight_decay = 5e-4;  ///< on all parameters, norms and biases included, unless decay_norms is off
  bool decay_norms = true;     ///< false: one-dimensional parameters are not decayed
  double clip_norm = 0;        ///< global L2 norm of the gradient; 0: no clipping
  double bias_lr = 1;          ///< factor on the rate of every bias, those of norms included (STS: 2)
  void bind(Fields& f);
};

struct ScheduleOptions {
  std::string shape = "cosine";    ///< cosine | full_cosine | constant | step
  double lr = 0.03;                ///< peak
  double lr_multiplier = 1;        ///< on every rate of the course
  double min_lr = 1e-5;            ///< start of the warm-up and end of the cosine
  double warmup = 0.5;             ///< fraction of the epochs
  std::vector<double> milestones;  ///< step: fractions of the epochs after which lr is multiplied by `gamma`
  double gamma = 0.1;
  std::string per = "epoch";  ///< epoch | step: how often the rate moves
  void bind(Fields& f);
};

/// @param epoch 0-based, fractional where the rate moves per step
/// Linear from min_lr over the first warmup*epochs, then the shape. (CSTP's released recipe: warm-up over half the
/// run.) `cosine` spans what is left after the warm-up. `full_cosine` spans the whole run, and the warm-up rises to the
/// value that it has at the warm-up's end (CVRL's released code).
double learning_rate(const ScheduleOptions& options, double epoch, double epochs);

class Optimizer {
 public:
  using Named = std::vector<std::pair<std::string, at::Tensor>>;
  Optimizer(Named parameters, const OptimizerOptions& options);

  void zero_grad();
  /// Clips, then updates every parameter that has a gradient. No host read: the norm stays on the device.
  /// @return global gradient norm before clipping, [] f32 on the device
  at::Tensor step(double lr);

  /// State by parameter name: "momentum/<name>" (and "variance/<name>", "steps" for adamw).
  Named state() const;
  /// @throws CheckpointError naming the first tensor that is missing or of another shape
  void load(const Named& state);

 private:
  struct Group;
  void update(Group& group, double lr) const;
  Named parameters_;
  OptimizerOptions options_;
  std::vector<at::Tensor> momentum_, variance_;
  int64_t steps_ = 0;
};

}  // namespace cstp
