#include "cstp/engine/compare.h"

#include <algorithm>
#include <filesystem>
#include <nlohmann/json.hpp>

#include "cstp/core/error.h"
#include "cstp/core/log.h"
#include "cstp/core/text.h"

namespace cstp {
namespace fs = std::filesystem;
namespace {

const Document& provenance(const StoredResult& result) { return result.document["provenance"]; }

/// A JSON value for people: text without its quotes.
std::string shown(const Document& value) { return value.is_string() ? value.get<std::string>() : value.dump(); }

StoredResult read_result(const std::string& path) {
  StoredResult result{path, path, Document::parse(read_text_file(path), nullptr, /*allow_exceptions=*/false)};
  if (result.document.is_discarded()) throw DataError(cat(path, ": is no JSON document; was it cut short?"));
  const bool known = result.document.is_object() && result.document.contains("provenance") &&
                     result.document["provenance"].is_object();
  const auto has = [](const Document& map, std::initializer_list<const char*> keys) {
    return map.is_object() &&
           std::all_of(keys.begin(), keys.end(), [&map](const char* key) { return map.contains(key); });
  };
  const auto complete = [&] {
    const Document& from = result.document["provenance"];
    return has(result.document, {"decoded", "total"}) &&
           has(from, {"protocol", "settings_hash", "settings", "splits", "class_map_hash", "train_data_hash",
                      "test_data_hash", "seed", "weights", "model", "input", "precision"}) &&
           has(from["weights"], {"file", "hash", "objective", "recipe", "seed", "steps"}) &&
           has(from["model"], {"name", "width"});
  };
  if (!known || !complete()) {
    throw UsageError(cat(path,
                         ": says nothing of where its numbers come from (no complete `provenance`); wanted a "
                         "result of `cstp eval` or `cstp retrieve --json` of this version"));
  }
  return result;
}

/// Whether `one` is a split whose mean with others `whole` is.
bool is_part_of(const StoredResult& one, const StoredResult& whole) {
  if (!whole.document.contains("per_split") || one.document.contains("per_split")) return false;
  const auto& parts = whole.document["per_split"];
  return std::any_of(parts.begin(), parts.end(),
                     [&one](const Document& part) { return part["provenance"] == one.document["provenance"]; });
}

std::vector<StoredResult> results_below(const std::string& folder) {
  const fs::path direct = fs::path(folder) / "result.json";
  if (fs::exists(direct)) return {read_result(direct.string())};
  std::vector<std::string> files;
  for (const auto& entry : fs::recursive_directory_iterator(folder)) {
    if (entry.path().filename() == "result.json") files.push_back(entry.path().string());
  }
  std::sort(files.begin(), files.end());
  if (files.empty()) throw UsageError(cat(folder, ": holds no result.json; wanted a result of `cstp eval`"));
  std::vector<StoredResult> found;
  for (const std::string& file : files) found.push_back(read_result(file));
  std::vector<StoredResult> kept;
  for (const StoredResult& result : found) {
    const bool part = std::any_of(found.begin(), found.end(),
                                  [&result](const StoredResult& whole) { return is_part_of(result, whole); });
    if (!part) kept.push_back(result);
  }
  return kept;
}

/// The settings that differ, as "eval.clips is 5, there 10"; of many, the first three and their number.
std::vector<std::string> setting_differences(const Document& here, const Document& there) {
  const auto value = [](const Document& map, const std::string& key) {
    return map.contains(key) ? shown(map[key]) : std::string("absent");
  };
  std::vector<std::string> found;
  for (const auto& [key, unused] : here.items()) {
    if (value(here, key) != value(there, key)) {
      found.push_back(cat(key, " is ", value(here, key), ", there ", value(there, key)));
    }
  }
  for (const auto& [key, unused] : there.items()) {
    if (!here.contains(key)) found.push_back(cat(key, " is absent, there ", value(there, key)));
  }
  constexpr size_t kShown = 3;
  if (found.size() <= kShown) return found;
  const std::string rest = cat(found.size() - kShown, " more settings differ");
  found.resize(kShown);
  found.push_back(rest);
  return found;
}

/// Everything that may not differ between results of a group, seeds aside.
std::string group_key(const StoredResult& result) {
  const Document& from = provenance(result);
  const Document& weights = from["weights"];
  Document key = Document::array();
  for (const char* name : {"protocol", "settings_hash", "splits", "class_map_hash", "train_data_hash", "test_data_hash",
                           "model", "input", "precision"}) {
    key.push_back(from[name]);
  }
  for (const char* name : {"objective", "recipe", "steps"}) key.push_back(weights[name]);
  const bool foreign = weights["recipe"].is_null() && weights["file"] != "untrained";
  key.push_back(foreign ? weights["hash"] : Document(weights["file"] == "untrained"));
  return key.dump();
}

std::pair<Document, Document> seeds_of(const StoredResult& result) {
  return {provenance(result)["seed"], provenance(result)["weights"]["seed"]};
}

using Group = std::vector<const StoredResult*>;

/// Puts a result to those that it differs from by seed only.
void add_to_groups(std::vector<Group>& groups, const StoredResult& result) {
  for (Group& group : groups) {
    if (group_key(*group[0]) != group_key(result)) continue;
    const auto same = std::find_if(group.begin(), group.end(), [&result](const StoredResult* member) {
      return seeds_of(*member) == seeds_of(result);
    });
    if (same == group.end()) {
      group.push_back(&result);
      return;
    }
    if (provenance(**same)["weights"]["hash"] == provenance(result)["weights"]["hash"]) {
      log::warning(result.path, ": is the same result as ", (*same)->path, "; it counts once");
      return;
    }
  }
  groups.push_back({&result});
}

ComparedRow row_of(const Group& group) {
  const StoredResult& first = *group[0];
  const Document& from = provenance(first);
  ComparedRow row;
  row.name = group.size() == 1 ? first.name : cat(first.name, " and ", group.size() - 1, " more");
  row.protocol = from["protocol"];
  for (const Document& split : from["splits"]) row.splits += cat(row.splits.empty() ? "" : ",", shown(split));
  const Document& weights = from["weights"];
  row.objective = weights["file"] == "untrained"   ? "untrained"
                  : weights["objective"].is_null() ? "unknown"
                                                   : shown(weights["objective"]);
  row.model = shown(from["model"]["name"]);
  if (from["model"]["width"] != 1.0) row.model += cat(" x ", shown(from["model"]["width"]));
  for (const StoredResult* member : group) {
    row.decoded += member->document["decoded"].get<int64_t>();
    row.total += member->document["total"].get<int64_t>();
    const auto [evaluation, training] = seeds_of(*member);
    row.seeds.push_back((training.is_null() ? evaluation : training).get<int64_t>());
  }
  for (const auto& [name, value] : metrics_of(first.document)) {
    std::vector<double> values;
    for (const StoredResult* member : group) {
      for (const auto& [other, number] : metrics_of(member->document)) {
        if (other == name && number) values.push_back(*number);
      }
    }
    row.metrics.emplace_back(name, values.size() == group.size() ? std::optional(mean_and_std(values)) : std::nullopt);
  }
  return row;
}

}  // namespace

std::vector<StoredResult> read_results(const std::vector<std::string>& paths, const std::string& protocol) {
  std::vector<StoredResult> results;
  for (const std::string& path : paths) {
    if (!fs::exists(path)) throw UsageError(cat(path, ": no such file or folder; wanted a result.json, or its folder"));
    std::vector<StoredResult> found = fs::is_directory(path) ? results_below(path) : std::vector{read_result(path)};
    std::erase_if(found, [&protocol](const StoredResult& result) {
      const std::string name = provenance(result)["protocol"];
      return !protocol.empty() && name != protocol && !name.starts_with(protocol + " + ") &&
             result.document.value("protocol", "") != protocol;
    });
    if (found.size() == 1 && fs::is_directory(path)) found[0].name = path;
    results.insert(results.end(), found.begin(), found.end());
  }
  if (results.empty()) throw UsageError(cat("no result of protocol '", protocol, "' among those given"));
  return results;
}

std::vector<std::string> unlike_results(const std::vector<StoredResult>& results) {
  std::vector<std::string> sentences;
  const StoredResult& first = results.front();
  for (const StoredResult& result : results) {
    std::vector<std::string> found;
    for (const auto& [key, name] :
         {std::pair{"protocol", "protocol"}, std::pair{"splits", "splits"}, std::pair{"class_map_hash", "class map"},
          std::pair{"test_data_hash", "test data fingerprint"}}) {
      const Document& here = provenance(result)[key];
      const Document& there = provenance(first)[key];
      if (here != there) found.push_back(cat(name, " is ", shown(here), ", there ", shown(there)));
    }
    if (provenance(result)["settings_hash"] != provenance(first)["settings_hash"]) {
      for (const std::string& setting :
           setting_differences(provenance(result)["settings"], provenance(first)["settings"])) {
        found.push_back(setting);
      }
    }
    if (!found.empty()) sentences.push_back(cat(result.path, " is unlike ", first.path, ": ", join(found, "; ")));
    const Document& decoded = result.document["decoded"];
    const Document& total = result.document["total"];
    if (decoded < total) {
      sentences.push_back(cat(result.path, ": decoded is ", decoded.dump(), ", below its total of ", total.dump()));
    }
  }
  return sentences;
}

std::vector<ComparedRow> compared_rows(const std::vector<StoredResult>& results, bool group) {
  std::vector<Group> groups;
  for (const StoredResult& result : results) {
    if (group) {
      add_to_groups(groups, result);
    } else {
      groups.push_back({&result});
    }
  }
  std::vector<ComparedRow> rows;
  for (const Group& members : groups) rows.push_back(row_of(members));
  return rows;
}

}  // namespace cstp
