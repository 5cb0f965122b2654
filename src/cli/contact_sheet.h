/// Clip pairs as a picture: both source frames with their boxes, both clips as the network sees them, a time line,
/// labels.
#pragma once
#include <cstdint>

#include "cstp/data/dataset.h"
#include "cstp/engine/run_config.h"
#include "cstp/objectives/objective.h"
#include "cstp/video/picture.h"

namespace cstp {

/// Draws the first `count` samples of the run: the plans are the very ones that training would execute.
/// @throws DataError if none of them can be decoded
Picture contact_sheet(const RunConfig& config, const Dataset& dataset, const Objective& objective, int64_t count);

}  // namespace cstp
