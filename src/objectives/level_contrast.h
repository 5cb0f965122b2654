/// Contrast of two views level by level: how a stage map is pooled, the loss of a pair of views, the invariance of a
/// level, and the weights of levels. HDC is put together from these; see hdc.cpp for the source.
///
/// S is the number of vectors that a clip has at a level: its time steps, or 1.
#pragma once
#include <ATen/core/Tensor.h>

#include <cstdint>
#include <string>
#include <vector>

namespace cstp {

/// Stage map [N,C,T,H,W] -> [N,S,D], f32 (or f64). "per_step": mean over space, S = T, D = C; "flatten": the same with
/// the steps side by side, S = 1, D = T*C; "3d": mean over space and time, S = 1, D = C.
at::Tensor pool_map(const at::Tensor& map, const std::string& pool);

/// Vectors of unit length: unit_rows() over the last of three dimensions.
at::Tensor unit_vectors(const at::Tensor& x);

struct PairScores {
  at::Tensor loss;         ///< [] f32 (or f64), with gradient; the rest is detached
  at::Tensor top1;         ///< [] share of anchors whose nearest candidate is their positive
  int64_t candidates = 0;  ///< of an anchor, so a guess finds it once in so many
  at::Tensor positive;     ///< [] mean cosine of matching pairs
  at::Tensor negative;     ///< [] mean cosine of the two views of unlike videos
};

/// Instance discrimination between two views, step by step: a step's candidates are the same step of other videos.
/// ntxent: an anchor's candidates are all other clips, 1 positive and 2N - 2 negatives; cross_view: the N clips of the
/// opposite view. Natural logarithm; mean over both directions, anchors and steps.
/// @param p, @param q [N,S,D] unit vectors of either view, videos of all ranks
/// @param first, @param count the videos whose clips are anchors: a rank's own
PairScores score_pair(const at::Tensor& p, const at::Tensor& q, int64_t first, int64_t count, double temperature,
                      const std::string& contrast);

/// What a rank knows of a level's invariance, to be added up over ranks: [2*S*D + 1].
/// @param p, @param q [n,S,D] pooled features of either view, before any head; brought to unit length here
at::Tensor invariance_sums(const at::Tensor& p, const at::Tensor& q);
/// I = mean cosine of matching pairs - mean cosine of the two views of unlike videos, mean over steps. []
/// @param sums added up; @param videos of all ranks
at::Tensor invariance_of(const at::Tensor& sums, int64_t steps, int64_t videos);

/// The invariance of past batches and of this one: momentum * before + (1 - momentum) * now; `now` itself where no
/// batch was before. @param before, @param now [K]; @param batches [1] seen before
at::Tensor running_invariance(const at::Tensor& before, const at::Tensor& now, const at::Tensor& batches,
                              double momentum);

/// Level weights that add up to 1, shallow to deep. uniform: 1; linear: k; geometric: gamma^(K-k); k = 1..K.
std::vector<double> level_weights(const std::string& scheme, size_t levels, double gamma);
/// max(I_k, epsilon), normalised; without gradient. [K] -> [K]
at::Tensor measured_level_weights(const at::Tensor& invariance, double epsilon);

}  // namespace cstp
