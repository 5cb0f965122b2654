#include "cstp/engine/confusion.h"

#include <algorithm>
#include <charconv>
#include <iomanip>
#include <numeric>
#include <sstream>

#include "cstp/core/csv.h"
#include "cstp/core/error.h"
#include "cstp/core/text.h"

namespace cstp {

int64_t Confusion::row_total(int64_t row) const {
  int64_t sum = 0;
  for (int64_t column = 0; column < size(); ++column) sum += at(row, column);
  return sum;
}

void Confusion::add(const Confusion& other) {
  check(classes == other.classes, "Confusion::add: other classes");
  for (size_t i = 0; i < counts.size(); ++i) counts[i] += other.counts[i];
}

Confusion count_confusion(const std::vector<std::string>& classes, const at::Tensor& labels,
                          const at::Tensor& predicted) {
  check(labels.numel() == predicted.numel(), "count_confusion: not one answer a label");
  Confusion confusion{classes, std::vector<int64_t>(classes.size() * classes.size())};
  const at::Tensor rows = labels.contiguous();
  const at::Tensor columns = predicted.contiguous();
  const auto known = std::ssize(classes);
  for (int64_t i = 0; i < rows.numel(); ++i) {
    const int64_t row = rows.const_data_ptr<int64_t>()[i];
    const int64_t column = columns.const_data_ptr<int64_t>()[i];
    check(row >= 0 && row < known && column >= 0 && column < known, "count_confusion: a label outside the classes");
    ++confusion.counts[static_cast<size_t>(row * known + column)];
  }
  return confusion;
}

std::vector<ClassAccuracy> class_accuracies(const Confusion& confusion) {
  std::vector<ClassAccuracy> rows;
  for (int64_t label = 0; label < confusion.size(); ++label) {
    ClassAccuracy row;
    row.name = confusion.classes[static_cast<size_t>(label)];
    row.videos = confusion.row_total(label);
    row.correct = confusion.at(label, label);
    if (row.videos > 0) row.top1 = static_cast<double>(row.correct) / static_cast<double>(row.videos);
    for (int64_t other = 0; other < confusion.size(); ++other) {
      if (other == label || confusion.at(label, other) <= row.confused) continue;
      row.confused = confusion.at(label, other);
      row.confused_with = confusion.classes[static_cast<size_t>(other)];
    }
    rows.push_back(row);
  }
  return rows;
}

std::string class_accuracy_table(const Confusion& confusion) {
  std::vector<ClassAccuracy> rows = class_accuracies(confusion);
  std::stable_sort(rows.begin(), rows.end(), [](const ClassAccuracy& a, const ClassAccuracy& b) {
    return a.top1.value_or(2) < b.top1.value_or(2);
  });
  size_t width = 5;
  for (const ClassAccuracy& row : rows) width = std::max(width, row.name.size());
  std::ostringstream out;
  out << std::left << std::setw(static_cast<int>(width)) << "class"
      << "  videos  correct   top-1  most often taken for\n";
  for (const ClassAccuracy& row : rows) {
    out << std::left << std::setw(static_cast<int>(width)) << row.name << std::right << std::setw(8) << row.videos
        << std::setw(9) << row.correct;
    if (row.top1) {
      out << std::fixed << std::setprecision(1) << std::setw(6) << *row.top1 * 100 << " %";
    } else {
      out << std::setw(8) << "-";
    }
    if (row.confused > 0) out << "  " << row.confused_with << " (" << row.confused << ")";
    out << "\n";
  }
  return out.str();
}

std::string class_accuracy_csv(const Confusion& confusion) {
  std::string text = csv_line({"class", "videos", "correct", "top1", "most_confused_with", "confused"});
  for (const ClassAccuracy& row : class_accuracies(confusion)) {
    text += csv_line({row.name, std::to_string(row.videos), std::to_string(row.correct),
                      row.top1 ? number_text(*row.top1) : "", row.confused_with, std::to_string(row.confused)});
  }
  return text;
}

std::string confusion_csv(const Confusion& confusion) {
  std::vector<std::string> head = {"true class"};
  head.insert(head.end(), confusion.classes.begin(), confusion.classes.end());
  std::string text = csv_line(head);
  for (int64_t row = 0; row < confusion.size(); ++row) {
    std::vector<std::string> fields = {confusion.classes[static_cast<size_t>(row)]};
    for (int64_t column = 0; column < confusion.size(); ++column) {
      fields.push_back(std::to_string(confusion.at(row, column)));
    }
    text += csv_line(fields);
  }
  return text;
}

Confusion parse_confusion_csv(const std::string& text, const std::string& path) {
  const auto lines = parse_csv(text);
  const auto refuse = [&path] { throw DataError(cat(path, ": is no confusion matrix; remove it, or use --fresh")); };
  Confusion confusion;
  if (lines.empty() || lines.size() != lines[0].size()) refuse();
  confusion.classes.assign(lines[0].begin() + 1, lines[0].end());
  for (size_t row = 1; row < lines.size(); ++row) {
    if (lines[row].size() != lines[0].size() || lines[row][0] != lines[0][row]) refuse();
    for (size_t column = 1; column < lines[row].size(); ++column) {
      const std::string& field = lines[row][column];
      int64_t count = 0;
      const auto read = std::from_chars(field.data(), field.data() + field.size(), count);
      if (read.ec != std::errc() || read.ptr != field.data() + field.size()) refuse();
      confusion.counts.push_back(count);
    }
  }
  return confusion;
}

}  // namespace cstp
