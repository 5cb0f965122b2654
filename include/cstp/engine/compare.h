/// Results side by side, and the refusal to set unlike ones side by side.
#pragma once
#include <nlohmann/json.hpp>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "cstp/engine/result.h"

namespace cstp {

struct StoredResult {
  std::string path;  ///< of the file
  std::string name;  ///< in tables: what the user gave, where that stands for this result alone; else the path
  Document document;
};

/// Reads result files; a folder stands for the result.json in it, or for those below it. Where a folder holds the mean
/// of several splits, the splits that are in it are left out.
/// @param protocol keeps only results of this kind ("linear") or name ("ucf101-linear-v1"); "" keeps all
/// @throws UsageError naming a path that holds no result, DataError for a file that is damaged
std::vector<StoredResult> read_results(const std::vector<std::string>& paths, const std::string& protocol);

/// What makes a result unlike the first one: protocol, settings, splits, classes, test videos; and any that did not
/// decode. Weights, seeds, objectives and machines may differ. One sentence for each file, naming field and values.
std::vector<std::string> unlike_results(const std::vector<StoredResult>& results);

struct ComparedRow {
  std::string name;  ///< of a group the first one's
  std::string protocol, splits, objective, model;
  int64_t decoded = 0, total = 0;
  std::vector<int64_t> seeds;  ///< one a result: of the pre-training where there was one, else of the evaluation
  std::vector<std::pair<std::string, std::optional<MeanAndStd>>> metrics;
};
/// One row a result; with `group`, one for all results that differ by seed only. A result given twice counts once
/// there.
std::vector<ComparedRow> compared_rows(const std::vector<StoredResult>& results, bool group);

enum class TableStyle { text, csv, markdown };
/// @param everything adds the columns that are the same in like results: protocol, splits, videos decoded
std::string comparison_table(const std::vector<ComparedRow>& rows, TableStyle style, bool everything);
Document comparison_json(const std::vector<ComparedRow>& rows);

}  // namespace cstp
