/// How well a trained objective does its own task on videos it has not seen (`cstp eval --protocol pretext`).
#pragma once
#include <cstdint>
#include <string>
#include <utility>
#include <vector>

#include "cstp/data/dataset.h"
#include "cstp/engine/run_config.h"
#include "cstp/objectives/objective.h"

namespace cstp {

struct PretextResult {
  std::vector<std::pair<std::string, double>> parts;  ///< mean of every logged term, "loss" first; then the health
                                                      ///< of (at most the last 1,024) embeddings
  int64_t samples = 0;                                ///< plans drawn and scored
  int64_t decoded = 0, total = 0;                     ///< videos
  std::string labels;                                 ///< histogram of the labels drawn, "" if there are none
  /// What answering without looking scores: for the labels of pairs always the commonest one ("spatial", "temporal",
  /// "rate", "rotation"), for other parts what the objective says (LossTerms::constants).
  std::vector<std::pair<std::string, double>> constants;
};

/// Scores `draws` plans of every video with the objective in eval mode. Plans come from a seed of their own, so they
/// are the same for every checkpoint.
PretextResult score_pretext(const RunConfig& config, const Dataset& dataset, Objective& objective, int64_t draws);

/// The objective of a checkpoint, with all its weights (heads included), on the config's device.
/// @throws CheckpointError if the file is no checkpoint of this program
std::shared_ptr<Objective> load_objective(const RunConfig& config, const std::string& checkpoint);

}  // namespace cstp
