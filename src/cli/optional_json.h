/// Undefined numbers are null in JSON and a dash for people.
#pragma once
#include <array>
#include <cstdio>
#include <nlohmann/json.hpp>
#include <optional>
#include <string>

namespace cstp {

/// Not inlined: GCC 12 then believes that an empty optional is read.
[[gnu::noinline]] inline nlohmann::ordered_json to_json(const std::optional<double>& value) {
  return value ? nlohmann::ordered_json(*value) : nlohmann::ordered_json(nullptr);
}

inline std::string percent(const std::optional<double>& fraction) {
  if (!fraction) return "-";
  std::array<char, 16> text{};
  std::snprintf(text.data(), text.size(), "%.1f %%", *fraction * 100);
  return text.data();
}

}  // namespace cstp
