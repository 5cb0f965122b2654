/// Downstream protocols: a trained (or untrained) backbone, a labelled data set, one result.
#pragma once
#include <memory>
#include <string>
#include <vector>

#include "cstp/engine/evaluate.h"
#include "cstp/engine/features.h"
#include "cstp/engine/provenance.h"
#include "cstp/engine/run_config.h"
#include "cstp/engine/selection.h"
#include "cstp/models/backbone.h"

namespace cstp {

/// A backbone ready for use, and the configuration it is to be used with.
struct LoadedBackbone {
  std::shared_ptr<Backbone> network;
  RunConfig config;     ///< model and input range are the checkpoint's
  std::string weights;  ///< "runs/a/checkpoints/step-00000100.safetensors" or "untrained"
  WeightsNote note;     ///< the same weights, with their hash and what they were trained by
  c10::Device device = c10::kCPU;
  World world;  ///< ranks that share the work
};
/// @param checkpoint "" = untrained weights, as the config's objective would start from; said in the log
/// Every rank of `world` loads by itself.
/// @param inflate the weights are a 2D network's; see inflate.h
LoadedBackbone load_backbone_for(const RunConfig& config, const std::string& checkpoint, bool allow_partial,
                                 const World& world = {}, bool inflate = false);

/// Features of every video of a split, [D,V,C]; `clips` a video.
/// @param probe what is taken from the clips; config.eval.probe for those that are measured
FeatureSet backbone_features(const LoadedBackbone& backbone, const Dataset& dataset, int64_t clips,
                             const std::string& what, const std::string& probe = "none");

/// Training set and test set of a protocol, with the same classes in the same order and a label for every video.
struct LabelledPair {
  Dataset train, test;
  int64_t classes = 0;
};
/// @throws DataError if a video has no label, or the two differ in their classes
LabelledPair open_labelled(const RunConfig& config);

struct ProtocolResult {
  Accuracy accuracy;
  at::Tensor labels;                           ///< of the test videos that decoded, beside accuracy.predicted
  int64_t decoded = 0, total = 0;              ///< test videos
  int64_t train_decoded = 0, train_total = 0;  ///< training videos; bad ones that training replaced are not decoded
  std::vector<std::string> undecoded;          ///< paths of the test videos that were left out
  RateChoice rate;                             ///< the learning rate used; lr 0 for knn
  std::string classifier;                      ///< hash of the trained classifier; "" for knn
};

/// Runs linear, finetune or knn as backbone.config.eval says.
/// @param folder where a classifier that is trained on the fly keeps its runs: FOLDER/train and, for each rate tried,
///        FOLDER/train-lr0.1. Unfinished ones are resumed, unless `fresh`.
/// A test set of which nothing decodes gives absent accuracies.
ProtocolResult run_protocol(const LoadedBackbone& backbone, const LabelledPair& data, const std::string& protocol,
                            const std::string& folder, bool fresh);

}  // namespace cstp
