#include "cstp/engine/result.h"

#include <algorithm>
#include <cmath>
#include <nlohmann/json.hpp>
#include <numeric>

#include "cstp/core/error.h"
#include "cstp/core/text.h"

namespace cstp {
namespace {

/// Not inlined: GCC 12 then believes that an empty optional is read.
[[gnu::noinline]] Document number_or_null(const std::optional<double>& value) {
  return value ? Document(*value) : Document(nullptr);
}

bool is_one_of(const std::string& key, std::initializer_list<const char*> names) {
  return std::find(names.begin(), names.end(), key) != names.end();
}

/// Numbers that say what was measured, not how good it is.
bool is_count(const std::string& key) {
  return is_one_of(key, {"decoded", "total", "train_decoded", "train_total", "samples", "queries", "gallery"});
}
bool is_metric(const std::string& key, const Document& value) {
  return (value.is_number() || value.is_null()) && !is_count(key) && !is_one_of(key, {"classes", "lr", "seed"}) &&
         !key.ends_with("_std");
}

Document end_of(Document document, const Provenance& provenance) {
  document["weights"] = provenance.weights.file;
  document["seed"] = provenance.seed;
  document["provenance"] = to_json(provenance);
  return document;
}

std::string joined_hash(const std::vector<Document>& documents, const char* key) {
  uint64_t hash = fingerprint("");
  for (const Document& document : documents) {
    hash = fingerprint(document["provenance"][key].get<std::string>() + "\n", hash);
  }
  return hex_text(hash);
}

}  // namespace

Document result_document(const ProtocolResult& result, int64_t classes, const Provenance& provenance) {
  Document selection = Document::array();
  for (const RateTrial& trial : result.rate.trials) {
    selection.push_back({{"lr", trial.lr}, {"held_out_clip_top1", number_or_null(trial.accuracy)}});
  }
  Document document = {{"protocol", provenance.kind},
                       {"top1", number_or_null(result.accuracy.top1)},
                       {"top5", number_or_null(result.accuracy.top5)},
                       {"clip_top1", number_or_null(result.accuracy.clip_top1)},
                       {"clip_top5", number_or_null(result.accuracy.clip_top5)},
                       {"classes", classes},
                       {"decoded", result.decoded},
                       {"total", result.total},
                       {"train_decoded", result.train_decoded},
                       {"train_total", result.train_total},
                       {"lr", result.rate.lr},
                       {"selection", selection},
                       {"classifier", result.classifier.empty() ? Document(nullptr) : Document(result.classifier)},
                       {"undecoded", result.undecoded}};
  return end_of(std::move(document), provenance);
}

Document pretext_document(const PretextResult& result, const Provenance& provenance) {
  Document document = {{"protocol", provenance.kind}};
  for (const auto& [name, value] : result.parts) document[name] = value;
  for (const auto& [name, value] : result.constants) document["constant_" + name] = value;
  if (!result.labels.empty()) document["labels"] = result.labels;
  document["samples"] = result.samples;
  document["decoded"] = result.decoded;
  document["total"] = result.total;
  return end_of(std::move(document), provenance);
}

Document retrieval_document(const Retrieval& result, const FeatureSet& gallery, const FeatureSet& queries,
                            const Provenance& provenance) {
  Document recall = Document::object();
  for (const auto& [k, value] : result.recall) recall[std::to_string(k)] = number_or_null(value);
  Document document = {{"protocol", provenance.kind},           {"recall", recall},
                       {"map", number_or_null(result.map)},     {"queries", queries.decoded()},
                       {"gallery", gallery.decoded()},          {"decoded", gallery.decoded() + queries.decoded()},
                       {"total", gallery.total + queries.total}};
  return end_of(std::move(document), provenance);
}

std::vector<std::pair<std::string, std::optional<double>>> metrics_of(const Document& document) {
  std::vector<std::pair<std::string, std::optional<double>>> metrics;
  const auto add = [&metrics](const std::string& name, const Document& value) {
    metrics.emplace_back(name, value.is_null() ? std::nullopt : std::optional(value.get<double>()));
  };
  for (const auto& [key, value] : document.items()) {
    if (key == "recall" && value.is_object()) {
      for (const auto& [k, recall] : value.items()) add(cat("R@", k), recall);
    } else if (key != "classifier" && is_metric(key, value)) {
      add(key, value);
    }
  }
  return metrics;
}

MeanAndStd mean_and_std(const std::vector<double>& values) {
  check(!values.empty(), "mean_and_std: no values");
  const auto count = static_cast<double>(values.size());
  MeanAndStd result;
  result.mean = std::accumulate(values.begin(), values.end(), 0.0) / count;
  if (values.size() < 2) return result;
  double squares = 0;
  for (const double value : values) squares += (value - result.mean) * (value - result.mean);
  result.std = std::sqrt(squares / (count - 1));
  return result;
}

Document mean_of_splits(const std::vector<Document>& documents) {
  check(!documents.empty(), "mean_of_splits: no results");
  Document mean = Document::object();
  Document spread = Document::object();
  for (const auto& [key, first] : documents[0].items()) {
    if (key == "provenance" || key == "selection" || key == "classifier") continue;
    if (key == "undecoded") {
      mean[key] = Document::array();
      for (const Document& document : documents)
        mean[key].insert(mean[key].end(), document[key].begin(), document[key].end());
    } else if (is_count(key)) {
      int64_t sum = 0;
      for (const Document& document : documents) sum += document[key].get<int64_t>();
      mean[key] = sum;
    } else if (is_metric(key, first)) {
      std::vector<double> values;
      for (const Document& document : documents) {
        if (document[key].is_number()) values.push_back(document[key].get<double>());
      }
      const bool whole = values.size() == documents.size();
      mean[key] = whole ? Document(mean_and_std(values).mean) : Document(nullptr);
      spread[key + "_std"] = whole ? number_or_null(mean_and_std(values).std) : Document(nullptr);
    } else {  // the rate may differ between splits; all else is the same
      const bool same = std::all_of(documents.begin(), documents.end(),
                                    [&](const Document& document) { return document[key] == first; });
      mean[key] = same ? first : Document(nullptr);
    }
  }
  mean.update(spread);
  Document splits = Document::array();
  for (const Document& document : documents) splits.push_back(document["provenance"]["splits"][0]);
  mean["splits"] = splits;
  mean["provenance"] = documents[0]["provenance"];
  mean["provenance"]["splits"] = splits;
  for (const char* key : {"train_data_hash", "test_data_hash"}) mean["provenance"][key] = joined_hash(documents, key);
  mean["per_split"] = documents;
  return mean;
}

}  // namespace cstp
