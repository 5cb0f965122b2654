/// How a learning rate is chosen: on a held-out tenth of the training videos, never on test.
#pragma once
#include <ATen/core/Tensor.h>

#include <cstdint>
#include <functional>
#include <optional>
#include <string>
#include <vector>

namespace cstp {

/// Rows in ascending order.
struct HeldOut {
  std::vector<int64_t> fit, held_out;
};
/// A tenth of every class (at least one of two), drawn by seed. Groups are never cut: whole groups are drawn until a
/// tenth of the class is reached, and never more than half of it; a class of one group, or of one video, is all fitted
/// on.
/// @param groups of each row, meant within its class ("" = a group of its own); empty: every row is a group of its own
HeldOut hold_out_a_tenth(const at::Tensor& labels, const std::vector<std::string>& groups, uint64_t seed);

struct RateTrial {
  double lr = 0;
  std::optional<double> accuracy;  ///< on the held-out tenth; absent if training diverged or nothing decoded
};
struct RateChoice {
  double lr = 0;
  std::vector<RateTrial> trials;  ///< empty where there was nothing to choose
};
/// The rate with the best accuracy; of equals, the one that stands first. A rate whose training throws NumericError
/// loses. If none gives a number, the first rate is taken, with a warning.
/// @param accuracy trains without the held-out tenth and scores it
RateChoice choose_rate(const std::vector<double>& rates,
                       const std::function<std::optional<double>(double lr)>& accuracy);

}  // namespace cstp
