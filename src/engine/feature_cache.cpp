#include "cstp/engine/feature_cache.h"

#include <torch/torch.h>

#include <algorithm>
#include <filesystem>
#include <optional>

#include "cstp/core/error.h"
#include "cstp/core/log.h"
#include "cstp/core/text.h"
#include "cstp/distributed/collectives.h"
#include "cstp/models/tensor_file.h"

namespace cstp {
namespace fs = std::filesystem;
namespace {

/// Labels are the data set's own: only the rows' places in it are stored.
FeatureSet from_file(const TensorFile& file, const std::string& path, const Dataset& dataset) {
  const at::Tensor* values = file.find("values");
  const at::Tensor* records = file.find("records");
  const auto videos = std::ssize(dataset.videos);
  const bool whole = values != nullptr && records != nullptr && values->dim() == 3 && records->dim() == 1 &&
                     values->size(0) == records->size(0) && values->scalar_type() == at::kFloat &&
                     records->scalar_type() == at::kLong && values->size(0) <= videos;
  if (!whole) throw CheckpointError(cat(path, ": holds no features of this data set"));
  FeatureSet features;
  features.values = *values;
  features.total = videos;
  std::vector<int64_t> labels;
  for (int64_t row = 0; row < records->size(0); ++row) {
    const int64_t record = records->const_data_ptr<int64_t>()[row];
    if (record < 0 || record >= videos) throw CheckpointError(cat(path, ": names video ", record, " of ", videos));
    features.records.push_back(record);
    labels.push_back(dataset.videos[static_cast<size_t>(record)].label);
  }
  features.labels = torch::tensor(labels, torch::kLong);
  return features;
}

std::optional<FeatureSet> read(const std::string& path, const Dataset& dataset) {
  if (!fs::exists(path)) return std::nullopt;
  try {
    return from_file(load_tensor_file(path), path, dataset);
  } catch (const CheckpointError& error) {
    log::warning(error.what(), "; the features are computed anew");
    return std::nullopt;
  }
}

void name_undecoded(const FeatureSet& features, const Dataset& dataset) {
  std::vector<bool> there(dataset.videos.size());
  for (const int64_t record : features.records) there[static_cast<size_t>(record)] = true;
  for (size_t i = 0; i < there.size(); ++i) {
    if (!there[i]) {
      log::warning(dataset.videos[i].path, ": could not be decoded; the video is left out of the result");
    }
  }
}

}  // namespace

FeatureSet cached_features(const std::string& folder, const std::string& cause, const Dataset& dataset,
                           const std::function<FeatureSet()>& compute, const World& world) {
  if (folder.empty()) return compute();
  const std::string key = hex_text(fingerprint(cat(cause, "\n", dataset.files_hash())));
  const std::string path = (fs::path(folder) / (key + ".safetensors")).string();
  auto stored = read(path, dataset);
  // Ranks go one way together: where one finds no features, all compute.
  const std::vector<std::string> found = join_texts(stored ? "y" : "n", world);
  if (std::find(found.begin(), found.end(), "n") == found.end()) {
    log::info(path, ": the features of ", dataset.name, " are taken from there");
    name_undecoded(*stored, dataset);
    return *stored;
  }
  FeatureSet features = compute();
  if (features.decoded() == 0 || !world.is_first()) return features;
  try {
    std::error_code error;  // save_tensor_file says what is wrong with the folder
    fs::create_directories(folder, error);
    TensorFile file;
    file.tensors = {{"values", features.values}, {"records", torch::tensor(features.records, torch::kLong)}};
    file.text = {{"data", dataset.name}, {"cause", cause}};
    save_tensor_file(path, file);
  } catch (const CheckpointError& error) {
    log::warning(error.what(), "; the features are not kept");
  }
  return features;
}

}  // namespace cstp
