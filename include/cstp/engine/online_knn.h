/// k-NN top-1 of the backbone while it trains (`train.knn_every`): does the representation get better, by the labels?
#pragma once
#include <c10/core/Device.h>

#include <cstdint>
#include <optional>
#include <string>

#include "cstp/data/dataset.h"
#include "cstp/engine/run_config.h"
#include "cstp/objectives/objective.h"

namespace cstp {

/// At most `count` of the labelled videos, as many of every class as there are to take, drawn by `seed`; in the order
/// of the data set.
Dataset stratified(const Dataset& dataset, int64_t count, uint64_t seed);

class OnlineKnn {
 public:
  /// The gallery is drawn from `train`, the queries from the test split. Where the data has no test split with the same
  /// classes, the queries are a tenth of `train`, left out of the gallery; the log says so.
  /// @throws ConfigError if no training video has a label
  /// @param world all its ranks score at the same steps, each a part of the videos
  OnlineKnn(const RunConfig& config, const Dataset& train, c10::Device device, World world = {});

  struct Score {
    std::optional<double> top1;  ///< absent if nothing could be decoded
    int64_t queries = 0, gallery = 0;

    std::string json() const;  ///< members for metrics.jsonl
    std::string line() const;  ///< for people: "knn 31.2 %"
  };
  /// One clip a video through the online backbone in eval mode. Nothing of the run changes: no weight, no running
  /// statistic, no random state; the objective is in its train mode afterwards.
  Score score(Objective& objective) const;

 private:
  RunConfig config_;
  c10::Device device_;
  World world_;
  Dataset gallery_, queries_;
};

}  // namespace cstp
