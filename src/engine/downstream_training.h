/// Training a classifier on a backbone from the videos: fine-tuning, and the linear probe without cached features.
#pragma once
#include <memory>
#include <string>
#include <vector>

#include "cstp/engine/downstream.h"
#include "cstp/objectives/supervised.h"

namespace cstp {

/// What a backbone's config says of reading a data set through a network.
FeatureOptions feature_options(const LoadedBackbone& backbone, int64_t clips, const std::string& what,
                               const std::string& probe);

/// The source groups of some videos of a data set, "" where their names show none.
std::vector<std::string> source_groups(const Dataset& dataset, const std::vector<int64_t>& records);

/// Keeps references to what it is made from.
class DownstreamTraining {
 public:
  DownstreamTraining(const LoadedBackbone& backbone, const LabelledPair& data, const DownstreamOptions& options,
                     bool freeze, const std::string& folder, bool fresh)
      : backbone_(backbone), data_(data), options_(options), freeze_(freeze), folder_(folder), fresh_(fresh) {}

  /// Chooses the rate, trains on all of train and scores the test set, [D,V,K].
  FeatureSet test_logits();

  // Of the training that test_logits() did:
  const RateChoice& rate() const { return rate_; }
  const std::string& classifier() const { return classifier_; }  ///< hash of its tensors, backbone included
  int64_t bad_videos() const { return bad_videos_; }             ///< that were replaced

 private:
  RateChoice choose();
  /// @param name of the run's folder: "train", or "train-lr0.1" without the held-out tenth
  std::shared_ptr<Classifier> trained(const Dataset& dataset, double lr, const std::string& name);
  FeatureSet scores(Classifier& classifier, const Dataset& dataset, const std::string& what,
                    const std::string& probe) const;

  const LoadedBackbone& backbone_;
  const LabelledPair& data_;
  const DownstreamOptions& options_;
  bool freeze_;
  std::string folder_;
  bool fresh_;
  RateChoice rate_;
  std::string classifier_;
  int64_t bad_videos_ = 0;
};

}  // namespace cstp
