#include "retrieval_report.h"

#include <algorithm>
#include <map>
#include <tuple>

#include "cstp/core/error.h"
#include "cstp/core/random.h"

namespace cstp {
namespace {

std::map<int64_t, int64_t> count_labels(const std::vector<VideoRecord>& videos) {
  std::map<int64_t, int64_t> counts;
  for (const VideoRecord& video : videos) ++counts[video.label];
  return counts;
}

/// 1 - C(G-n,k) / C(G,k): the chance that k of G, drawn without replacement, hold one of n.
double chance_of_one(int64_t gallery, int64_t relevant, int64_t k) {
  double none = 1;
  for (int64_t i = 0; i < k; ++i) {
    none *= static_cast<double>(std::max<int64_t>(0, gallery - relevant - i)) / static_cast<double>(gallery - i);
  }
  return 1 - none;
}

}  // namespace

std::vector<ClassRow> class_rows(const RetrievalReport& report) {
  const auto gallery = count_labels(report.gallery);
  std::map<int64_t, ClassRow> rows;
  std::map<int64_t, std::vector<int64_t>> hits;         // label -> per k
  std::map<int64_t, std::map<int64_t, int64_t>> wrong;  // label -> wrong label -> count
  for (size_t q = 0; q < report.queries.size(); ++q) {
    const int64_t label = report.queries[q].label;
    if (label < 0) continue;
    ClassRow& row = rows[label];
    row.label = label;
    ++row.queries;
    row.map += report.precision[q];
    hits[label].resize(report.recall.size());
    for (size_t k = 0; k < report.recall.size(); ++k) {
      hits[label][k] += report.first_hit[q] > 0 && report.first_hit[q] <= report.recall[k].first;
    }
    if (report.nearest[q].empty()) continue;
    const int64_t found = report.gallery[static_cast<size_t>(report.nearest[q].front().row)].label;
    if (found >= 0 && found != label) ++wrong[label][found];
  }
  std::vector<ClassRow> result;
  for (auto& [label, row] : rows) {
    row.map /= static_cast<double>(row.queries);
    if (const auto found = gallery.find(label); found != gallery.end()) row.gallery = found->second;
    for (size_t k = 0; k < report.recall.size(); ++k) {
      std::optional<double> share;
      if (report.recall[k].second) share = static_cast<double>(hits[label][k]) / static_cast<double>(row.queries);
      row.recall.push_back(share);
    }
    for (const auto& [other, count] : wrong[label]) {
      if (count <= row.mistaken) continue;
      row.mistaken_for = other;
      row.mistaken = count;
    }
    result.push_back(row);
  }
  return result;
}

std::optional<double> chance_recall(const RetrievalReport& report, int64_t k) {
  const auto size = std::ssize(report.gallery);
  const auto gallery = count_labels(report.gallery);
  double sum = 0;
  int64_t labelled = 0;
  for (const auto& [label, count] : count_labels(report.queries)) {
    if (label < 0) continue;
    const auto found = gallery.find(label);
    if (k <= size) {
      sum += static_cast<double>(count) * chance_of_one(size, found == gallery.end() ? 0 : found->second, k);
    }
    labelled += count;
  }
  if (labelled == 0 || k > size) return std::nullopt;
  return sum / static_cast<double>(labelled);
}

std::vector<int64_t> choose_queries(const std::vector<VideoRecord>& queries, int64_t count, int64_t seed) {
  check(count >= 0, "choose_queries: a count is not negative");
  std::map<int64_t, std::vector<int64_t>> by_class;
  for (size_t q = 0; q < queries.size(); ++q) by_class[queries[q].label].push_back(static_cast<int64_t>(q));
  // Member i of a class of n stands at i/n of the way: any prefix of the order holds every class in its proportion,
  // rounded up. Members and the order of the classes among themselves are drawn.
  std::vector<std::tuple<double, double, int64_t>> order;
  for (auto& [label, members] : by_class) {
    Rng rng(static_cast<uint64_t>(seed), 0xca4d, static_cast<uint64_t>(label + 1));
    rng.shuffle(std::span(members));
    const auto size = static_cast<double>(members.size());
    for (size_t i = 0; i < members.size(); ++i) {
      order.emplace_back(static_cast<double>(i) / size, rng.uniform(), members[i]);
    }
  }
  std::sort(order.begin(), order.end());
  if (count > 0 && count < std::ssize(order)) order.resize(static_cast<size_t>(count));
  std::vector<int64_t> chosen;
  for (const auto& [place, tie, row] : order) chosen.push_back(row);
  return chosen;
}

}  // namespace cstp
