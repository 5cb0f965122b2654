#include "level_contrast.h"

#include <ATen/ATen.h>
#include <c10/core/impl/LocalDispatchKeySet.h>

#include <algorithm>
#include <cmath>
#include <limits>

#include "contrast.h"
#include "cstp/core/error.h"

namespace cstp {
namespace {

using NoAutocast = c10::impl::ExcludeDispatchKeyGuard;

/// Mean over all but the diagonal of [S,N,N] cosines, from their sum; 0 for a single video.
at::Tensor mean_of_unlike(const at::Tensor& all, const at::Tensor& matching, int64_t steps, int64_t pairs) {
  return (all - matching) / static_cast<double>(std::max<int64_t>(1, steps * pairs));
}

}  // namespace

at::Tensor pool_map(const at::Tensor& map, const std::string& pool) {
  const NoAutocast f32(c10::autocast_dispatch_keyset);
  const auto type = map.scalar_type() == at::kDouble ? at::kDouble : at::kFloat;
  if (pool == "3d") return map.mean({2, 3, 4}, /*keepdim=*/false, type).unsqueeze(1);  // [N,1,C]
  const at::Tensor steps = map.mean({3, 4}, /*keepdim=*/false, type).transpose(1, 2);  // [N,T,C]
  check(pool == "per_step" || pool == "flatten", "pool_map: unknown pooling");
  return pool == "per_step" ? steps : steps.flatten(1).unsqueeze(1);  // [N,T,C] or [N,1,T*C]
}

at::Tensor unit_vectors(const at::Tensor& x) { return unit_rows(x.flatten(0, 1)).view(x.sizes()); }

PairScores score_pair(const at::Tensor& p, const at::Tensor& q, int64_t first, int64_t count, double temperature,
                      const std::string& contrast) {
  const NoAutocast f32(c10::autocast_dispatch_keyset);
  const at::Tensor a = p.transpose(0, 1);  // [S,N,D]
  const at::Tensor b = q.transpose(0, 1);
  const int64_t steps = a.size(0);
  const int64_t videos = a.size(1);
  const auto cosines = [&](const at::Tensor& anchors, const at::Tensor& candidates) {
    return anchors.narrow(1, first, count).bmm(candidates.transpose(1, 2));  // [S,n,N]
  };
  const at::Tensor target =
      at::arange(first, first + count, a.options().dtype(at::kLong));  // [n] column of the positive
  const at::Tensor ab = cosines(a, b);
  at::Tensor rows_a = ab;
  at::Tensor rows_b = cosines(b, a);
  if (contrast == "ntxent") {  // also the clips of the anchor's own view, but for itself
    const at::Tensor self = at::arange(videos, target.options()) == target.unsqueeze(1);  // [n,N]
    const double never = -std::numeric_limits<double>::infinity();
    rows_a = at::cat({rows_a, cosines(a, a).masked_fill(self, never)}, 2);  // [S,n,2N]
    rows_b = at::cat({rows_b, cosines(b, b).masked_fill(self, never)}, 2);
  } else {
    check(contrast == "cross_view", "score_pair: unknown contrast");
  }
  const at::Tensor logits = at::cat({rows_a, rows_b}, 1).flatten(0, 1) / temperature;  // [S*2n, candidates]
  const at::Tensor targets = target.repeat({2 * steps});

  PairScores scores;
  scores.loss = at::cross_entropy_loss(logits, targets);
  const at::Tensor seen = ab.detach();
  const at::Tensor matching = seen.narrow(2, first, count).diagonal(0, 1, 2).sum();
  scores.top1 = (logits.detach().argmax(1) == targets).to(seen.scalar_type()).mean();
  scores.candidates = contrast == "ntxent" ? 2 * videos - 1 : videos;
  scores.positive = matching / static_cast<double>(steps * count);
  scores.negative = mean_of_unlike(seen.sum(), matching, steps, count * (videos - 1));
  return scores;
}

at::Tensor invariance_sums(const at::Tensor& p, const at::Tensor& q) {
  const NoAutocast f32(c10::autocast_dispatch_keyset);
  const at::Tensor a = unit_vectors(p.detach());
  const at::Tensor b = unit_vectors(q.detach());
  return at::cat({a.sum(0).flatten(), b.sum(0).flatten(), (a * b).sum().reshape({1})});
}

at::Tensor invariance_of(const at::Tensor& sums, int64_t steps, int64_t videos) {
  const NoAutocast f32(c10::autocast_dispatch_keyset);
  const int64_t width = (sums.size(0) - 1) / 2;
  const at::Tensor matching = sums[2 * width];
  const at::Tensor all = sums.narrow(0, 0, width).dot(sums.narrow(0, width, width));  // of all pairs: sum by sum
  return matching / static_cast<double>(steps * videos) - mean_of_unlike(all, matching, steps, videos * (videos - 1));
}

at::Tensor running_invariance(const at::Tensor& before, const at::Tensor& now, const at::Tensor& batches,
                              double momentum) {
  return at::where(batches == 0, now, before.lerp(now, 1 - momentum));
}

std::vector<double> level_weights(const std::string& scheme, size_t levels, double gamma) {
  std::vector<double> weights;
  double sum = 0;
  for (size_t k = 1; k <= levels; ++k) {
    check(scheme == "uniform" || scheme == "linear" || scheme == "geometric", "level_weights: unknown scheme");
    weights.push_back(scheme == "uniform"  ? 1
                      : scheme == "linear" ? static_cast<double>(k)
                                           : std::pow(gamma, static_cast<double>(levels - k)));
    sum += weights.back();
  }
  for (double& weight : weights) weight /= sum;
  return weights;
}

at::Tensor measured_level_weights(const at::Tensor& invariance, double epsilon) {
  const at::Tensor raw = invariance.detach().clamp_min(epsilon);
  return raw / raw.sum();
}

}  // namespace cstp
