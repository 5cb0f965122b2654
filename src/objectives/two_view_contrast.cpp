#include "two_view_contrast.h"

#include <ATen/ATen.h>
#include <c10/core/impl/LocalDispatchKeySet.h>

#include <limits>

#include "contrast.h"
#include "cstp/core/error.h"
#include "cstp/distributed/gather.h"

namespace cstp {
namespace {

using NoAutocast = c10::impl::ExcludeDispatchKeyGuard;

/// Columns of the anchors' own videos: first, first+1, ...
at::Tensor own_columns(const at::Tensor& anchors, int64_t first) {
  return at::arange(first, first + anchors.size(0), anchors.options().dtype(at::kLong));
}

}  // namespace

at::Tensor anchor_losses(const at::Tensor& anchors, const at::Tensor& own, const at::Tensor& other, int64_t first,
                         double temperature) {
  const NoAutocast f32(c10::autocast_dispatch_keyset);
  const at::Tensor columns = own_columns(anchors, first);
  const at::Tensor self = columns.unsqueeze(1) == at::arange(own.size(0), columns.options());  // [n,M]
  // The released code takes 1e9 from an anchor's product with itself, which leaves exp() nothing either.
  const at::Tensor same_view =
      (anchors.mm(own.t()) / temperature).masked_fill(self, -std::numeric_limits<double>::infinity());
  const at::Tensor logits = at::cat({anchors.mm(other.t()) / temperature, same_view}, 1);  // [n,2M]
  return at::cross_entropy_loss(logits, columns, {}, at::Reduction::None);
}

TwoViewTerms two_view_contrast(const at::Tensor& z, double temperature, const World& world) {
  const NoAutocast f32(c10::autocast_dispatch_keyset);
  check(z.dim() == 2 && z.size(0) % 2 == 0, "two_view_contrast: the rows are no pairs");
  const int64_t videos = z.size(0) / 2;
  const int64_t first = world.rank * videos;
  const at::Tensor unit = unit_rows(z);
  const at::Tensor a = unit.narrow(0, 0, videos);  // [n,D]
  const at::Tensor b = unit.narrow(0, videos, videos);
  const at::Tensor all_a = gather(a, world);  // [M,D]
  const at::Tensor all_b = gather(b, world);
  TwoViewTerms terms;
  terms.loss_a = anchor_losses(a, all_a, all_b, first, temperature).mean();
  terms.loss_b = anchor_losses(b, all_b, all_a, first, temperature).mean();
  const at::Tensor scores = a.detach().mm(all_b.detach().t()) / temperature;  // [n,M]
  terms.accuracy = (scores.argmax(1) == own_columns(a, first)).to(scores.scalar_type()).mean();
  terms.entropy = -(scores.softmax(1) * scores.log_softmax(1)).sum(1).mean();
  return terms;
}

}  // namespace cstp
