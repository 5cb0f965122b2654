/// Rows of every rank, with gradient: in-batch negatives come from the whole global batch.
#pragma once
#include <ATen/core/Tensor.h>

#include "cstp/distributed/world.h"

namespace cstp {

/// Rows of all ranks in rank order: [n,...] -> [size*n,...]; in a world of one, `rows` itself. Every rank must pass the
/// same shape. Backward: the gradients of all ranks are summed, and each rank gets the slice of its own rows; so a loss
/// that is the mean over a rank's own anchors has, averaged over ranks, the gradient of the mean over all anchors.
at::Tensor gather(const at::Tensor& rows, const World& world);

/// The same, in the order that the joined batch has on one rank. @param rows view-major [V*b,...]; @return [V*B,...],
/// view-major, videos in rank order within a view
at::Tensor gather_views_in_order(const at::Tensor& rows, int64_t views, const World& world);

}  // namespace cstp
