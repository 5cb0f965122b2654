#include "cstp/engine/provenance.h"

#include <ATen/Parallel.h>

#include <nlohmann/json.hpp>

#include "cstp/core/build_info.h"
#include "cstp/core/text.h"
#include "cstp/engine/checkpoint.h"
#include "cstp/engine/device.h"

namespace cstp {
namespace {

/// The folder that all videos lie in, with its last '/': where a data set stands on a machine does not change its hash.
std::string common_folder(const Dataset& dataset) {
  if (dataset.videos.empty()) return "";
  std::string_view shared = dataset.videos.front().path;
  for (const VideoRecord& video : dataset.videos) {
    size_t length = 0;
    while (length < std::min(shared.size(), video.path.size()) && shared[length] == video.path[length]) ++length;
    shared = shared.substr(0, length);
  }
  return std::string(shared.substr(0, shared.rfind('/') + 1));  // npos + 1 is 0
}

/// "cstp {contrast: 0.1, spatial: 1}": the name, and the terms (of a joint objective, the parts) that have a weight.
std::string objective_text(const ConfigNode& objective) {
  const ConfigNode* name = objective.find("name");
  std::vector<std::string> terms;
  if (const ConfigNode* weights = objective.find("weights")) {
    for (const auto& [key, value] : weights->entries()) {
      if (value.text() != "0") terms.push_back(cat(key, ": ", value.text()));
    }
  }
  if (const ConfigNode* parts = objective.find("parts")) {
    for (const ConfigNode& part : parts->items()) {
      const ConfigNode* weight = part.find("weight");
      if (weight != nullptr && weight->text() != "0") terms.push_back(cat(objective_text(part), ": ", weight->text()));
    }
  }
  return cat(name == nullptr ? "" : name->text(), terms.empty() ? "" : cat(" {", join(terms, ", "), "}"));
}

}  // namespace

void describe_training(WeightsNote& note, const RunConfig& trained, int64_t steps) {
  note.objective = objective_text(trained.objective);
  note.recipe = recipe_hash(trained);
  note.seed = trained.seed;
  note.steps = steps;
}

std::string data_list_hash(const Dataset& dataset) { return dataset.data_hash(common_folder(dataset)); }

bool has_splits(const std::string& format) { return format == "ucf101" || format == "hmdb51"; }

Provenance make_provenance(const RunConfig& config, const std::string& kind, const Dataset& train, const Dataset& test,
                           const WeightsNote& weights, int64_t parameters, c10::Device device) {
  Provenance provenance;
  provenance.kind = kind;
  provenance.protocol = name_protocol(config, kind);
  provenance.settings = protocol_settings(config, kind);
  provenance.format = config.data.format;
  if (has_splits(config.data.format)) provenance.splits = {config.data.split};
  provenance.class_map_hash = test.class_map_hash();
  provenance.train_data_hash = data_list_hash(train);
  provenance.test_data_hash = data_list_hash(test);
  provenance.seed = config.seed;
  provenance.weights = weights;
  provenance.model = config.model;
  provenance.parameters = parameters;
  provenance.input = config.input.range;
  provenance.clip = config.clip;
  if (kind != "pretext") {
    provenance.clip.frames = config.eval.frames;
    provenance.clip.stride = config.eval.stride;
    if (config.eval.size > 0) provenance.clip.size = config.eval.size;
  }
  provenance.precision = config.train.precision;
  provenance.device = device_name(device);
  provenance.threads = at::get_num_threads();
  return provenance;
}

nlohmann::ordered_json to_json(const Provenance& provenance) {
  using Json = nlohmann::ordered_json;
  Json settings = Json::object();
  for (const auto& [key, value] : provenance.settings) settings[key] = value;
  const WeightsNote& weights = provenance.weights;
  const auto text_or_null = [](const std::string& text) { return text.empty() ? Json(nullptr) : Json(text); };
  return {{"protocol", provenance.protocol},
          {"settings_hash", settings_hash(provenance.settings)},
          {"settings", settings},
          {"format", provenance.format},
          {"splits", provenance.splits},
          {"class_map_hash", provenance.class_map_hash},
          {"train_data_hash", provenance.train_data_hash},
          {"test_data_hash", provenance.test_data_hash},
          {"seed", provenance.seed},
          {"weights",
           {{"file", weights.file},
            {"hash", weights.hash},
            {"objective", text_or_null(weights.objective)},
            {"recipe", text_or_null(weights.recipe)},
            {"seed", weights.seed ? Json(*weights.seed) : Json(nullptr)},
            {"steps", weights.steps}}},
          {"model",
           {{"name", provenance.model.name}, {"width", provenance.model.width}, {"parameters", provenance.parameters}}},
          {"input", provenance.input},
          {"clip",
           {{"frames", provenance.clip.frames}, {"stride", provenance.clip.stride}, {"size", provenance.clip.size}}},
          {"precision", provenance.precision},
          {"device", provenance.device},
          {"threads", provenance.threads},
          {"build", {{"version", version_text()}, {"compiler", compiler_text()}, {"libtorch", libtorch_text()}}}};
}

}  // namespace cstp
