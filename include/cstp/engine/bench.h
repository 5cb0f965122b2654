/// The stages of training on the user's own videos, apart and together (`cstp bench`).
#pragma once
#include <string>

#include "cstp/data/dataset.h"
#include "cstp/engine/run_config.h"
#include "cstp/engine/stage_times.h"
#include "cstp/objectives/objective.h"

namespace cstp {

struct BenchResult {
  /// Clips (views) a second: of the loader with nothing to wait for, of the step with its batch at hand, of both.
  double loading = 0, step = 0, together = 0;
  int64_t views = 0;  ///< of a video
  StageTimes loader_alone, step_alone, both;
  std::string advice;
};

/// Trains for about `seconds` in each of the three ways, after a few steps that do not count. Weights change, nothing
/// is written.
BenchResult bench(const RunConfig& config, const Dataset& dataset, Objective& objective, double seconds);

/// Three lines of numbers and one of advice.
std::string bench_text(const BenchResult& result);

}  // namespace cstp
