/// The linear probe on cached features: what a linear layer can read from a frozen backbone.
#pragma once
#include <ATen/core/Tensor.h>

#include <cstdint>
#include <string>
#include <vector>

#include "cstp/engine/features.h"
#include "cstp/engine/run_config.h"
#include "cstp/engine/selection.h"

namespace cstp {

struct ProbeResult {
  at::Tensor logits;       ///< of the test set, [D',V,K]
  RateChoice rate;         ///< the learning rate used, and how it was chosen
  double train_top1 = 0;   ///< of training clips at the end
  std::string classifier;  ///< hash of the trained classifier
};
/// On features [D,V,C]: (L2-normalise) -> (BatchNorm without affine) -> linear; SGD, cosine. Of several rates, the best
/// on clips of a held-out tenth of the training videos is used, then all of them are trained on; the last epoch counts.
/// @param groups of the training videos, as hold_out_a_tenth() takes them
ProbeResult linear_probe(const FeatureSet& train, const FeatureSet& test, int64_t classes,
                         const DownstreamOptions& options, uint64_t seed, const std::vector<std::string>& groups = {});

}  // namespace cstp
