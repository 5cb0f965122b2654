/// Which classes are taken for which: counts of test videos, the per-class table, and both as csv.
#pragma once
#include <ATen/core/Tensor.h>

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

namespace cstp {

struct Confusion {
  std::vector<std::string> classes;  ///< K names, in label order
  std::vector<int64_t> counts;       ///< [K,K] row-major: videos of class `row` that were answered `column`

  int64_t size() const { return static_cast<int64_t>(classes.size()); }
  int64_t at(int64_t row, int64_t column) const { return counts[static_cast<size_t>(row * size() + column)]; }
  int64_t row_total(int64_t row) const;
  /// Adds another split's. Requires the same classes.
  void add(const Confusion& other);
};
/// @param labels, @param predicted [D] int64 in [0,K)
Confusion count_confusion(const std::vector<std::string>& classes, const at::Tensor& labels,
                          const at::Tensor& predicted);

struct ClassAccuracy {
  std::string name;
  int64_t videos = 0, correct = 0;
  std::optional<double> top1;  ///< absent for a class without test videos
  std::string confused_with;   ///< the wrong answer given most often (of equals the first); "" if there was none
  int64_t confused = 0;        ///< how often
};
std::vector<ClassAccuracy> class_accuracies(const Confusion& confusion);
/// One line a class, aligned, worst classes first (of equals in label order).
std::string class_accuracy_table(const Confusion& confusion);
/// `class,videos,correct,top1,most_confused_with,confused`, in label order.
std::string class_accuracy_csv(const Confusion& confusion);

/// First line and first column hold the names; rows are the true classes, columns the answers.
std::string confusion_csv(const Confusion& confusion);
/// @throws DataError naming `path` if the text is no such table
Confusion parse_confusion_csv(const std::string& text, const std::string& path);

}  // namespace cstp
