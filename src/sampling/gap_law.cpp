#include "cstp/sampling/gap_law.h"

#include <algorithm>
#include <cmath>
#include <utility>

#include "cstp/core/error.h"
#include "cstp/core/text.h"

namespace cstp {
namespace {

/// The power p of the decreasing laws (p+1)/(pT) (1 - x^p); 0 for the others.
double decreasing_power(GapLaw law) {
  switch (law) {
    case GapLaw::linear: return 1.0;
    case GapLaw::sqrt: return 0.5;
    case GapLaw::quadratic: return 2.0;
    default: return 0.0;
  }
}

/// First guess of the gap at u where the law can be inverted by a formula; -1 where it cannot.
double closed_form(GapLaw law, double starts, double u) {
  switch (law) {
    case GapLaw::linear: return starts * (1 - std::sqrt(1 - u));
    case GapLaw::uniform: return starts * u;
    case GapLaw::increasing_linear: return starts * std::sqrt(u);
    case GapLaw::increasing_quadratic: return starts * std::cbrt(u);
    default: return -1.0;
  }
}

}  // namespace

const std::vector<std::string>& gap_law_names() {
  static const std::vector<std::string> names = {
      "linear", "sqrt", "quadratic", "uniform", "increasing_linear", "increasing_sqrt_mirror", "increasing_quadratic"};
  return names;
}

GapLaw gap_law(const std::string& name) {
  const auto found = std::find(gap_law_names().begin(), gap_law_names().end(), name);
  check(found != gap_law_names().end(), cat("gap_law: there is no law '", name, "'"));
  return static_cast<GapLaw>(found - gap_law_names().begin());
}

double gap_density(GapLaw law, double t, int64_t starts) {
  const auto length = static_cast<double>(starts);
  const double x = t / length;
  switch (law) {
    case GapLaw::uniform: return 1 / length;
    case GapLaw::increasing_linear: return 2 * x / length;
    case GapLaw::increasing_sqrt_mirror: return 3 * (1 - std::sqrt(1 - x)) / length;
    case GapLaw::increasing_quadratic: return 3 * x * x / length;
    default: break;
  }
  const double p = decreasing_power(law);
  return (p + 1) / (p * length) * (1 - std::pow(x, p));
}

double gap_cdf(GapLaw law, int64_t k, int64_t starts) {
  check(starts >= 1 && k >= 0 && k <= starts, "gap_cdf: the gap is outside the video");
  const auto length = static_cast<double>(starts);
  const auto gap = static_cast<double>(k);
  const double x = gap / length;
  switch (law) {
    // Whole numbers up to the last division, so that a u such as 0.99 meets its step exactly.
    case GapLaw::linear: return gap * (2 * length - gap) / (length * length);
    case GapLaw::uniform: return x;
    case GapLaw::increasing_linear: return gap * gap / (length * length);
    case GapLaw::increasing_sqrt_mirror: return 3 * x - 2 * (1 - std::pow(1 - x, 1.5));
    case GapLaw::increasing_quadratic: return gap * gap * gap / (length * length * length);
    default: break;
  }
  const double p = decreasing_power(law);
  return (p + 1) / p * x - std::pow(x, p + 1) / p;
}

int64_t gap_at(GapLaw law, int64_t starts, double u) {
  check(starts >= 1 && u >= 0 && u < 1, "gap_at: nothing to draw from");
  int64_t low = 0;
  int64_t high = starts;  // F(low) <= u < F(high)
  if (const double guess = closed_form(law, static_cast<double>(starts), u); guess >= 0) {
    // The formula is at most one off by rounding.
    const int64_t near = std::clamp<int64_t>(static_cast<int64_t>(guess), 0, starts - 1);
    low = std::max<int64_t>(0, near - 1);
    high = std::min(starts, near + 2);
  }
  while (high - low > 1) {
    const int64_t middle = low + (high - low) / 2;
    (gap_cdf(law, middle, starts) <= u ? low : high) = middle;
  }
  return std::min(low, starts - 1);
}

std::vector<double> gap_probabilities(GapLaw law, int64_t starts) {
  std::vector<double> probabilities;
  for (int64_t j = 0; j < starts; ++j) probabilities.push_back(gap_cdf(law, j + 1, starts) - gap_cdf(law, j, starts));
  return probabilities;
}

PairStarts draw_pair_starts(const VideoInfo& video, int64_t span, GapLaw law, Rng& rng) {
  if (video.frames < 1) throw DataError("the video has no frames; leave it out of the training list");
  PairStarts starts;
  const int64_t legal = video.frames - span;
  if (legal <= 0) {
    starts.short_video = true;
    starts.first = rng.integer(0, video.frames - 1);
    starts.second = rng.integer(0, video.frames - 1);
    return starts;
  }
  const int64_t gap = gap_at(law, legal, rng.uniform());
  starts.first = rng.integer(0, legal - gap - 1);
  starts.second = starts.first + gap;
  if (rng.chance(0.5)) std::swap(starts.first, starts.second);
  return starts;
}

std::vector<int64_t> wrapped_frames(int64_t start, int64_t frames, int64_t stride, int64_t video_frames) {
  check(frames >= 1 && stride >= 1 && start >= 0 && start < video_frames, "wrapped_frames: window outside the video");
  std::vector<int64_t> numbers;
  for (int64_t i = 0; i < frames; ++i) numbers.push_back((start + i * stride) % video_frames);
  return numbers;
}

}  // namespace cstp
