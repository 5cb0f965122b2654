// src/engine/comparison_table.cpp: the rows of compare.h as text for people, csv, markdown and JSON.
#include <algorithm>
#include <array>
#include <cstdio>
#include <nlohmann/json.hpp>

#include "cstp/core/csv.h"
#include "cstp/core/text.h"
#include "cstp/engine/compare.h"

namespace cstp {
namespace {

/// Fractions are shown in percent; losses as they are.
bool is_fraction(const std::string& metric) {
  for (const char* start : {"top", "clip_top", "R@", "map", "accuracy_", "constant_"}) {
    if (metric.starts_with(start)) return true;
  }
  return false;
}

std::string number(double value, bool fraction) {
  std::array<char, 32> text{};
  std::snprintf(text.data(), text.size(), fraction ? "%.1f" : "%.4g", fraction ? value * 100 : value);
  return text.data();
}

/// "31.6 +- 1.2".
std::string cell(const std::string& metric, const std::optional<MeanAndStd>& value) {
  if (!value) return "-";
  const bool fraction = is_fraction(metric);
  return cat(number(value->mean, fraction), value->std ? cat(" +- ", number(*value->std, fraction)) : "");
}

/// Every metric that some row has, in the order of their first appearance.
std::vector<std::string> metric_names(const std::vector<ComparedRow>& rows) {
  std::vector<std::string> names;
  for (const ComparedRow& row : rows) {
    for (const auto& [name, value] : row.metrics) {
      if (std::find(names.begin(), names.end(), name) == names.end()) names.push_back(name);
    }
  }
  return names;
}

std::optional<MeanAndStd> metric(const ComparedRow& row, const std::string& name) {
  for (const auto& [other, value] : row.metrics) {
    if (other == name) return value;
  }
  return std::nullopt;
}

using Lines = std::vector<std::vector<std::string>>;

/// The first line is the head.
Lines cells(const std::vector<ComparedRow>& rows, bool raw, bool everything) {
  Lines lines(1);
  lines[0] = {"result", "weights", "model", "seed"};
  if (everything) lines[0].insert(lines[0].end(), {"protocol", "splits", "decoded"});
  const std::vector<std::string> metrics = metric_names(rows);
  for (const std::string& name : metrics) {
    lines[0].push_back(raw || !is_fraction(name) ? name : name + " %");
    if (raw) lines[0].push_back(name + "_std");
  }
  for (const ComparedRow& row : rows) {
    std::vector<std::string>& line = lines.emplace_back();
    line = {row.name, row.objective, row.model, join(row.seeds, ",")};
    if (everything) line.insert(line.end(), {row.protocol, row.splits, cat(row.decoded, "/", row.total)});
    for (const std::string& name : metrics) {
      const auto value = metric(row, name);
      if (raw) {
        line.push_back(value ? number_text(value->mean) : "");
        line.push_back(value && value->std ? number_text(*value->std) : "");
      } else {
        line.push_back(cell(name, value));
      }
    }
  }
  return lines;
}

/// Columns as wide as their widest cell; what comes after the first `left` of them is set to the right.
std::string aligned(const Lines& lines, size_t left) {
  std::vector<size_t> widths(lines[0].size());
  for (const auto& line : lines) {
    for (size_t i = 0; i < line.size(); ++i) widths[i] = std::max(widths[i], line[i].size());
  }
  std::string text;
  for (const auto& line : lines) {
    for (size_t i = 0; i < line.size(); ++i) {
      const std::string blanks(widths[i] - line[i].size(), ' ');
      text += cat(i > 0 ? "  " : "", i < left ? line[i] + blanks : blanks + line[i]);
    }
    text.erase(text.find_last_not_of(' ') + 1);
    text += "\n";
  }
  return text;
}

std::string markdown(const Lines& lines, size_t left) {
  std::string text;
  for (size_t row = 0; row < lines.size(); ++row) {
    text += "|";
    for (std::string field : lines[row]) {
      for (size_t at = field.find('|'); at != std::string::npos; at = field.find('|', at + 2)) field.insert(at, "\\");
      text += cat(" ", field, " |");
    }
    text += "\n";
    if (row > 0) continue;
    text += "|";
    for (size_t i = 0; i < lines[0].size(); ++i) text += i < left ? "---|" : "---:|";
    text += "\n";
  }
  return text;
}

}  // namespace

std::string comparison_table(const std::vector<ComparedRow>& rows, TableStyle style, bool everything) {
  const Lines lines = cells(rows, style == TableStyle::csv, everything);
  const size_t left = everything ? 7 : 4;
  if (style == TableStyle::text) return aligned(lines, left);
  if (style == TableStyle::markdown) return markdown(lines, left);
  std::string text;
  for (const auto& line : lines) text += csv_line(line);
  return text;
}

Document comparison_json(const std::vector<ComparedRow>& rows) {
  Document list = Document::array();
  for (const ComparedRow& row : rows) {
    Document metrics = Document::object();
    for (const auto& [name, value] : row.metrics) {
      metrics[name] = value ? Document{{"mean", value->mean}, {"std", value->std ? Document(*value->std) : Document()}}
                            : Document();
    }
    list.push_back({{"result", row.name},
                    {"weights", row.objective},
                    {"model", row.model},
                    {"protocol", row.protocol},
                    {"splits", row.splits},
                    {"seeds", row.seeds},
                    {"decoded", row.decoded},
                    {"total", row.total},
                    {"metrics", metrics}});
  }
  return list;
}

}  // namespace cstp
