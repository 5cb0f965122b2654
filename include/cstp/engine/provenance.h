/// Where a number comes from: everything that a result states beside its value, so that two results can be compared, or
/// be seen not to be comparable. No dates: a result repeats to the digit.
#pragma once
#include <c10/core/Device.h>

#include <cstdint>
#include <nlohmann/json_fwd.hpp>
#include <optional>
#include <string>
#include <vector>

#include "cstp/data/dataset.h"
#include "cstp/engine/protocol.h"
#include "cstp/engine/run_config.h"

namespace cstp {

/// The weights that were measured. What a checkpoint of this program says of its training, empty for other files.
struct WeightsNote {
  std::string file = "untrained";
  std::string hash;             ///< of the backbone's tensors (pretext: of the whole objective), whatever their file
  std::string objective;        ///< "cstp {contrast: 0.1, spatial: 1}"
  std::string recipe;           ///< recipe_hash() of the training run: the same for runs that differ by seed alone
  std::optional<int64_t> seed;  ///< of the training run
  int64_t steps = 0;            ///< trained
};
/// Fills in what the configuration of a training run tells.
void describe_training(WeightsNote& note, const RunConfig& trained, int64_t steps);

struct Provenance {
  std::string kind;      ///< linear | finetune | knn | pretext | retrieve
  std::string protocol;  ///< name_protocol()
  Settings settings;
  std::string format;                           ///< data.format
  std::vector<int64_t> splits;                  ///< official splits; empty where the format has none
  std::string class_map_hash;                   ///< names of the classes, in order
  std::string train_data_hash, test_data_hash;  ///< paths below their common folder and labels, in order
  int64_t seed = 0;                             ///< of the evaluation
  WeightsNote weights;
  ModelOptions model;
  int64_t parameters = 0;  ///< of the backbone
  std::string input;       ///< numbers the network sees: signed | unit | standard
  ClipOptions clip;        ///< frames and stride of evaluation
  std::string precision;
  std::string device;  ///< name of the processor or GPU
  int64_t threads = 0;
};

/// @param config with the model and the input range that are used
Provenance make_provenance(const RunConfig& config, const std::string& kind, const Dataset& train, const Dataset& test,
                           const WeightsNote& weights, int64_t parameters, c10::Device device);

/// The `provenance` object of a result, the build of this program included.
nlohmann::ordered_json to_json(const Provenance& provenance);

/// Hash of a list of videos: their paths below their common folder, and their labels, in order.
std::string data_list_hash(const Dataset& dataset);

/// Whether a format has official splits.
bool has_splits(const std::string& format);

}  // namespace cstp
