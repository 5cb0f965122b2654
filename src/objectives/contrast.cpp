#include "contrast.h"

#include <ATen/ATen.h>
#include <c10/core/impl/LocalDispatchKeySet.h>

#include <limits>

#include "cstp/core/error.h"
#include "cstp/distributed/gather.h"

namespace cstp {
namespace {

using NoAutocast = c10::impl::ExcludeDispatchKeyGuard;

}  // namespace

at::Tensor at_least_f32(const at::Tensor& x) { return x.scalar_type() == at::kDouble ? x : x.to(at::kFloat); }

at::Tensor unit_rows(const at::Tensor& x) {
  const NoAutocast f32(c10::autocast_dispatch_keyset);
  const at::Tensor wide = at_least_f32(x);
  return wide / at::linalg_vector_norm(wide, 2, {1}, /*keepdim=*/true).clamp_min(1e-8);
}

at::Tensor other_clip(const at::Tensor& rows) {
  check(rows.size(0) % 2 == 0, "other_clip: the rows are no pairs");
  return at::roll(rows, {rows.size(0) / 2}, {0});
}

at::Tensor cosine_distance(const at::Tensor& q, const at::Tensor& z) {
  const NoAutocast f32(c10::autocast_dispatch_keyset);
  return 2 - 2 * (unit_rows(q) * unit_rows(z)).sum(1);
}

at::Tensor byol_loss(const at::Tensor& q, const at::Tensor& z) {
  const NoAutocast f32(c10::autocast_dispatch_keyset);
  return 2 * cosine_distance(q, other_clip(z)).mean();  // the mean is over 2B rows, the loss is a sum per video
}

at::Tensor info_nce(const at::Tensor& z, double temperature, const World& world) {
  const NoAutocast f32(c10::autocast_dispatch_keyset);
  const int64_t n = z.size(0);
  const int64_t first = world.rank * n;  // where this rank's rows stand among all
  const at::Tensor unit = unit_rows(z);
  const at::Tensor all = gather(unit, world);  // [W*2b,D]
  const at::Tensor self = at::zeros({n, all.size(0)}, unit.options().dtype(at::kBool));
  self.narrow(1, first, n).fill_diagonal_(true);
  const at::Tensor similarity =
      (unit.mm(all.t()) / temperature).masked_fill(self, -std::numeric_limits<double>::infinity());  // [2b,W*2b]
  return at::cross_entropy_loss(similarity, other_clip(at::arange(n, unit.options().dtype(at::kLong))) + first);
}

at::Tensor queue_info_nce(const at::Tensor& q, const at::Tensor& keys, const at::Tensor& queue, double temperature) {
  const NoAutocast f32(c10::autocast_dispatch_keyset);
  const at::Tensor unit = unit_rows(q);
  const at::Tensor positive = (unit * unit_rows(keys)).sum(1, /*keepdim=*/true);                // [N,1]
  const at::Tensor logits = at::cat({positive, unit.mm(queue.to(unit).t())}, 1) / temperature;  // [N,1+K]
  return at::cross_entropy_loss(logits, at::zeros({q.size(0)}, logits.options().dtype(at::kLong)));
}

}  // namespace cstp
