/// Clips of a run with their labels, for sts_sheet.h.
#pragma once
#include <cstdint>
#include <vector>

#include "cstp/data/dataset.h"
#include "cstp/engine/run_config.h"
#include "cstp/objectives/sts.h"
#include "sts_sheet.h"

namespace cstp {

/// The first `count` clips of the run: plans and labels are those of training.
/// @param objective of the run: sts itself, or the joint objective that it is a part of
/// @param answers also what sts predicts; its weights are then on the config's device
/// @throws DataError if none of them can be decoded
std::vector<StsCard> make_sts_cards(const RunConfig& config, const Dataset& dataset, const Objective& objective,
                                    StsObjective& sts, bool answers, int64_t count);

}  // namespace cstp
