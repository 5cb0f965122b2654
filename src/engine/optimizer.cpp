#include "cstp/engine/optimizer.h"

#include <torch/torch.h>

#include <array>
#include <cmath>
#include <map>
#include <numbers>
#include <optional>

#include "cstp/core/error.h"
#include "cstp/core/text.h"

namespace cstp {

void OptimizerOptions::bind(Fields& f) {
  f.choice("name", name, {"sgd", "adamw", "lars"}, "update rule");
  f.number("momentum", momentum, {.min = 0, .max = 0.99999}, "momentum of sgd and lars, beta1 of adamw");
  f.number("beta2", beta2, {.min = 0, .max = 0.9999999}, "beta2 of adamw");
  f.flag("nesterov", nesterov, "Nesterov momentum (sgd)");
  f.number("weight_decay", weight_decay, {.min = 0}, "L2 (sgd, lars) or decoupled (adamw) decay");
  f.flag("decay_norms", decay_norms, "decay one-dimensional parameters (norms, biases) too");
  f.number("clip_norm", clip_norm, {.min = 0}, "largest global gradient norm, 0 = no clipping");
  f.number("bias_lr", bias_lr, {.min = 0}, "factor on the rate of biases, those of norms included");
  f.number("trust", trust, {.min = 0}, "lars: length of a step beside the weight's, at a rate of 1");
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

namespace {

/// Zeros with the very strides of a parameter: for sizes of 1 zeros_like() may choose others, and fused kernels ask.
at::Tensor zeros_beside(const at::Tensor& parameter) {
  return torch::empty_strided(parameter.sizes(), parameter.strides(), parameter.options()).zero_();
}

/// The gradient with its parameter's strides: seen so where they differ in sizes of 1 alone, else moved.
at::Tensor laid_out_as(const at::Tensor& parameter, const at::Tensor& gradient) {
  bool same = true;
  for (int64_t d = 0; d < parameter.dim(); ++d) {
    same = same && (parameter.size(d) == 1 || parameter.stride(d) == gradient.stride(d));
  }
  if (same) return gradient.as_strided(parameter.sizes(), parameter.strides());
  const at::Tensor result = torch::empty_strided(parameter.sizes(), parameter.strides(), gradient.options());
  return result.copy_(gradient);
}

}  // namespace

Optimizer::Optimizer(Named parameters, const OptimizerOptions& options, Fusing fusing)
    : parameters_(std::move(parameters)), options_(options) {
  for (const auto& [name, parameter] : parameters_) {
    momentum_.push_back(zeros_beside(parameter));
    if (options_.name == "adamw") variance_.push_back(zeros_beside(parameter));
  }
  const bool on_gpu = !parameters_.empty() && parameters_.front().second.is_cuda();
  fused_ = fusing == Fusing::on || (fusing == Fusing::automatic && on_gpu);
  if (!fused_ || parameters_.empty()) return;
  const auto scalar = torch::TensorOptions(torch::kFloat32).device(parameters_.front().second.device());
  device_rate_ = torch::zeros({}, scalar);
  device_bias_rate_ = torch::zeros({}, scalar);
  device_steps_ = torch::zeros({}, scalar);
}

void Optimizer::zero_grad() {
  for (auto& [name, parameter] : parameters_) parameter.mutable_grad().reset();
}

void Optimizer::begin_step(double lr) {
  ++steps_;
  rate_ = lr;
  if (!fused_) return;
  device_rate_.fill_(lr);
  device_bias_rate_.fill_(lr * options_.bias_lr);
  device_steps_.fill_(static_cast<double>(steps_));
}

/// Parameters that share a rate and, where updates are fused, whether they are decayed.
struct Optimizer::Group {
  std::vector<at::Tensor> values, gradients, momenta, variances, decayed, decayed_gradients;
};

at::Tensor Optimizer::update() {
  const torch::NoGradGuard no_grad;
  // Parameters without a gradient (a head that this batch did not reach) are left alone, momentum included.
  std::array<std::array<Group, 2>, 2> groups;  // [biases][undecayed]
  std::vector<at::Tensor> gradients, scaled, scaled_gradients, plain_decayed, plain_decayed_gradients;
  const bool lars = options_.name == "lars";
  for (size_t i = 0; i < parameters_.size(); ++i) {
    const auto& [name, parameter] = parameters_[i];
    if (!parameter.grad().defined()) continue;
    const bool bias = options_.bias_lr != 1 && name.ends_with("bias");
    const bool decayed = options_.weight_decay > 0 && (options_.decay_norms || parameter.dim() > 1);
    Group& group = groups[bias][fused_ && !decayed];
    const at::Tensor gradient = fused_ ? laid_out_as(parameter, parameter.grad()) : parameter.grad();
    gradients.push_back(gradient);
    group.values.push_back(parameter);
    group.gradients.push_back(gradient);
    group.momenta.push_back(momentum_[i]);
    if (!variance_.empty()) group.variances.push_back(variance_[i]);
    if (decayed) {
      group.decayed.push_back(parameter);
      group.decayed_gradients.push_back(gradient);
    }
    if (lars && parameter.dim() > 1) {
      scaled.push_back(parameter);
      scaled_gradients.push_back(gradient);
    } else if (lars && decayed) {
      plain_decayed.push_back(parameter);
      plain_decayed_gradients.push_back(gradient);
    }
  }
  check(!gradients.empty(), "Optimizer::update: no parameter has a gradient");
  const at::Tensor norm = torch::stack(at::_foreach_norm(gradients, 2)).norm();  // [] f32
  at::Tensor divisor;
  if (options_.clip_norm > 0 && fused_ && !lars) {
    divisor = ((norm + 1e-6) / options_.clip_norm).clamp_min(1.0);  // within the update: no pass of its own
  } else if (options_.clip_norm > 0) {
    const at::Tensor scale = (options_.clip_norm / (norm + 1e-6)).clamp_max(1.0);
    at::_foreach_mul_(gradients, scale);
  }
  if (lars) {
    if (!scaled.empty()) scale_by_trust(scaled, scaled_gradients, options_.weight_decay);
    if (!plain_decayed.empty()) at::_foreach_add_(plain_decayed_gradients, plain_decayed, options_.weight_decay);
  }
  for (const bool bias : {false, true}) {
    for (const bool undecayed : {false, true}) {
      Group& group = groups[bias][undecayed];
      if (group.values.empty()) continue;
      if (fused_) {
        update_fused(group, undecayed || lars ? 0 : options_.weight_decay, bias ? device_bias_rate_ : device_rate_,
                     divisor);
      } else {
        if (lars) group.decayed.clear();
        update_apart(group, bias ? rate_ * options_.bias_lr : rate_);
      }
    }
  }
  return norm;
}

void Optimizer::scale_by_trust(const std::vector<at::Tensor>& values, const std::vector<at::Tensor>& gradients,
                               double weight_decay) const {
  const at::Tensor of_values = torch::stack(at::_foreach_norm(values, 2));        // [P]
  const at::Tensor of_gradients = torch::stack(at::_foreach_norm(gradients, 2));  // [P]
  const at::Tensor wanted = options_.trust * of_values / (of_gradients + weight_decay * of_values);
  // A weight of zeros, or a gradient of zeros, has no direction to be scaled along.
  const at::Tensor ratio = torch::where((of_values > 0) & (of_gradients > 0), wanted, torch::ones_like(wanted));
  if (weight_decay > 0) at::_foreach_add_(gradients, values, weight_decay);
  at::_foreach_mul_(gradients, ratio.unbind());
}

void Optimizer::update_fused(Group& group, double weight_decay, const at::Tensor& lr,
                             const at::Tensor& gradient_scale) const {
  const auto divisor = gradient_scale.defined() ? std::optional(gradient_scale) : std::nullopt;
  if (options_.name == "adamw") {
    const std::vector<at::Tensor> steps(group.values.size(), device_steps_);
    at::_fused_adamw_(group.values, group.gradients, group.momenta, group.variances, /*max_exp_avg_sqs=*/{}, steps, lr,
                      options_.momentum, options_.beta2, weight_decay, 1e-8, /*amsgrad=*/false, /*maximize=*/false,
                      divisor);
  } else {  // momenta start at 0, so that no step is a first one
    at::_fused_sgd_(group.values, group.gradients, group.momenta, weight_decay, options_.momentum, lr, /*dampening=*/0,
                    options_.nesterov, /*maximize=*/false, /*is_first_step=*/false, divisor);
  }
}

void Optimizer::update_apart(Group& group, double lr) const {
  auto& [values, gradients, momenta, variances, decayed, decayed_gradients] = group;
  if (options_.name != "adamw") {
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
      steps_ = entry->second.item<int64_t>();  // the device is told by the next begin_step()
    } else {
      at::Tensor target = mine;
      target.copy_(entry->second);
    }
  }
}

}  // namespace cstp
