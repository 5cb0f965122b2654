/// Downstream protocols: a trained (or untrained) backbone, a labelled data set, one result.
#pragma once
#include <memory>
#include <string>

#include "cstp/engine/evaluate.h"
#include "cstp/engine/run_config.h"
#include "cstp/models/backbone.h"

namespace cstp {

/// A backbone ready for use, and the configuration it is to be used with.
struct LoadedBackbone {
  std::shared_ptr<Backbone> network;
  RunConfig config;     ///< model and input range are the checkpoint's
  std::string weights;  ///< "runs/a/checkpoints/step-00000100.safetensors" or "untrained"
  c10::Device device = c10::kCPU;
};
/// @param checkpoint "" = untrained weights, as the config's objective would start from; said in the log
LoadedBackbone load_backbone_for(const RunConfig& config, const std::string& checkpoint, bool allow_partial);

/// Features of every video of a split, [D,V,C]; `clips` a video.
FeatureSet backbone_features(const LoadedBackbone& backbone, const Dataset& dataset, int64_t clips,
                             const std::string& what);

struct ProtocolResult {
  std::string protocol;
  Accuracy accuracy;
  int64_t classes = 0;
  int64_t decoded = 0, total = 0;              ///< test videos
  int64_t train_decoded = 0, train_total = 0;  ///< as far as the protocol read them as features; else all
  double lr = 0;                               ///< the rate used; 0 for knn
};

/// Runs linear, finetune or knn as config.eval says.
/// @throws DataError if nothing is labelled; a test set of which nothing decodes gives absent accuracies
ProtocolResult run_protocol(const LoadedBackbone& backbone, const std::string& protocol, bool fresh);

}  // namespace cstp
