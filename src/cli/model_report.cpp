#include "model_report.h"

#include <algorithm>
#include <array>
#include <cstdio>
#include <nlohmann/json.hpp>
#include <vector>

#include "cstp/core/text.h"

namespace cstp {
namespace {

std::string shape_text(const std::vector<int64_t>& shape) { return join(shape, "x"); }

/// 45516455936 -> "45.52 G"
std::string giga_text(int64_t count) {
  std::array<char, 32> text{};
  std::snprintf(text.data(), text.size(), "%.2f G", static_cast<double>(count) / 1e9);
  return text.data();
}

/// Columns as wide as their widest cell, two blanks between; the first two to the left, numbers to the right.
std::string table_text(const std::vector<std::array<std::string, 5>>& rows) {
  std::array<size_t, 5> widths{};
  for (const auto& row : rows) {
    for (size_t c = 0; c < row.size(); ++c) widths[c] = std::max(widths[c], row[c].size());
  }
  std::string text;
  for (const auto& row : rows) {
    for (size_t c = 0; c < row.size(); ++c) {
      const std::string blanks(widths[c] - row[c].size(), ' ');
      text += cat(c < 2 ? row[c] + blanks : blanks + row[c], c + 1 < row.size() ? "  " : "\n");
    }
  }
  return text;
}

}  // namespace

std::string profile_text(const RunConfig& config, const ModelProfile& profile) {
  std::vector<std::array<std::string, 5>> rows = {{"layer", "kind", "output", "parameters", "multiply-adds"}};
  for (const LayerProfile& layer : profile.layers) {
    rows.push_back({layer.name, layer.kind, shape_text(layer.output), count_text(layer.parameters),
                    layer.multiply_adds > 0 ? count_text(layer.multiply_adds) : "-"});
  }
  std::string text = table_text(rows);
  for (size_t k = 0; k < profile.stages.size(); ++k) {
    text += cat(k == 0 ? "\n" : "", "stage ", k + 1, "        ", shape_text(profile.stages[k]), "\n");
  }
  const std::string clip = shape_text({3, config.clip.frames, config.clip.size, config.clip.size});
  return cat(text, "\nmodel          ", config.model.name, ", width ", number_text(config.model.width),
             ", one clip of ", clip, "\nparameters     ", count_text(profile.parameters), " (",
             count_text(profile.parameters + profile.statistics), " with the running statistics of its norms)",
             "\nmultiply-adds  ", count_text(profile.multiply_adds), " (", giga_text(profile.multiply_adds),
             "; FLOPs, where one multiply-add counts as two: ", giga_text(2 * profile.multiply_adds),
             "), of convolutions and linear layers, forward\n");
}

std::string profile_json(const RunConfig& config, const ModelProfile& profile) {
  nlohmann::ordered_json layers = nlohmann::ordered_json::array();
  for (const LayerProfile& layer : profile.layers) {
    layers.push_back({{"name", layer.name},
                      {"kind", layer.kind},
                      {"output", layer.output},
                      {"parameters", layer.parameters},
                      {"multiply_adds", layer.multiply_adds}});
  }
  return nlohmann::ordered_json{{"model", config.model.name},
                                {"width", config.model.width},
                                {"clip", {3, config.clip.frames, config.clip.size, config.clip.size}},
                                {"layers", layers},
                                {"stages", profile.stages},
                                {"parameters", profile.parameters},
                                {"parameters_with_statistics", profile.parameters + profile.statistics},
                                {"multiply_adds", profile.multiply_adds}}
      .dump();
}

}  // namespace cstp
