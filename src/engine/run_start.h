/// How a training run starts: where it left off, with all ranks as one.
#pragma once
#include <cstdint>
#include <string>

#include "cstp/data/clip_loader.h"
#include "cstp/data/dataset.h"
#include "cstp/distributed/world.h"
#include "cstp/engine/optimizer.h"
#include "cstp/engine/run_config.h"
#include "cstp/engine/trainer.h"
#include "cstp/objectives/objective.h"

namespace cstp {

/// Ranks that differ in what they train would give no error but nonsense. @throws ConfigError naming the rank
void require_same_on_all(const World& world, const RunConfig& config, const std::string& data_hash);

/// Where a run stands.
struct Standing {
  int64_t step = 0;
  std::string checkpoint;  ///< newest; "" if there is none
  int64_t threads = 0;     ///< that compute, of each rank
};

/// Opens the run folder: what the newest checkpoint holds is loaded, on every rank from rank 0; with setup.fresh, what
/// is there is moved aside. Writes config.yaml, and the list of videos where they are a part of the data set.
/// @param length for messages
/// @throws CheckpointError if the folder belongs to another configuration or data set, DataError if it cannot be made
Standing open_run(const RunConfig& config, const Dataset& dataset, const std::string& data_hash,
                  const TrainSetup& setup, const TrainLength& length, Objective& objective, Optimizer& optimizer);

/// The bad videos of the run, as far as any rank's journal names them (bad.jsonl, bad-1.jsonl, ...); new ones go into
/// the journal of this rank: not before all ranks have read, so they must meet() in between.
BadVideos open_journals(const RunConfig& config, const Dataset& dataset, const TrainSetup& setup);

}  // namespace cstp
