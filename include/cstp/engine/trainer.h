/// The training loop: one for pre-training, fine-tuning and the linear probe.
#pragma once
#include <cstdint>
#include <memory>
#include <string>

#include "cstp/data/dataset.h"
#include "cstp/engine/run_config.h"
#include "cstp/objectives/objective.h"

namespace cstp {

struct TrainResult {
  int64_t steps = 0;  ///< of the whole run, earlier sessions included
  double epochs = 0;
  double seconds = 0;           ///< of this session
  double clips_per_second = 0;  ///< of this session
  double loss = 0;              ///< mean over the last report interval
  std::string checkpoint;       ///< newest; "" if nothing was written
  int64_t bad_videos = 0;       ///< distinct ones, of the whole run; each was replaced
  bool stopped = false;         ///< by a signal, after a save: exit 75
};

struct TrainSetup {
  bool write = true;   ///< checkpoints, metrics.jsonl, config.yaml under config.output
  bool fresh = false;  ///< start over: earlier checkpoints and metrics are moved aside
  std::string name;    ///< shown in log lines, e.g. "pre-training"
  World world;         ///< ranks that share every batch; see below
};

/// Steps and epochs of a run.
struct TrainLength {
  int64_t steps_per_epoch = 0;
  int64_t total_steps = 0;  ///< of the schedule
  int64_t last_step = 0;    ///< min(total, train.max_steps)
};
TrainLength train_length(const RunConfig& config, int64_t videos);

/// The objective of a recipe with its backbone, as seeded: equal calls give equal weights. @param classes of the data
/// set
std::shared_ptr<Objective> build_objective(const RunConfig& config, int64_t classes, const World& world = {});

/// Trains `objective` on `dataset`. Resumes from the newest checkpoint of config.output where there is one.
///
/// On several ranks every one calls this with the same arguments but its place, and with an objective that was built
/// for that world. train.batch is the global batch: rank r takes the r-th part of every step's positions, so neither
/// the batches nor the updates depend on how many ranks there are, and a run may go on with another number. Rank 0
/// alone reads checkpoints, which the others get from it, and writes them, metrics.jsonl and the configuration. Each
/// rank journals its own bad videos (bad.jsonl, bad-1.jsonl, ...) and replays those of all.
/// @throws ConfigError if train.batch is not divisible by the ranks, CheckpointError if the run folder belongs to
/// another configuration (key, old, new) or data set
TrainResult train(const RunConfig& config, const Dataset& dataset, Objective& objective, const TrainSetup& setup);

/// Asks every training loop of this process to save and leave at its next step (called from signal handlers).
void request_stop() noexcept;
/// True once that was asked: for other long work, which leaves on its own.
bool stop_is_requested() noexcept;

}  // namespace cstp
