/// Optimizer on named parameters, and the learning rate as a function of the step.
#pragma once
#include <ATen/core/Tensor.h>

#include <string>
#include <utility>
#include <vector>

#include "cstp/core/config.h"

namespace cstp {

struct OptimizerOptions {
  std::string name = "sgd";  ///< sgd | adamw | lars
  double momentum = 0.9;     ///< sgd, lars; beta1 of adamw
  double beta2 = 0.999;      ///< adamw
  bool nesterov = false;
  double weight_decay = 5e-4;  ///< on all parameters, norms and biases included, unless decay_norms is off
  bool decay_norms = true;     ///< false: one-dimensional parameters are not decayed
  double clip_norm = 0;        ///< global L2 norm of the gradient; 0: no clipping
  double bias_lr = 1;          ///< factor on the rate of every bias, those of norms included (STS: 2)
  double trust = 1e-3;         ///< lars: a step's length beside the weight's, at a rate of 1
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

/// LARS: You et al., "Large Batch Training of Convolutional Networks" (2017), section on layer-wise adaptive rates. The
/// gradient of a weight w, decayed, is scaled by trust * |w| / (|g| + decay * |w|); then SGD with momentum. As its
/// users do (SimCLR, BYOL), one-dimensional parameters are not scaled.
class Optimizer {
 public:
  using Named = std::vector<std::pair<std::string, at::Tensor>>;
  /// Whether an update is one fused kernel a group of parameters, that reads rate and clipping from device memory, or
  /// one a term of the rule. `automatic`: fused on a GPU, apart on a CPU, whose bits older runs have.
  enum class Fusing { automatic, on, off };
  Optimizer(Named parameters, const OptimizerOptions& options, Fusing fusing = Fusing::automatic);

  void zero_grad();
  /// Clips, then updates every parameter that has a gradient. No host read: the norm stays on the device.
  /// @return global gradient norm before clipping, [] f32 on the device
  at::Tensor step(double lr) {
    begin_step(lr);
    return update();
  }
  /// The two halves of it. The first tells the device the rate and the number of the step; the second reads no host
  /// value where it is fused, and may be captured into a CUDA graph and replayed after other begin_step()s.
  void begin_step(double lr);
  at::Tensor update();
  bool fused() const { return fused_; }

  /// State by parameter name: "momentum/<name>" (and "variance/<name>", "steps" for adamw).
  Named state() const;
  /// @throws CheckpointError naming the first tensor that is missing or of another shape
  void load(const Named& state);

 private:
  struct Group;
  void scale_by_trust(const std::vector<at::Tensor>& values, const std::vector<at::Tensor>& gradients,
                      double weight_decay) const;
  void update_apart(Group& group, double lr) const;
  void update_fused(Group& group, double weight_decay, const at::Tensor& lr, const at::Tensor& gradient_scale) const;
  Named parameters_;
  OptimizerOptions options_;
  bool fused_;
  std::vector<at::Tensor> momentum_, variance_;
  int64_t steps_ = 0;
  double rate_ = 0;
  at::Tensor device_rate_, device_bias_rate_, device_steps_;  ///< [] f32, where fused
};

}  // namespace cstp
