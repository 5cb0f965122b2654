/// Means of the loss terms between reports, kept on the device; metrics.jsonl; the progress bar.
#pragma once
#include <ATen/core/Tensor.h>

#include <chrono>
#include <cstdint>
#include <string>
#include <vector>

#include "cstp/objectives/objective.h"

namespace cstp {

class Metrics {
 public:
  /// @param path metrics.jsonl; lines of steps after `first_step` (of a run that was killed) are dropped. "" = no file
  /// @param world whose ranks the means are over; all of them report, and check, at the same steps
  Metrics(std::string path, int64_t first_step, int64_t total_steps, World world = {});

  /// Adds one step; no host read.
  void add(const LossTerms& terms, const at::Tensor& gradient_norm, int64_t clips);

  /// Takes time that was not training out of the throughput.
  void leave_out(std::chrono::steady_clock::duration time) { since_ += time; }

  struct Report {
    double loss = 0;
    double clips_per_second = 0;
    std::string line;  ///< one line for people
  };
  /// Reads the means, appends them to the file and starts anew.
  /// @param extra more numbers for the line of the file, as JSON members (`"lr":0.1,"wait":0.2`)
  /// @param note what of them a person wants to see; "" = nothing
  /// @throws NumericError naming step and terms if anything is not finite
  Report report(int64_t step, double epoch, double lr, const std::string& extra, const std::string& note,
                const std::string& last_checkpoint);
  /// The same check without a report (before a checkpoint is written).
  void require_finite(int64_t step, const std::string& last_checkpoint) const;

 private:
  std::string non_finite(const std::vector<double>& means) const;
  std::vector<double> means_over_ranks() const;

  World world_;
  std::string path_;
  int64_t total_steps_;
  int64_t first_step_;
  std::vector<std::string> names_;
  at::Tensor sums_;  ///< [P+2] f32 on the device: loss, gradient norm, parts
  int64_t steps_ = 0;
  int64_t clips_ = 0;
  std::chrono::steady_clock::time_point since_, start_;
};

}  // namespace cstp
