/// The 14 motion statistics of STS: where in a clip the motion boundary is largest, which way it points, and when.
///
/// Source: Wang et al., "Self-supervised Video Representation Learning by Uncovering Spatio-temporal Statistics" (arXiv
/// 2008.13426), by the specification of STS, sections 3 and 6, which was checked against the authors' released code.
/// A motion boundary is the gradient of the flow, so a camera that moves as a whole adds nothing to it.
#pragma once
#include <array>
#include <cstdint>
#include <span>

#include "cstp/objectives/sts_patterns.h"

namespace cstp {

/// 3x3 Prewitt, unnormalised, as a convolution (so its sign is opposite to the derivative), edges mirrored:
/// gx(y,x) = sum of column x-1 less sum of column x+1 over rows y-1..y+1; gy the same with rows and columns exchanged.
/// @param field, gx, gy [height,width]
void prewitt(std::span<const float> field, int64_t height, int64_t width, std::span<float> gx, std::span<float> gy);

/// Sum over the pixels of a field of the length of its gradient.
double boundary_sum(std::span<const float> field, int64_t height, int64_t width);

/// Adds a gradient to the bins of 0, 45, ..., 315 degrees: shared by the two nearest, weighted by its length.
void add_orientation(float gx, float gy, std::array<double, 8>& histogram);
std::array<double, 8> orientation_histogram(std::span<const float> gx, std::span<const float> gy, const Block& block);

/// Labels from 1: {location, orientation} of u, then of v, for P1, P2 and P3; then the field with most motion, of u and
/// of v. Questions that are not asked are answered 0. Where nothing moves: P1 0, the others 1 (as released).
/// @param u, v [fields,S,S], S = patterns.size; the boundaries of all fields are summed
/// @param asked the last answers look at this many first fields (released code: T-1, although it sums T)
std::array<int64_t, 14> motion_labels(const StsPatterns& patterns, const StsParts& parts, std::span<const float> u,
                                      std::span<const float> v, int64_t fields, int64_t asked);

}  // namespace cstp
