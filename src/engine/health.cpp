#include "cstp/engine/health.h"

#include <torch/torch.h>

#include <algorithm>
#include <array>
#include <cmath>
#include <cstdio>
#include <vector>

#include "cstp/core/error.h"
#include "cstp/core/text.h"
#include "cstp/distributed/collectives.h"

namespace cstp {
namespace {

at::Tensor unit(const at::Tensor& x) {
  return x / at::linalg_vector_norm(x, 2, {-1}, /*keepdim=*/true).clamp_min(1e-8);
}

/// Spread around the mean of the row's own step: weights that move would spread even constant embeddings.
at::Tensor spread(const std::vector<at::Tensor>& steps) {
  std::vector<at::Tensor> squares;
  int64_t used = 0, freedom = 0;
  for (auto step = steps.rbegin(); step != steps.rend() && used < HealthWindow::kNewestRows; ++step) {
    const at::Tensor rows = step->flatten(0, 1);  // [V*B,C]
    squares.push_back((rows - rows.mean(0)).square().sum(0));
    used += rows.size(0);
    freedom += rows.size(0) - 1;
  }
  const at::Tensor variance = torch::stack(squares).sum(0) / static_cast<double>(std::max<int64_t>(1, freedom));  // [C]
  return variance.sqrt().mean() * std::sqrt(static_cast<double>(variance.size(0)));
}

/// From the eigenvalues of the smaller Gram matrix; in f64, because small singular values are roots of them.
at::Tensor effective_rank(const at::Tensor& rows) {
  const at::Tensor x = rows.to(torch::kFloat64);
  const at::Tensor gram = x.size(0) < x.size(1) ? x.mm(x.t()) : x.t().mm(x);
  const at::Tensor sigma = torch::linalg_eigvalsh(gram, "L").clamp_min(0).sqrt();
  const at::Tensor p = sigma / sigma.sum().clamp_min(1e-30);
  return torch::exp(-torch::xlogy(p, p).sum()).to(torch::kFloat32);
}

at::Tensor uniformity(const at::Tensor& rows) {  // [N,C] of one view
  const int64_t n = rows.size(0);
  const at::Tensor length = rows.square().sum(1);  // 1, but 0 for a row of zeros
  const at::Tensor distance =
      (length.unsqueeze(0) + length.unsqueeze(1) - 2 * rows.mm(rows.t())).clamp_min(0);  // squared
  return (((-2 * distance).exp().sum() - n) / static_cast<double>(std::max<int64_t>(1, n * (n - 1)))).log();
}

std::string finite_or_null(double value) { return std::isfinite(value) ? number_text(value) : "null"; }

std::string short_number(double value) {
  std::array<char, 32> text{};
  std::snprintf(text.data(), text.size(), "%.3g", value);
  return text.data();
}

}  // namespace

std::string Health::json() const {
  return cat("\"embedding_std\":", finite_or_null(std), ",\"effective_rank\":", finite_or_null(rank),
             ",\"rank_ceiling\":", rank_ceiling, ",\"alignment\":", alignment ? finite_or_null(*alignment) : "null",
             ",\"uniformity\":", finite_or_null(uniformity), ",\"health_rows\":", rows);
}

std::string Health::line() const {
  return cat("std ", short_number(std), "  rank ", short_number(rank), "/", rank_ceiling);
}

void HealthWindow::add(const at::Tensor& embeddings, int64_t videos) {
  check(!embeddings.requires_grad() && embeddings.dim() == 2 && videos > 0 && embeddings.size(0) % videos == 0,
        "HealthWindow::add: wanted [V*B,C] without gradient");
  const int64_t views = embeddings.size(0) / videos;
  const at::Tensor step = embeddings.to(torch::kFloat32)
                              .reshape({views, videos, -1})
                              .narrow(1, 0, std::min(videos, std::max<int64_t>(1, most_rows() / views)));
  rows_ += views * step.size(1);
  steps_.push_back(step);
  while (rows_ > most_rows() && steps_.size() > 1) {
    rows_ -= steps_.front().size(0) * steps_.front().size(1);
    steps_.pop_front();
  }
}

Health HealthWindow::measure() const {
  if (world_.size == 1) return measured();
  const torch::NoGradGuard no_grad;
  HealthWindow whole;
  for (const at::Tensor& step : steps_) {  // videos first, so that ranks follow each other within a view
    whole.steps_.push_back(join_rows(step.transpose(0, 1).contiguous(), world_).transpose(0, 1));
  }
  // Measured once and told: a guard that decides on the last digit must decide the same everywhere.
  Health health;
  const at::Tensor told = torch::zeros({6}, torch::kFloat64);
  if (world_.is_first()) {
    health = whole.measured();
    const double alignment = health.alignment.value_or(-1);  // a distance is none
    told.copy_(torch::tensor({health.std, health.rank, static_cast<double>(health.rank_ceiling), alignment,
                              health.uniformity, static_cast<double>(health.rows)},
                             torch::kFloat64));
  }
  take_from_first(std::vector<at::Tensor>{told}, world_);
  const double* values = told.const_data_ptr<double>();
  health = {values[0],    values[1], static_cast<int64_t>(values[2]),
            std::nullopt, values[4], static_cast<int64_t>(values[5])};
  if (values[3] != -1) health.alignment = values[3];
  return health;
}

Health HealthWindow::measured() const {
  check(!steps_.empty(), "HealthWindow::measure: nothing was added");
  const torch::NoGradGuard no_grad;
  std::vector<at::Tensor> steps;
  for (const at::Tensor& step : steps_) steps.push_back(unit(step));
  const at::Tensor all = torch::cat(steps, 1);  // [V,M,C]
  const at::Tensor rows = all.flatten(0, 1);    // [N,C]
  Health health;
  health.rows = rows.size(0);
  health.rank_ceiling = std::min(rows.size(0), rows.size(1));
  const bool pairs = all.size(0) > 1;
  std::vector<at::Tensor> even;
  for (const at::Tensor& view : all.unbind(0)) even.push_back(uniformity(view));
  const at::Tensor sums = torch::stack({spread(steps), torch::stack(even).mean(),
                                        pairs ? (all[0] - all[1]).square().sum(1).mean() : all.new_zeros({})})
                              .to(torch::kCPU, torch::kFloat64)
                              .contiguous();
  const double* values = sums.data_ptr<double>();
  health.std = values[0];
  health.uniformity = values[1];
  if (pairs) health.alignment = values[2];
  // Eigenvalues of what is not finite are an error of LAPACK's; the loss will say what is wrong.
  health.rank = std::isfinite(health.std) ? effective_rank(rows).item<double>() : health.std;
  return health;
}

bool CollapseGuard::low(const Health& health, int64_t step) const {
  return reports_ > 0 && step > quiet_ && (health.std < std_ || health.rank < rank_);  // false for what is not finite
}

void CollapseGuard::observe(const Health& health, int64_t step, const std::string& last_good_checkpoint) {
  low_in_a_row_ = low(health, step) ? low_in_a_row_ + 1 : 0;
  if (reports_ == 0 || low_in_a_row_ < reports_) return;
  std::vector<std::string> found;
  if (health.std < std_)
    found.push_back(cat("embedding std ", short_number(health.std), " (train.collapse_std is ", std_, ")"));
  if (health.rank < rank_) {
    found.push_back(cat("effective rank ", short_number(health.rank), " of at most ", health.rank_ceiling,
                        " (train.collapse_rank is ", rank_, ")"));
  }
  throw NumericError(cat("step ", step, ": the embeddings have collapsed, every clip gets nearly the same one: ",
                         join(found, ", "), " for ", reports_, " reports in a row; ",
                         last_good_checkpoint.empty() ? "there is no checkpoint from before it"
                                                      : cat("the last good checkpoint is ", last_good_checkpoint),
                         "; try a lower schedule.lr, a lower optimizer.weight_decay, a larger train.batch, or "
                         "objective.contrast: infonce, "
                         "whose negatives push embeddings apart (train.collapse_reports: 0 lets it run on)"));
}

}  // namespace cstp
