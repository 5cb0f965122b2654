// evidence_table FOLDER: the cells of scripts/evidence.sh as Markdown tables on stdout, one table a set of videos.
//
// A cell is FOLDER/SET/ROW/seedN/foldM/{linear,knn,retrieve,pretext}.json. Folds are averaged first, then seeds: mean
// and sample standard deviation over seeds. For a row's own tasks the margin over guessing is also given in standard
// errors: those over the cells, which hold for other seeds too; and of an accuracy those of the pooled held-out pairs
// (binomial, pairs of one video taken as independent), which hold for these networks. FOLDER/cost/ROW.txt has what a
// step cost, a line for each time it was taken.
#include <algorithm>
#include <cmath>
#include <cstdio>
#include <filesystem>
#include <iostream>
#include <map>
#include <nlohmann/json.hpp>
#include <optional>
#include <set>
#include <string>
#include <vector>

#include "cstp/core/error.h"
#include "cstp/core/text.h"
#include "run_tool.h"

namespace {

namespace fs = std::filesystem;
using cstp::cat;
using Json = nlohmann::json;

struct Column {
  const char* title;
  const char* file;
  const char* key;  ///< of the document; "recall.1" is a key within a key
};
constexpr Column kColumns[] = {
    {"linear top-1", "linear.json", "top1"},
    {"k-NN top-1", "knn.json", "top1"},
    {"R@1", "retrieve.json", "recall.1"},
    {"spatial overlap", "pretext.json", "accuracy_spatial"},
    {"temporal overlap", "pretext.json", "accuracy_temporal"},
    {"rate", "pretext.json", "accuracy_rate"},
    {"rotation", "pretext.json", "accuracy_rotation"},
    {"instance", "pretext.json", "accuracy"},
    {"SC instance", "pretext.json", "sc_top1"},
    {"TC instance", "pretext.json", "tc_top1"},
};
// The order of docs/evidence.md; rows it does not know follow by name.
constexpr const char* kRows[] = {"untrained",   "mean_frame",    "frame_difference", "supervised",
                                 "contrast",    "overlap",       "contrast_overlap", "spatial",
                                 "temporal",    "rate",          "overlap_rate",     "rate_rotation",
                                 "all",         "recipe",        "cvrl_linear",      "cvrl_uniform",
                                 "hdc_uniform", "hdc_geometric", "hdc_sc",           "hdc_tc",
                                 "sts",         "sts_motion",    "sts_appearance",   "stor_cvrl_hdc",
                                 "cvrl_sts"};

std::vector<fs::path> folders_in(const fs::path& folder, const std::string& prefix) {
  std::vector<fs::path> found;
  for (const auto& entry : fs::directory_iterator(folder)) {
    if (entry.is_directory() && entry.path().filename().string().starts_with(prefix)) found.push_back(entry.path());
  }
  std::sort(found.begin(), found.end());
  return found;
}

/// The number under a key, or under PART.key where a joint objective's one part has it. A row of a joint objective thus
/// stands in the same columns as the rows of its parts.
std::optional<double> number_under(const Json& document, const std::string& key) {
  if (document.contains(key)) {
    return document[key].is_number() ? std::optional(document[key].get<double>()) : std::nullopt;
  }
  const std::string start = "constant_";
  const bool constant = key.starts_with(start);
  const std::string end = cat(".", constant ? key.substr(start.size()) : key);
  for (const auto& [name, value] : document.items()) {
    if (name.starts_with(start) == constant && name.ends_with(end) && value.is_number()) return value.get<double>();
  }
  return std::nullopt;
}

std::optional<double> number_in(const fs::path& cell, const char* file, const std::string& key) {
  if (!fs::exists(cell / "done") || !fs::exists(cell / file)) return std::nullopt;
  const Json document = Json::parse(cstp::read_text_file((cell / file).string()), nullptr, false);
  if (!document.is_object()) return std::nullopt;
  const std::vector<std::string> keys = cstp::split(key, '.');
  if (keys.size() == 1) return number_under(document, key);
  return document.contains(keys[0]) ? number_under(document[keys[0]], keys[1]) : std::nullopt;
}

struct Summary {
  double mean = 0, deviation = 0;
  size_t seeds = 0;
};

std::optional<Summary> summarise(const std::vector<double>& values) {
  if (values.empty()) return std::nullopt;
  Summary result{.seeds = values.size()};
  for (const double value : values) result.mean += value / static_cast<double>(values.size());
  for (const double value : values) result.deviation += std::pow(value - result.mean, 2);
  if (values.size() > 1) result.deviation = std::sqrt(result.deviation / static_cast<double>(values.size() - 1));
  return result;
}

/// Mean over the folds of each seed, for the seeds whose folds are all there.
std::optional<Summary> over_seeds(const fs::path& row, const Column& column, size_t folds) {
  std::vector<double> values;
  for (const fs::path& seed : folders_in(row, "seed")) {
    double sum = 0;
    size_t count = 0;
    for (const fs::path& fold : folders_in(seed, "fold")) {
      if (const auto value = number_in(fold, column.file, column.key)) sum += *value, ++count;
    }
    if (count == folds) values.push_back(sum / static_cast<double>(count));
  }
  return summarise(values);
}

std::string percent(const std::optional<Summary>& value) {
  if (!value) return "";
  char text[64];
  if (value->seeds > 1) {
    std::snprintf(text, sizeof text, "%.1f ± %.1f", 100 * value->mean, 100 * value->deviation);
  } else {
    std::snprintf(text, sizeof text, "%.1f (1 seed)", 100 * value->mean);
  }
  return text;
}

/// A measure of the objective's own task and what guessing scores there, as `eval --protocol pretext` names them.
struct Head {
  const char* name;
  const char* measured;
  const char* constant;
};
constexpr Head kAccuracies[] = {
    {"spatial", "accuracy_spatial", "constant_spatial"},  {"temporal", "accuracy_temporal", "constant_temporal"},
    {"rate", "accuracy_rate", "constant_rate"},           {"rotation", "accuracy_rotation", "constant_rotation"},
    {"instance", "accuracy", "constant_accuracy"},        {"spatial contrast", "sc_top1", "constant_sc_top1"},
    {"temporal contrast", "tc_top1", "constant_tc_top1"},
};
constexpr Head kErrors[] = {
    {"motion", "motion", "constant_motion"},
    {"appearance", "appearance", "constant_appearance"},
};

/// What each finished cell of a row measured.
struct Measured {
  double value, constant, samples;
};
std::vector<Measured> measurements(const fs::path& row, const Head& head) {
  std::vector<Measured> found;
  for (const fs::path& seed : folders_in(row, "seed")) {
    for (const fs::path& fold : folders_in(seed, "fold")) {
      const auto value = number_in(fold, "pretext.json", head.measured);
      const auto constant = number_in(fold, "pretext.json", head.constant);
      const auto samples = number_in(fold, "pretext.json", "samples");
      if (value && constant && samples) found.push_back({*value, *constant, *samples});
    }
  }
  return found;
}

/// How many standard errors over the cells a margin is above zero; "" for one cell, and where all are the same.
std::string sigmas_over_cells(const std::vector<double>& margins) {
  const Summary margin = *summarise(margins);
  if (margins.size() == 1 || margin.deviation == 0) return "";
  char text[64];
  std::snprintf(text, sizeof text, ", %+.0f sigma over %zu cells",
                margin.mean / (margin.deviation / std::sqrt(static_cast<double>(margins.size()))), margins.size());
  return text;
}

/// "temporal 32.1 % against 20.3 % (+17 sigma of 9600 pairs, +8 sigma over 3 cells)": a head of a row against guessing.
std::string accuracy_margin(const fs::path& row, const Head& head) {
  double right = 0, constant = 0, samples = 0;
  std::vector<double> margins;
  for (const Measured& cell : measurements(row, head)) {
    right += cell.value * cell.samples, constant += cell.constant * cell.samples, samples += cell.samples;
    margins.push_back(cell.value - cell.constant);
  }
  if (samples == 0) return "";
  const double p = right / samples, q = constant / samples;
  const double sigma = std::sqrt(q * (1 - q) / samples);
  char text[96];
  std::snprintf(text, sizeof text, "%s %.1f %% against %.1f %% (%+.0f sigma of %.0f pairs", head.name, 100 * p, 100 * q,
                (p - q) / sigma, samples);
  return cat(text, sigmas_over_cells(margins), ")");
}

/// "motion: squared error 5.59 against the labels' variance of 6.85 (less by 1.26 ± 0.04, +55 sigma over 3 cells)".
std::string error_margin(const fs::path& row, const Head& head) {
  std::vector<double> errors, constants, margins;
  for (const Measured& cell : measurements(row, head)) {
    errors.push_back(cell.value), constants.push_back(cell.constant), margins.push_back(cell.constant - cell.value);
  }
  if (margins.empty()) return "";
  const Summary margin = *summarise(margins);
  char text[192];
  std::snprintf(text, sizeof text, "%s: squared error %.3f against the labels' variance of %.3f", head.name,
                summarise(errors)->mean, summarise(constants)->mean);
  if (margins.size() == 1) return cat(text, " (1 cell)");
  char spread[96];
  std::snprintf(spread, sizeof spread, " (less by %.3f ± %.3f", margin.mean, margin.deviation);
  return cat(text, spread, sigmas_over_cells(margins), ")");
}

/// Median of a column of FOLDER/cost/ROW.txt: seconds a step, and MB at most.
std::string median_cost(const fs::path& file, size_t column, const char* format) {
  std::vector<double> values;
  if (fs::exists(file)) {
    for (const std::string& line : cstp::split(cstp::read_text_file(file.string()), '\n')) {
      const std::vector<std::string> fields = cstp::split(line, ' ');
      if (fields.size() == 2) values.push_back(std::stod(fields[column]));
    }
  }
  if (values.empty()) return "";
  std::nth_element(values.begin(), values.begin() + static_cast<std::ptrdiff_t>(values.size() / 2), values.end());
  char text[32];
  std::snprintf(text, sizeof text, format, values[values.size() / 2]);
  return text;
}

std::vector<fs::path> rows_of(const fs::path& set) {
  std::vector<fs::path> rows;
  std::set<std::string> known(std::begin(kRows), std::end(kRows));
  for (const char* name : kRows) {
    if (fs::is_directory(set / name)) rows.push_back(set / name);
  }
  for (const fs::path& row : folders_in(set, "")) {
    if (!known.contains(row.filename().string())) rows.push_back(row);
  }
  return rows;
}

void print_set(const fs::path& set) {
  const fs::path cost = set.parent_path() / "cost";
  const bool with_cost = fs::is_directory(cost);
  const std::vector<fs::path> rows = rows_of(set);
  size_t folds = 0;
  for (const fs::path& row : rows) {
    for (const fs::path& seed : folders_in(row, "seed")) folds = std::max(folds, folders_in(seed, "fold").size());
  }
  std::vector<Column> columns;  // those that a finished row has
  for (const Column& column : kColumns) {
    if (std::any_of(rows.begin(), rows.end(), [&](const fs::path& row) { return over_seeds(row, column, folds); }))
      columns.push_back(column);
  }
  std::cout << "\n### " << set.filename().string() << "\n\n| |";
  for (const Column& column : columns) std::cout << ' ' << column.title << " |";
  std::cout << (with_cost ? " s/step | peak MB |" : "") << " seeds |\n|---|";
  for (size_t i = 0; i < columns.size() + (with_cost ? 2 : 0); ++i) std::cout << "---|";
  std::cout << "---|\n";
  std::vector<std::string> margins;
  for (const fs::path& row : rows) {
    size_t seeds = 0;
    std::string line = cat("| ", row.filename().string(), " |");
    for (const Column& column : columns) {
      const auto value = over_seeds(row, column, folds);
      if (value) seeds = std::max(seeds, value->seeds);
      line += cat(" ", percent(value), " |");
    }
    if (seeds == 0) continue;  // nothing finished yet
    if (with_cost) {
      const fs::path file = cost / (row.filename().string() + ".txt");
      line += cat(" ", median_cost(file, 0, "%.3f"), " | ", median_cost(file, 1, "%.0f"), " |");
    }
    std::cout << line << ' ' << seeds << " |\n";
    std::vector<std::string> own;
    for (const Head& head : kAccuracies) own.push_back(accuracy_margin(row, head));
    for (const Head& head : kErrors) own.push_back(error_margin(row, head));
    for (const std::string& text : own) {
      if (!text.empty()) margins.push_back(cat(row.filename().string(), ": ", text));
    }
  }
  if (!margins.empty()) std::cout << "\nEach task against guessing (the commonest label, or any candidate):\n\n";
  for (const std::string& text : margins) std::cout << "- " << text << '\n';
}

}  // namespace

int main(int argc, char** argv) {
  return cstp::run_tool("evidence_table", [&] {
    if (argc != 2) throw cstp::UsageError("usage: evidence_table FOLDER (the --out of scripts/evidence.sh)");
    if (!fs::is_directory(argv[1])) {
      throw cstp::DataError(cat(argv[1], ": not a folder; wanted is what scripts/evidence.sh was given as --out"));
    }
    for (const fs::path& set : folders_in(argv[1], "")) {
      if (set.filename() != "data" && set.filename() != "cost") print_set(set);
    }
  });
}
