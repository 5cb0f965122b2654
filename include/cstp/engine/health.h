/// Representation health: numbers that show a collapse which the loss hides, and the guard that stops a run on one.
///
/// Sources: effective rank: Garrido et al., "RankMe: Assessing the Downstream Performance of Pretrained Self-Supervised
/// Representations by Their Rank", ICML 2023. Alignment and uniformity: Wang and Isola, "Understanding Contrastive
/// Representation Learning through Alignment and Uniformity on the Hypersphere", ICML 2020.
/// Differs from RankMe: rows are brought to unit length first, as the other numbers want them.
#pragma once
#include <ATen/core/Tensor.h>

#include <algorithm>
#include <cstdint>
#include <deque>
#include <optional>
#include <string>
#include <utility>

#include "cstp/distributed/world.h"

namespace cstp {

/// Of N rows of C numbers, brought to unit length.
struct Health {
  double std = 0;   ///< of the newest steps: mean over dimensions of the spread within a step, times sqrt(C): 0
                    ///< collapsed, 1 isotropic
  double rank = 0;  ///< exp of the entropy of the normalised singular values: 1 a line, at most rank_ceiling
  int64_t rank_ceiling = 0;  ///< min(N, C)
  std::optional<double>
      alignment;          ///< mean |x - y|^2 of two views of a video: 0 same, 2 unrelated; absent for one view
  double uniformity = 0;  ///< log mean exp(-2 |x - x'|^2) over pairs of videos: 0 all alike, -4 spread over the sphere
  int64_t rows = 0;       ///< N

  /// JSON members for metrics.jsonl; what is not finite is null.
  std::string json() const;
  /// For people: "std 0.62  rank 31/128".
  std::string line() const;
};

/// The embeddings of the last steps, whole steps only. They stay on their device: adding reads nothing back.
class HealthWindow {
 public:
  static constexpr int64_t kRows = 1024;      ///< at most
  static constexpr int64_t kNewestRows = 32;  ///< at least so many tell the std, which so follows the run closely

  /// @param world ranks that share the window: each keeps its part of kRows, and they are joined when it is measured
  explicit HealthWindow(World world = {}) : world_(std::move(world)) {}

  /// @param embeddings [V*B,C], view-major, without gradient; of a step with more than kRows rows the first videos
  /// count
  /// @param videos B
  void add(const at::Tensor& embeddings, int64_t videos);
  /// The same on every rank; all must ask. Costs a matrix product and the eigenvalues of a min(N,C)-square matrix, and
  /// waits for the device.
  Health measure() const;
  bool empty() const { return steps_.empty(); }

 private:
  Health measured() const;
  int64_t most_rows() const { return std::max<int64_t>(1, kRows / world_.size); }

  World world_;
  std::deque<at::Tensor> steps_;  ///< [V,B,C] f32 each
  int64_t rows_ = 0;
};

/// Stops a run whose embeddings have become all alike.
class CollapseGuard {
 public:
  /// @param std, rank below either, a report is low; 0 = never
  /// @param reports low ones in a row that make a collapse; 0 = no guard
  /// @param quiet steps of warm-up in which nothing is low
  CollapseGuard(double std, double rank, int64_t reports, int64_t quiet)
      : std_(std), rank_(rank), reports_(reports), quiet_(quiet) {}

  bool low(const Health& health, int64_t step) const;
  /// @throws NumericError at the last of the low reports: what collapsed, the numbers, where to go back to, what to try
  void observe(const Health& health, int64_t step, const std::string& last_good_checkpoint);

 private:
  double std_, rank_;
  int64_t reports_, quiet_, low_in_a_row_ = 0;
};

}  // namespace cstp
