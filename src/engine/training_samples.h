/// The samples of a training run as its loader makes them.
#pragma once
#include "cstp/augment/view_stream.h"
#include "cstp/data/clip_loader.h"
#include "cstp/distributed/world.h"
#include "cstp/engine/run_config.h"
#include "cstp/objectives/objective.h"

namespace cstp {

/// Without first and last, which say what part of the run. Everything given must outlive the loader.
ClipLoader::Setup training_samples(const RunConfig& config, const Dataset& dataset, Objective& objective,
                                   const EpochOrder& order, BadVideos& bad, const World& world);

/// The views of the recipe, on the device. @throws DeviceError if the GPU should render and cannot
ViewOutput view_output(const RunConfig& config, c10::Device device);

}  // namespace cstp
