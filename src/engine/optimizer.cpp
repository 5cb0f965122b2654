#include "cstp/engine/optimizer.h"

#include <torch/torch.h>

#include <cmath>
#include <map>
#include <numbers>

#include "cstp/core/error.h"
#include "cstp/core/text.h"

namespace cstp {

void OptimizerOptions::bind(Fields& f) {
  f.choice("name", name, {"sgd", "adamw"}, "update rule");
  f.number("momentum", momentum, {.min = 0, .max = 0.99999}, "momentum of sgd, beta1 of adamw");
  f.number("beta2", beta2, {.min = 0, .max = 0.9999999}, "beta2 of adamw");
  f.flag("nesterov", nesterov, "Nesterov momentum (sgd)");
  f.number("weight_decay", weight_decay, {.min = 0}, "L2 (sgd) or decoupled (adamw) decay");
  f.flag("decay_norms", decay_norms, "decay one-dimensional parameters (norms, biases) too");
  f.number("clip_norm", clip_norm, {.min = 0}, "largest global gradient norm, 0 = no clipping");
  f.number("bias_lr", bias_lr, {.min = 0}, "factor on the rate of biases, those of norms included");
}

void ScheduleOptions::bind(Fields& f) {
  f.choice("shape", shape, {"cosine", "full_cosine", "constant", "step"},
           "course of the rate after the warm-up; full_cosine began with the run");
  f.number("lr", lr, {.min = 0}, "peak learning rate");
  f.number("lr_multiplier", lr_multiplier, {.min = 0}, "multiplies every rate");
  f.number("min_lr", min_lr, {.min = 0}, "rate at the start of the warm-up and the end of the cosine");
  f.number("warmup", warmup, {.min = 0, .max = 1}, "fraction of the epochs in which the rate rises linearly");
  f.numbers("milestones", milestones, {.min = 0, .max = 1}, "step shape: fractions of the epochs where lr drops");
  f.number("gamma", gamma, {.min = 0, .max = 1}, "step shape: factor at each milestone");
  f.choice("per", per, {"epoch", "step"}, "how often the rate moves");
}

namespace {

/// Half a cosine from lr to min_lr, `part` in [0,1] of its way.
double half_cosine(const ScheduleOptions& options, double part) {
  return options.min_lr + 0.5 * (options.lr - options.min_lr) * (1 + std::cos(std::numbers::pi * part));
}

double unscaled_rate(const ScheduleOptions& options, double epoch, double epochs) {
  const double warm = options.warmup * epochs;
  if (options.shape == "full_cosine") {
    if (epoch < warm) return options.min_lr + (half_cosine(options, warm / epochs) - options.min_lr) * epoch / warm;
    return half_cosine(options, epochs > 0 ? std::min(1.0, epoch / epochs) : 1.0);
  }
  if (epoch < warm) return options.min_lr + (options.lr - options.min_lr) * epoch / warm;
  if (options.shape == "constant") return options.lr;
  if (options.shape == "step") {
    double lr = options.lr;
    for (const double milestone : options.milestones) lr *= epoch >= milestone * epochs ? options.gamma : 1.0;
    return lr;
  }
  const double part = epochs > warm ? std::min(1.0, (epoch - warm) / (epochs - warm)) : 1.0;
  return half_cosine(options, part);
}

}  // namespace

double learning_rate(const ScheduleOptions& options, double epoch, double epochs) {
  if (options.per == "epoch") epoch = std::floor(epoch);
  return options.lr_multiplier * unscaled_rate(options, epoch, epochs);
}

Optimizer::Optimizer(Named parameters, const OptimizerOptions& options)
    : parameters_(std::move(parameters)), options_(options) {
  for (const auto& [name, parameter] : parameters_) {
    momentum_.push_back(torch::zeros_like(parameter));
    if (options_.name == "adamw") variance_.push_back(torch::zeros_like(parameter));
  }
}

void Optimizer::zero_grad() {
  for (auto& [name, parameter] : parameters_) parameter.mutable_grad().reset();
}

/// Parameters that share a rate.
struct Optimizer::Group {
  std::vector<at::Tensor> values, gradients, momenta, variances, decayed, decayed_gradients;
};

at::Tensor Optimizer::step(double lr) {
  const torch::NoGradGuard no_grad;
  // Parameters without a gradient (a head that this batch did not reach) are left alone, momentum included.
  Group main, biases;
  std::vector<at::Tensor> gradients;
  for (size_t i = 0; i < parameters_.size(); ++i) {
    const auto& [name, parameter] = parameters_[i];
    if (!parameter.grad().defined()) continue;
    Group& group = options_.bias_lr != 1 && name.ends_with("bias") ? biases : main;
    gradients.push_back(parameter.grad());
    group.values.push_back(parameter);
    group.gradients.push_back(parameter.grad());
    group.momenta.push_back(momentum_[i]);
    if (!variance_.empty()) group.variances.push_back(variance_[i]);
    if (options_.weight_decay > 0 && (options_.decay_norms || parameter.dim() > 1)) {
      group.decayed.push_back(parameter);
      group.decayed_gradients.push_back(parameter.grad());
    }
  }
  check(!gradients.empty(), "Optimizer::step: no parameter has a gradient");
  ++steps_;
  const at::Tensor norm = torch::stack(at::_foreach_norm(gradients, 2)).norm();  // [] f32
  if (options_.clip_norm > 0) {
    const at::Tensor scale = (options_.clip_norm / (norm + 1e-6)).clamp_max(1.0);
    at::_foreach_mul_(gradients, scale);
  }
  if (!main.values.empty()) update(main, lr);
  if (!biases.values.empty()) update(biases, lr * options_.bias_lr);
  return norm;
}

void Optimizer::update(Group& group, double lr) const {
  auto& [values, gradients, momenta, variances, decayed, decayed_gradients] = group;
  if (options_.name == "sgd") {
    if (!decayed.empty()) at::_foreach_add_(decayed_gradients, decayed, options_.weight_decay);
    at::_foreach_mul_(momenta, options_.momentum);
    at::_foreach_add_(momenta, gradients, 1.0);
    if (options_.nesterov) {
      at::_foreach_add_(gradients, momenta, options_.momentum);
      at::_foreach_add_(values, gradients, -lr);
    } else {
      at::_foreach_add_(values, momenta, -lr);
    }
  } else {
    if (!decayed.empty()) at::_foreach_mul_(decayed, 1.0 - lr * options_.weight_decay);
    at::_foreach_lerp_(momenta, gradients, 1.0 - options_.momentum);
    at::_foreach_mul_(variances, options_.beta2);
    at::_foreach_addcmul_(variances, gradients, gradients, 1.0 - options_.beta2);
    const double correction1 = 1.0 - std::pow(options_.momentum, static_cast<double>(steps_));
    const double correction2 = 1.0 - std::pow(options_.beta2, static_cast<double>(steps_));
    std::vector<at::Tensor> denominators = at::_foreach_sqrt(variances);
    at::_foreach_div_(denominators, std::sqrt(correction2));
    at::_foreach_add_(denominators, 1e-8);
    at::_foreach_addcdiv_(values, momenta, denominators, -lr / correction1);
  }
}

Optimizer::Named Optimizer::state() const {
  Named state;
  for (size_t i = 0; i < parameters_.size(); ++i) {
    state.emplace_back(cat("momentum/", parameters_[i].first), momentum_[i]);
    if (!variance_.empty()) state.emplace_back(cat("variance/", parameters_[i].first), variance_[i]);
  }
  state.emplace_back("steps", torch::tensor({steps_}, torch::kInt64));
  return state;
}

void Optimizer::load(const Named& state) {
  const torch::NoGradGuard no_grad;
  const std::map<std::string, at::Tensor> found(state.begin(), state.end());
  for (const auto& [name, mine] : this->state()) {
    const auto entry = found.find(name);
    if (entry == found.end()) throw CheckpointError(cat("optimizer state '", name, "' is missing"));
    if (entry->second.sizes() != mine.sizes()) {
      throw CheckpointError(cat("optimizer state '", name, "' is ", entry->second.sizes(), ", wanted ", mine.sizes()));
    }
    if (name == "steps") {
      steps_ = entry->second.item<int64_t>();
    } else {
      at::Tensor target = mine;
      target.copy_(entry->second);
    }
  }
}

}  // namespace cstp
