/// The gap in time between the two clips of a pair, drawn from a law by name: near clips more often than far ones.
///
/// Source: Qian et al., "Spatiotemporal Contrastive Video Representation Learning", CVPR 2021: its figure of sampling
/// distributions and the authors' released code. The running text of the paper was not at hand.
#pragma once
#include <cstdint>
#include <string>
#include <vector>

#include "cstp/core/random.h"
#include "cstp/sampling/plan.h"
#include "cstp/video/frame.h"

namespace cstp {

/// Densities over gaps t in [0,T], x = t/T; the letter is that of the paper's figure.
enum class GapLaw : uint8_t {
  linear,                  ///< (a) 2/T (1 - x): the method
  sqrt,                    ///< (b) 3/T (1 - x^0.5)
  quadratic,               ///< (c) 3/(2T) (1 - x^2)
  uniform,                 ///< (d) 1/T
  increasing_linear,       ///< (e) 2/T x
  increasing_sqrt_mirror,  ///< (f) as drawn: 3/T (1 - (1-x)^0.5), the mirror of (b)
  increasing_quadratic,    ///< (f) as printed: 3/T x^2
};

/// Names of the laws, in the order of the enum.
const std::vector<std::string>& gap_law_names();
/// Requires one of those names.
GapLaw gap_law(const std::string& name);

double gap_density(GapLaw law, double t, int64_t starts);
/// F(k), the share of gaps below k frames, 0 <= k <= T.
double gap_cdf(GapLaw law, int64_t k, int64_t starts);
/// The gap with F(gap) <= u < F(gap + 1), at most T-1. @param starts T >= 1 legal start positions; @param u in [0,1)
int64_t gap_at(GapLaw law, int64_t starts, double u);
/// Exact law of gap_at() for a uniform u: P(gap = j) = F(j+1) - F(j), j = 0..T-1.
std::vector<double> gap_probabilities(GapLaw law, int64_t starts);

/// Where the two clips of a pair begin, and whether the video is long enough for the gap to count.
struct PairStarts {
  int64_t first = 0, second = 0;
  bool short_video = false;  ///< N <= R: both starts are uniform in [0,N) and the clips wrap around
};
/// Gap by the law, the earlier start uniform among those that leave room, exchanged with probability 1/2: the two views
/// have different colour recipes. @param span R = (T-1)*stride source frames. @throws DataError if the video is empty
PairStarts draw_pair_starts(const VideoInfo& video, int64_t span, GapLaw law, Rng& rng);

/// T frame numbers (start + i*stride) mod N.
std::vector<int64_t> wrapped_frames(int64_t start, int64_t frames, int64_t stride, int64_t video_frames);

}  // namespace cstp
