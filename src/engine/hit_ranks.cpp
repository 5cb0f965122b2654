#include "hit_ranks.h"

#include <ATen/Parallel.h>
#include <torch/types.h>

#include <algorithm>
#include <cmath>

#include "cstp/core/error.h"
#include "running_query.h"

namespace cstp {
namespace {

constexpr int64_t kQueries = 64, kGallery = 4096;  // rows of a block of scores: 1 MiB

/// A query's hits, and how many rows of the gallery stand before each.
class Standing {
 public:
  void start(const float* query, const std::vector<int64_t>& hits, const float* gallery, int64_t dim) {
    query_ = query;
    hits_.clear();
    for (const int64_t row : hits) hits_.push_back({score_of(query, gallery + row * dim, dim), row});
    std::sort(hits_.begin(), hits_.end());
    passed_.assign(hits_.size() + 1, 0);
  }

  /// Scores of the rows [first, first + count), off by no more than `error`.
  void meet(const float* scores, int64_t first, int64_t count, const float* gallery, int64_t dim, double error) {
    for (int64_t i = 0; i < count; ++i) {
      const double upper = scores[i] + error;
      const double lower = scores[i] - error;
      auto place =
          std::partition_point(hits_.begin(), hits_.end(), [&](const Scored& hit) { return hit.score > upper; });
      const bool certain = lower <= upper && (place == hits_.end() || place->score < lower);
      if (!certain) {
        const Scored own{score_of(query_, gallery + (first + i) * dim, dim), first + i};
        place = std::lower_bound(hits_.begin(), hits_.end(), own);
      }
      ++passed_[static_cast<size_t>(place - hits_.begin())];
    }
  }

  HitRanks finish() const {
    HitRanks result;
    int64_t rank = 0;  // rows up to the hit, itself among them: it passed the hits before it and no more
    for (size_t i = 0; i < hits_.size(); ++i) {
      rank += passed_[i];
      if (i == 0) result.first = rank;
      result.precision += static_cast<double>(i + 1) / static_cast<double>(rank);
    }
    if (!hits_.empty()) result.precision /= static_cast<double>(hits_.size());
    return result;
  }

 private:
  const float* query_ = nullptr;
  std::vector<Scored> hits_;     // nearest first
  std::vector<int64_t> passed_;  // rows that stand behind so many hits
};

}  // namespace

std::vector<HitRanks> rank_hits(const at::Tensor& gallery, const at::Tensor& queries,
                                const std::vector<const std::vector<int64_t>*>& hits) {
  const at::NoGradGuard no_grad;
  const at::Tensor base = gallery.detach().to(torch::kFloat32).contiguous();
  const at::Tensor asked = queries.detach().to(torch::kFloat32).contiguous();
  const int64_t rows = base.size(0);
  const int64_t dim = base.size(1);
  check(std::ssize(hits) == asked.size(0), "rank_hits: a list of hits for every query");
  const auto* values = base.const_data_ptr<float>();
  const auto* wanted = asked.const_data_ptr<float>();
  std::vector<float> lengths(static_cast<size_t>(rows));
  at::parallel_for(0, rows, 256, [&](int64_t from, int64_t to) {
    for (int64_t i = from; i < to; ++i) lengths[static_cast<size_t>(i)] = measure_row(values + i * dim, dim).length;
  });
  std::vector<HitRanks> result(hits.size());
  const int64_t blocks = (asked.size(0) + kQueries - 1) / kQueries;
  at::parallel_for(0, blocks, 1, [&](int64_t from, int64_t to) {
    std::vector<Standing> standing(static_cast<size_t>(kQueries));
    for (int64_t start = from * kQueries; start < std::min(to * kQueries, asked.size(0)); start += kQueries) {
      const int64_t stop = std::min(start + kQueries, asked.size(0));
      const auto hits_of = [&](int64_t q) { return hits[static_cast<size_t>(q)]; };
      for (int64_t q = start; q < stop; ++q) {
        if (hits_of(q)) standing[static_cast<size_t>(q - start)].start(wanted + q * dim, *hits_of(q), values, dim);
      }
      for (int64_t first = 0; first < rows; first += kGallery) {
        const int64_t count = std::min(kGallery, rows - first);
        const auto length = lengths.begin() + first;
        const double longest = *std::max_element(length, length + count);
        const at::Tensor scores = at::mm(asked.slice(0, start, stop), base.slice(0, first, first + count).t());
        for (int64_t q = start; q < stop; ++q) {
          if (!hits_of(q)) continue;
          const double error = product_error(measure_row(wanted + q * dim, dim).length, longest, dim);
          standing[static_cast<size_t>(q - start)].meet(scores.const_data_ptr<float>() + (q - start) * count, first,
                                                        count, values, dim, error);
        }
      }
      for (int64_t q = start; q < stop; ++q) {
        if (hits_of(q)) result[static_cast<size_t>(q)] = standing[static_cast<size_t>(q - start)].finish();
      }
    }
  });
  return result;
}

}  // namespace cstp
