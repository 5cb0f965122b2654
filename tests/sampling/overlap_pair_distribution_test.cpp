/// Label distributions of pair sampling: exact ones by enumeration of the released rule, drawn ones within four
/// standard deviations of the values measured on the released code.
#include <gtest/gtest.h>

#include <array>
#include <cmath>

#include "cstp/sampling/label_histogram.h"
#include "cstp/sampling/overlap_pair.h"

namespace cstp {
namespace {

constexpr int64_t kDraws = 120000;
using Shares = std::array<double, 5>;

VideoInfo video(int64_t frames, int64_t width = 341, int64_t height = 256) {
  return {.frames = frames, .fps = 25, .width = width, .height = height, .seconds = 1};
}

/// P(class) of the released rule: for every start of clip 1, classes weigh as many of their two directions as fit.
Shares enumerate_released(int64_t frames, int64_t span) {
  Shares shares{};
  const int64_t starts = frames - span;
  if (starts <= 0) return {1, 0, 0, 0, 0};
  for (int64_t a = 0; a < starts; ++a) {
    Shares weight{};
    double sum = 0;
    for (int64_t c = 0; c < 5; ++c) {
      const int64_t shift = temporal_shift(c, span, true);
      weight[static_cast<size_t>(c)] = (a - shift >= 0 ? 1.0 : 0.0) + (a + shift < starts ? 1.0 : 0.0);
      sum += weight[static_cast<size_t>(c)];
    }
    for (size_t c = 0; c < 5; ++c) shares[c] += weight[c] / sum / static_cast<double>(starts);
  }
  return shares;
}

Shares over_all_rates(int64_t frames) {
  Shares shares{};
  const int64_t rates = max_rate_class(frames, 16, 3) + 1;
  for (int64_t rate = 0; rate < rates; ++rate) {
    const Shares one = enumerate_released(frames, 15 << rate);
    for (size_t c = 0; c < 5; ++c) shares[c] += one[c] / static_cast<double>(rates);
  }
  return shares;
}

double entropy(const Shares& shares) {
  double sum = 0;
  for (const double p : shares) sum -= p > 0 ? p * std::log(p) : 0;
  return sum;
}

void expect_shares(const Shares& found, const Shares& wanted, double tolerance) {
  for (size_t c = 0; c < 5; ++c) EXPECT_NEAR(found[c], wanted[c], tolerance) << "class " << c;
}

/// Counts against shares that are known to `rounding`, within four standard deviations.
void expect_drawn(const LabelHistogram& histogram, const Shares& wanted, double rounding) {
  const auto counts = histogram.counts();
  const auto total = static_cast<double>(histogram.total());
  for (size_t c = 0; c < 5; ++c) {
    const double p = wanted[c];
    EXPECT_NEAR(static_cast<double>(counts[c]) / total, p, 4 * std::sqrt(p * (1 - p) / total) + rounding)
        << "class " << c;
  }
}

TEST(ReleasedTemporalLabels, HaveTheExactDistribution) {
  expect_shares(enumerate_released(165, 60), {0.265669, 0.230748, 0.195374, 0.166803, 0.141406}, 6e-7);
  expect_shares(enumerate_released(76, 60), {0.791667, 0.208333, 0, 0, 0}, 6e-7);
  expect_shares(enumerate_released(165, 120), {0.674074, 0.325926, 0, 0, 0}, 6e-7);
  expect_shares(over_all_rates(300), {0.231159, 0.214563, 0.197919, 0.184414, 0.171946}, 6e-7);
  expect_shares(over_all_rates(165), {0.343986, 0.244021, 0.148088, 0.136917, 0.126988}, 6e-7);
  EXPECT_NEAR(entropy(over_all_rates(300)), 1.603909, 6e-7);
  EXPECT_NEAR(entropy(over_all_rates(165)), 1.528422, 6e-7);
}

TEST(ReleasedTemporalLabels, AreDrawnFromThatDistribution) {
  OverlapPairOptions options;
  options.preset = "released";
  for (const int64_t frames : {76, 165, 300}) {
    LabelHistogram all("temporal", 5), at_stride_4("temporal", 5);
    Rng rng(21, static_cast<uint64_t>(frames));
    for (int64_t i = 0; i < kDraws; ++i) {
      const SamplePlan plan = draw_overlap_pair(video(frames), options, rng);
      all.add(plan.overlap->temporal);
      if (plan.overlap->rate == 2) at_stride_4.add(plan.overlap->temporal);
    }
    expect_drawn(all, over_all_rates(frames), 0);
    expect_drawn(at_stride_4, enumerate_released(frames, 60), 0);
  }
}

TEST(ReleasedSpatialLabels, AreTwoThirdsClassZeroAndTellTheCropSize) {
  OverlapPairOptions options;
  options.preset = "released";
  options.rotation = false;
  LabelHistogram wide("spatial", 5), narrow("spatial", 5);
  Shares area{};
  Rng rng(22);
  for (int64_t i = 0; i < kDraws; ++i) {
    const SamplePlan plan = draw_overlap_pair(video(300), options, rng);
    narrow.add(plan.overlap->spatial);
    area[static_cast<size_t>(plan.overlap->spatial)] += plan.views[0].crop.w * plan.views[0].crop.h;
    wide.add(draw_overlap_pair(video(300, 569, 320), options, rng).overlap->spatial);
  }
  // The reference shares were themselves measured (400k draws), hence 0.0005 of rounding and 4 sigma of theirs.
  expect_drawn(narrow, {0.664, 0.207, 0.085, 0.034, 0.010}, 0.0035);
  expect_drawn(wide, {0.647, 0.214, 0.092, 0.036, 0.010}, 0.0035);
  EXPECT_NEAR(narrow.entropy(), 0.968, 0.01);
  const Shares wanted = {0.56, 0.41, 0.34, 0.30, 0.26};
  for (size_t c = 0; c < 5; ++c) EXPECT_NEAR(area[c] / static_cast<double>(narrow.counts()[c]), wanted[c], 0.01);
}

TEST(ReleasedSpatialLabels, DoNotDescribeTheContentWhereTheTurnsDiffer) {
  OverlapPairOptions options;
  options.preset = "released";
  std::array<Shares, 3> overlap{};  // turns equal, a quarter apart, half apart
  std::array<Shares, 3> count{};
  double quarter = 0, outside = 0;
  Rng rng(23);
  for (int64_t i = 0; i < kDraws; ++i) {
    const SamplePlan plan = draw_overlap_pair(video(300), options, rng);
    const OverlapLabels& labels = *plan.overlap;
    const int64_t apart = (labels.turns[0] - labels.turns[1] + 4) % 4;
    const size_t group = apart == 0 ? 0 : apart == 2 ? 2 : 1;
    const auto c = static_cast<size_t>(labels.spatial);
    overlap[group][c] += labels.spatial_overlap;
    count[group][c] += 1;
    if (group != 1) continue;
    const CropBox& box = plan.views[1].crop;
    ++quarter;
    if (box.x < 0 || box.y < 0 || box.x + box.w > 1 + 1e-12 || box.y + box.h > 1 + 1e-12) ++outside;
  }
  const std::array<Shares, 3> wanted = {Shares{1.0, 0.80, 0.60, 0.40, 0.20}, Shares{0.60, 0.60, 0.58, 0.52, 0.45},
                                        Shares{0.62, 0.54, 0.51, 0.52, 0.54}};
  for (size_t group = 0; group < 3; ++group) {
    for (size_t c = 0; c < 5; ++c) {  // few draws are half apart with class 4
      EXPECT_NEAR(overlap[group][c] / count[group][c], wanted[group][c], 0.015 + 1 / std::sqrt(count[group][c]))
          << "group " << group << " class " << c;
    }
  }
  EXPECT_NEAR(outside / quarter, 0.55, 0.01);
}

TEST(CleanLabels, AreUniformOnLongVideosGivenEnoughTries) {
  OverlapPairOptions options;
  options.tries = 1000;
  OverlapHistogram histogram;
  Rng rng(24);
  for (int64_t i = 0; i < kDraws; ++i) histogram.add(*draw_overlap_pair(video(1000), options, rng).overlap);
  const Shares uniform = {0.2, 0.2, 0.2, 0.2, 0.2};
  expect_drawn(histogram.spatial, uniform, 0);
  expect_drawn(histogram.temporal, uniform, 0);
  EXPECT_EQ(histogram.fallbacks(), 0);
  EXPECT_NEAR(histogram.spatial.entropy(), std::log(5.0), 1e-3);
  for (const LabelHistogram* four : {&histogram.rate, &histogram.turns}) {
    for (const int64_t count : four->counts()) {
      EXPECT_NEAR(static_cast<double>(count) / static_cast<double>(four->total()), 0.25,
                  4 * std::sqrt(0.25 * 0.75 / static_cast<double>(four->total())));
    }
  }
}

TEST(CleanLabels, FallBackToClassZeroAfterFiftyTriesAndSaySo) {
  // Measured: class 4 needs a small first crop in the right place, and is not found in 50 tries for a quarter of its
  // draws.
  OverlapHistogram whole, small;
  OverlapPairOptions options;
  Rng rng(25);
  for (int64_t i = 0; i < kDraws; ++i) whole.add(*draw_overlap_pair(video(1000), options, rng).overlap);
  options.crop_area_max = 0.35;
  for (int64_t i = 0; i < kDraws; ++i) small.add(*draw_overlap_pair(video(1000), options, rng).overlap);
  EXPECT_NEAR(static_cast<double>(whole.fallbacks()) / kDraws, 0.056, 0.006);
  EXPECT_LT(static_cast<double>(small.fallbacks()) / kDraws, 0.004);
  const auto counts = whole.spatial.counts();
  EXPECT_NEAR(static_cast<double>(counts[0] - counts[1]) / kDraws, 0.056, 0.008);  // what falls back is class 0
}

}  // namespace
}  // namespace cstp
