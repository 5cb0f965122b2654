/// What a turn of a benchmark costs, and what many turns come to.
#pragma once
#include <algorithm>
#include <chrono>
#include <functional>
#include <vector>

#include "cstp/core/process.h"

namespace cstp {

struct Cost {
  double wall = 0, cpu = 0;  ///< seconds
};

inline Cost cost_of(const std::function<void()>& work) {
  const double cpu = cpu_seconds();
  const auto start = std::chrono::steady_clock::now();
  work();
  return {std::chrono::duration<double>(std::chrono::steady_clock::now() - start).count(), cpu_seconds() - cpu};
}

struct Times {
  std::vector<double> wall, cpu;
  void add(Cost cost) {
    wall.push_back(cost.wall);
    cpu.push_back(cost.cpu);
  }
};
inline double median(std::vector<double> values) {
  std::sort(values.begin(), values.end());
  const size_t half = values.size() / 2;
  return values.size() % 2 == 1 ? values[half] : (values[half - 1] + values[half]) / 2;
}
inline double least(const std::vector<double>& values) { return *std::min_element(values.begin(), values.end()); }

}  // namespace cstp
