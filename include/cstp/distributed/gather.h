/// Rows of every rank, with gradient: in-batch negatives come from the whole global batch.
#pragma once
#include <ATen/core/Tensor.h>

#include "cstp/distributed/world.h"

namespace cstp {

/// Rows of all ranks in rank order: [n,...] -> [size*n,...]; in a world of one, `rows` itself. Every rank must pass the
/// same shape. Backward: the gradients of all ranks are summed, and each rank gets the slice of its own rows; so a loss
/// that is the mean over a rank's own anchors has, averaged over ranks, the gradient of the mean over all anchors.
at::Tensor gather(const at::Tensor& rows, const World& world);

}  // namespace cstp
