#include "cstp/engine/metrics.h"

#include <torch/torch.h>

#include <array>
#include <cmath>
#include <cstdio>
#include <filesystem>
#include <fstream>
#include <nlohmann/json.hpp>

#include "cstp/core/error.h"
#include "cstp/core/text.h"
#include "cstp/distributed/collectives.h"

namespace cstp {
namespace {

using Clock = std::chrono::steady_clock;

double seconds_since(Clock::time_point start) { return std::chrono::duration<double>(Clock::now() - start).count(); }

std::string short_number(double value) {
  std::array<char, 32> text{};
  std::snprintf(text.data(), text.size(), "%.4g", value);
  return text.data();
}

/// Keeps the lines up to `step`, so that a resumed run's file reads as if it had never been interrupted.
void drop_lines_after(const std::string& path, int64_t step) {
  if (!std::filesystem::exists(path)) return;
  std::string kept;
  for (const std::string& line : split_lines(read_text_file(path))) {
    const auto json = nlohmann::json::parse(line, nullptr, false);
    if (!json.is_discarded() && json.value("step", int64_t{0}) <= step) kept += line + "\n";
  }
  write_file_atomically(path, kept);
}

}  // namespace

Metrics::Metrics(std::string path, int64_t first_step, int64_t total_steps, World world)
    : world_(std::move(world)),
      path_(std::move(path)),
      total_steps_(total_steps),
      first_step_(first_step),
      since_(Clock::now()),
      start_(since_) {
  if (!path_.empty()) drop_lines_after(path_, first_step);
}

void Metrics::add(const LossTerms& terms, const at::Tensor& gradient_norm, int64_t clips) {
  const torch::NoGradGuard no_grad;
  std::vector<at::Tensor> values = {terms.total.detach(), gradient_norm};
  for (const auto& [name, value] : terms.parts) values.push_back(value.detach());
  for (at::Tensor& value : values) value = value.to(torch::kFloat32).reshape({});
  const at::Tensor stacked = torch::stack(values);
  if (names_.empty()) {
    for (const auto& [name, value] : terms.parts) names_.push_back(name);
    sums_ = torch::zeros_like(stacked);
  }
  sums_ += stacked;
  ++steps_;
  clips_ += clips * world_.size;
}

/// Of the steps since the last report, over all ranks. What is not finite on one is so for all.
std::vector<double> Metrics::means_over_ranks() const {
  const at::Tensor own = sums_.to(torch::kCPU, torch::kFloat64) / static_cast<double>(steps_);
  const at::Tensor host = mean_over_ranks(own, world_).contiguous();
  return {host.data_ptr<double>(), host.data_ptr<double>() + host.numel()};
}

std::string Metrics::non_finite(const std::vector<double>& means) const {
  std::vector<std::string> bad;
  for (size_t i = 0; i < means.size(); ++i) {
    if (std::isfinite(means[i])) continue;
    bad.push_back(cat(i == 0 ? "loss" : i == 1 ? "gradient norm" : names_[i - 2], " = ", means[i]));
  }
  return join(bad, ", ");
}

namespace {

[[noreturn]] void stop_at(int64_t step, const std::string& bad, const std::string& last_checkpoint) {
  throw NumericError(
      cat("step ", step, ": not finite: ", bad, "; ",
          last_checkpoint.empty() ? "there is no checkpoint yet" : cat("the last good checkpoint is ", last_checkpoint),
          "; try a lower schedule.lr, or optimizer.clip_norm"));
}

}  // namespace

void Metrics::require_finite(int64_t step, const std::string& last_checkpoint) const {
  if (steps_ == 0) return;
  if (const std::string bad = non_finite(means_over_ranks()); !bad.empty()) stop_at(step, bad, last_checkpoint);
}

Metrics::Report Metrics::report(int64_t step, double epoch, double lr, const std::string& extra,
                                const std::string& note, const std::string& last_checkpoint) {
  Report report;
  if (steps_ == 0) return report;
  const std::vector<double> means = means_over_ranks();
  if (const std::string bad = non_finite(means); !bad.empty()) stop_at(step, bad, last_checkpoint);
  const double seconds = seconds_since(since_);
  report.loss = means[0];
  report.clips_per_second = static_cast<double>(clips_) / std::max(seconds, 1e-9);

  std::string json = cat("{\"step\":", step, ",\"epoch\":", number_text(epoch), ",\"lr\":", number_text(lr),
                         ",\"loss\":", number_text(means[0]), ",\"gradient_norm\":", number_text(means[1]));
  std::string parts;
  for (size_t i = 0; i < names_.size(); ++i) {
    json += cat(",\"", names_[i], "\":", number_text(means[i + 2]));
    if (names_[i].find('/') == std::string::npos) parts += cat("  ", names_[i], " ", short_number(means[i + 2]));
  }
  json += cat(",\"clips_per_second\":", number_text(report.clips_per_second),
              ",\"seconds\":", number_text(seconds_since(start_)), extra.empty() ? "" : ",", extra, "}\n");
  if (!path_.empty()) {
    std::ofstream file(path_, std::ios::app);
    file << json << std::flush;
    if (!file) throw DataError(cat(path_, ": metrics cannot be written; is the disk full?"));
  }
  const double per_step = seconds_since(start_) / static_cast<double>(std::max<int64_t>(1, step - first_step_));
  report.line =
      cat("step ", step, "/", total_steps_, "  epoch ", short_number(epoch), "  loss ", short_number(means[0]), parts,
          note.empty() ? "" : "  ", note, "  lr ", short_number(lr), "  ", short_number(report.clips_per_second),
          " clips/s  ETA ", duration_text(per_step * static_cast<double>(total_steps_ - step)));
  sums_.zero_();
  steps_ = 0;
  clips_ = 0;
  since_ = Clock::now();
  return report;
}

}  // namespace cstp
