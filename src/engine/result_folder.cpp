#include "cstp/engine/result_folder.h"

#include <array>
#include <cstdio>
#include <filesystem>
#include <nlohmann/json.hpp>

#include "cstp/core/build_info.h"
#include "cstp/core/error.h"
#include "cstp/core/log.h"
#include "cstp/core/text.h"
#include "cstp/engine/confusion_picture.h"

namespace cstp {
namespace fs = std::filesystem;
namespace {

std::string splits_text(const Document& splits) {
  std::string text;
  for (const Document& split : splits) text += cat(text.empty() ? "" : ",", split.get<int64_t>());
  return text;
}

constexpr const char* kResult = "result.json";
constexpr const char* kConfusion = "confusion.csv";
constexpr const char* kKey = "key.json";
constexpr const char* kTrainingKey = "training.json";

/// The configuration without what changes no digit.
std::string config_hash(const RunConfig& config) {
  uint64_t hash = fingerprint("");
  for (const auto& [key, value] : flattened(to_config(config))) {
    if (key == "output" || key == "loader.workers" || key == "loader.prefetch" || key == "loader.cache_mb" ||
        (key == "loader.render" && value == "auto") ||  // as before there was a choice
        key == "eval.topk" || key == "eval.feature_cache") {
      continue;
    }
    hash = fingerprint(cat(key, "=", value, "\n"), hash);
  }
  return hex_text(hash);
}

void make_folder(const std::string& path) {
  std::error_code error;
  fs::create_directories(path, error);
  if (error) throw DataError(cat(path, ": cannot be made (", error.message(), "); choose another --output"));
}

std::string text_if_there(const std::string& path) { return fs::exists(path) ? read_text_file(path) : ""; }

/// Hash of the files that a stored result consists of.
std::string content_of(const std::string& folder) {
  return hex_text(
      fingerprint(text_if_there(cat(folder, "/", kConfusion)), fingerprint(text_if_there(cat(folder, "/", kResult)))));
}

ResultKey read_key(const std::string& path) {
  const auto json = nlohmann::json::parse(text_if_there(path), nullptr, false);
  if (!json.is_object()) return {};
  ResultKey key;
  for (const auto& [name, value] : json.items()) key[name] = value.is_string() ? value.get<std::string>() : "";
  return key;
}

void write_key(const std::string& path, const ResultKey& key) {
  write_file_atomically(path, nlohmann::json(key).dump(2) + "\n");
}

/// What the numbers are of, above the picture.
std::vector<std::string> title_of(const Document& document) {
  const Document& from = document["provenance"];
  std::array<char, 32> top1{};
  std::snprintf(top1.data(), top1.size(), "%.1f %%", document["top1"].get<double>() * 100);
  return {cat(from["protocol"].get<std::string>(),
              from["splits"].empty()
                  ? ""
                  : cat(from["splits"].size() == 1 ? ", split " : ", splits ", splits_text(from["splits"]))),
          cat("top-1 ", top1.data(), document.contains("per_split") ? " (mean of the splits)" : "", ", ",
              document["decoded"].dump(), " videos, seed ", from["seed"].dump()),
          cat("weights ", from["weights"]["file"].get<std::string>())};
}

void write_files(const std::string& folder, const Document& document, const std::optional<Confusion>& confusion) {
  if (confusion) {
    write_file_atomically(cat(folder, "/", kConfusion), confusion_csv(*confusion));
    write_file_atomically(cat(folder, "/per_class.csv"), class_accuracy_csv(*confusion));
    confusion_picture(*confusion, title_of(document)).save_png(cat(folder, "/confusion.png"));
  }
  write_file_atomically(cat(folder, "/", kResult), document.dump(2) + "\n");
}

}  // namespace

ResultKey result_key(const RunConfig& config, const Provenance& provenance, const Dataset& train, const Dataset& test) {
  return {{"program", program_hash()},
          {"config", config_hash(config)},
          {"weights", cat(provenance.weights.hash, " ", provenance.weights.file)},
          {"provenance", hex_text(fingerprint(to_json(provenance).dump()))},
          {"device", provenance.device},
          {"threads", std::to_string(provenance.threads)},
          {"training videos", train.files_hash()},
          {"test videos", test.files_hash()}};
}

std::string result_name(const Document& document) {
  const Document& from = document["provenance"];
  std::string cell;
  for (const char* key : {"settings_hash", "class_map_hash", "train_data_hash", "test_data_hash"}) {
    cell += from[key].get<std::string>();
  }
  cell += cat(from["weights"]["hash"].get<std::string>(), from["seed"].dump(), from["input"].dump(),
              from["precision"].dump(), from["model"].dump());
  // "ucf101-linear-v1 + {eval.clips=5}" -> "ucf101-linear-v1-changed"
  std::string name = from["protocol"];
  if (const auto plus = name.find(" + "); plus != std::string::npos) name = name.substr(0, plus) + "-changed";
  const std::string splits = splits_text(from["splits"]);
  if (!splits.empty()) name += cat(splits.size() == 1 ? "-split" : "-splits", splits);
  return cat(name, "-", hex_text(fingerprint(cell)).substr(0, 8));
}

std::string result_name(const Provenance& provenance) {
  return result_name(Document{{"provenance", to_json(provenance)}});
}

ResultFolder::ResultFolder(const std::string& output, const Provenance& provenance, ResultKey key)
    : path_(cat(output, "/eval/", result_name(provenance))), key_(std::move(key)) {}

std::optional<Document> ResultFolder::current() const {
  const std::string key_file = cat(path_, "/", kKey);
  if (!fs::exists(key_file)) return std::nullopt;
  ResultKey stored = read_key(key_file);
  const std::string content = stored["result"];
  stored.erase("result");
  std::vector<std::string> changed;
  for (const auto& [name, value] : key_) {
    if (!stored.contains(name) || stored[name] != value) changed.push_back(name);
  }
  if (changed.empty() && stored.size() != key_.size()) changed.emplace_back("the key's form");
  if (changed.empty() && content != content_of(path_)) changed.emplace_back("the stored files themselves");
  auto document = Document::parse(text_if_there(cat(path_, "/", kResult)), nullptr, false);
  if (changed.empty() && !document.is_discarded()) return document;
  log::info(path_, ": the result there is not used, because something changed: ", join(changed, ", "));
  return std::nullopt;
}

std::optional<Confusion> ResultFolder::confusion() const {
  const std::string file = cat(path_, "/", kConfusion);
  if (!fs::exists(file)) return std::nullopt;
  return parse_confusion_csv(read_text_file(file), file);
}

bool ResultFolder::begin_training() const {
  make_folder(path_);
  const std::string file = cat(path_, "/", kTrainingKey);
  const bool other = fs::exists(file) && read_key(file) != key_;
  if (other) log::info(path_, ": what was trained there is not used: program, settings or data changed since");
  write_key(file, key_);
  return other;
}

void ResultFolder::save(const Document& document, const std::optional<Confusion>& confusion) const {
  make_folder(path_);
  write_files(path_, document, confusion);
  ResultKey key = key_;
  key["result"] = content_of(path_);
  write_key(cat(path_, "/", kKey), key);
}

std::string save_result(const std::string& output, const Document& document,
                        const std::optional<Confusion>& confusion) {
  const std::string folder = cat(output, "/eval/", result_name(document));
  make_folder(folder);
  write_files(folder, document, confusion);
  return folder;
}

}  // namespace cstp
