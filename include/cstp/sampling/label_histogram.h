/// How often each label was realised: rejection biases labels, so what a head can learn is seen from the histogram, and
/// chance is the entropy of it.
#pragma once
#include <atomic>
#include <cstdint>
#include <string>
#include <vector>

#include "cstp/sampling/plan.h"

namespace cstp {

/// Counts of K classes. Thread-safe.
class LabelHistogram {
 public:
  LabelHistogram(std::string name, int64_t classes);
  /// Requires 0 <= label < K.
  void add(int64_t label);
  const std::string& name() const { return name_; }
  std::vector<int64_t> counts() const;
  int64_t total() const;
  double entropy() const;    ///< nats; the cross-entropy of always answering with these shares
  std::string text() const;  ///< "spatial .200 .203 .199 .201 .197 (entropy 1.609 of 1.609)"

 private:
  std::string name_;
  std::vector<std::atomic<int64_t>> counts_;
};

/// The labels of pair sampling together. Thread-safe.
class OverlapHistogram {
 public:
  void add(const OverlapLabels& labels);
  int64_t fallbacks() const { return fallbacks_; }
  std::string text() const;  ///< one line: pairs, fallbacks, each label's histogram

  LabelHistogram spatial{"spatial", 5}, temporal{"temporal", 5}, rate{"rate", 4}, turns{"rotation", 4};

 private:
  std::atomic<int64_t> fallbacks_{0};
};

}  // namespace cstp
