/// Features kept on the disk (`eval.feature_cache`): a linear probe on cached features, k-NN and retrieval look at the
/// same clips of the same videos, and decoding them and running the network is nearly all that they cost.
#pragma once
#include <functional>
#include <string>

#include "cstp/data/dataset.h"
#include "cstp/engine/features.h"

namespace cstp {

/// The features of FOLDER/KEY.safetensors, or new ones, which are then stored there. The key is a hash of `cause` and
/// of path, size and time of every video file. A file that cannot be read is said and computed anew; one that cannot be
/// written costs nothing but time. Videos that did not decode are named again.
/// @param folder "" = nothing is kept
/// @param cause everything else that the features depend on
/// @param world all its ranks ask; the file is taken where each of them can read it, and rank 0 writes it
FeatureSet cached_features(const std::string& folder, const std::string& cause, const Dataset& dataset,
                           const std::function<FeatureSet()>& compute, const World& world = {});

}  // namespace cstp
