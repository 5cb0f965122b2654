/// One query on its way through the gallery: what may still be among its k nearest rows, and what is known of it.
#pragma once
#include <cstdint>
#include <limits>
#include <vector>

#include "score_scan.h"

namespace cstp {

struct Scored {
  double score = -std::numeric_limits<double>::infinity();
  int64_t row = -1;
  bool operator<(const Scored& other) const {  // nearer
    return score > other.score || (score == other.score && row < other.row);
  }
};

/// The score that the order goes by: exact_dot(), or -inf where that is no number.
double score_of(const float* query, const float* row, int64_t dim);

/// Meets the gallery's rows in ascending order, a block at a time. Its memory is O(k).
class RunningQuery {
 public:
  /// A row whose score lies between two bounds.
  struct Candidate {
    float lower = 0, upper = 0;
    int64_t row = 0;
  };

  void start(const float* query, RowLength length, int64_t k);
  RowLength length() const { return length_; }

  /// Scores (f32, or the bits of bf16) of the rows [first, first + count), off by no more than `error` plus `relative`
  /// parts of themselves. An error that is not finite says that they mean nothing.
  template <class Score>
  void meet(const Score* scores, int64_t first, int64_t count, const float* gallery, int64_t dim, float error,
            float relative);

  /// The min(k, rows met) nearest, in order. Call once, at the end.
  const std::vector<Scored>& finish(const float* gallery, int64_t dim);

  /// Rows that had to be scored one by one so far.
  int64_t scored() const { return scored_; }

 private:
  float threshold_of(float error, float relative) const;
  void meet_all(int64_t first, int64_t count, const float* gallery, int64_t dim);
  void raise_floor();
  void settle(const float* gallery, int64_t dim);

  const float* query_ = nullptr;
  RowLength length_;
  size_t k_ = 1, limit_ = 1;  // wanted; candidates that are kept at most
  int64_t scored_ = 0;
  float floor_ = -std::numeric_limits<float>::infinity();  // at least k rows score as much
  std::vector<Candidate> pending_;
  std::vector<Scored> best_;
};

}  // namespace cstp
