/// InfoNCE over two views of every video, scored in both directions and over all ranks. Computed in f32 whatever the
/// autocast type (f64 stays f64).
///
/// Source: Qian et al., "Spatiotemporal Contrastive Video Representation Learning", CVPR 2021 (CVRL), in the released
/// code's form.
#pragma once
#include <ATen/core/Tensor.h>

#include "cstp/distributed/world.h"

namespace cstp {

/// -log softmax of each anchor's positive among [other view of all videos | own view of the others]: 2M-1 terms for M
/// videos. Anchor i is video first + i.
/// @param anchors [n,D] unit rows; @param own, other [M,D] unit rows of all videos in the anchors' and in the other
/// view
/// @return [n]
at::Tensor anchor_losses(const at::Tensor& anchors, const at::Tensor& own, const at::Tensor& other, int64_t first,
                         double temperature);

struct TwoViewTerms {
  at::Tensor loss_a, loss_b;     ///< [] means over this rank's anchors of either view, with gradient
  at::Tensor accuracy, entropy;  ///< [] of view-1 anchors against view 2 of all videos alone, detached
};
/// @param z [2n,D], rows [0,n) view 1 and [n,2n) view 2 of this rank's videos
TwoViewTerms two_view_contrast(const at::Tensor& z, double temperature, const World& world);

}  // namespace cstp
