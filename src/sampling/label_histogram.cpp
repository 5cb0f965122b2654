#include "cstp/sampling/label_histogram.h"

#include <algorithm>
#include <array>
#include <cmath>
#include <cstdio>

#include "cstp/core/error.h"
#include "cstp/core/text.h"

namespace cstp {
namespace {

std::string three_decimals(double value) {
  std::array<char, 32> text{};
  std::snprintf(text.data(), text.size(), "%.3f", value);
  return text.data();
}

}  // namespace

LabelHistogram::LabelHistogram(std::string name, int64_t classes)
    : name_(std::move(name)), counts_(static_cast<size_t>(classes)) {}

void LabelHistogram::add(int64_t label) {
  check(label >= 0 && label < static_cast<int64_t>(counts_.size()), "LabelHistogram: label out of range");
  counts_[static_cast<size_t>(label)].fetch_add(1, std::memory_order_relaxed);
}

std::vector<int64_t> LabelHistogram::counts() const { return {counts_.begin(), counts_.end()}; }

int64_t LabelHistogram::total() const {
  int64_t sum = 0;
  for (const auto& count : counts_) sum += count;
  return sum;
}

double LabelHistogram::entropy() const {
  const std::vector<int64_t> now = counts();
  int64_t sum = 0;
  for (const int64_t count : now) sum += count;
  double result = 0;
  for (const int64_t count : now) {
    if (count == 0) continue;
    const double share = static_cast<double>(count) / static_cast<double>(sum);
    result -= share * std::log(share);
  }
  return result;
}

std::string LabelHistogram::text() const {
  const std::vector<int64_t> now = counts();
  const auto sum = static_cast<double>(std::max<int64_t>(1, total()));
  std::string line = name_;
  for (const int64_t count : now)
    line += " " + three_decimals(static_cast<double>(count) / sum).substr(static_cast<double>(count) == sum ? 0 : 1);
  return cat(line, " (entropy ", three_decimals(entropy()), " of ",
             three_decimals(std::log(static_cast<double>(now.size()))), ")");
}

void OverlapHistogram::add(const OverlapLabels& labels) {
  spatial.add(labels.spatial);
  temporal.add(labels.temporal);
  rate.add(labels.rate);
  for (const int64_t turn : labels.turns) turns.add(turn);
  if (labels.fallback) ++fallbacks_;
}

std::string OverlapHistogram::text() const {
  return cat(count_text(spatial.total()), " pairs, ", count_text(fallbacks()), " fell back to class 0; ",
             spatial.text(), "; ", temporal.text(), "; ", rate.text(), "; ", turns.text());
}

}  // namespace cstp
