// The numbers are the unit-checkable facts of CVRL's specification, and what follows from them.
#include "cstp/sampling/gap_law.h"

#include <gtest/gtest.h>

#include <array>
#include <cmath>
#include <map>
#include <numeric>

#include "cstp/core/error.h"

namespace cstp {
namespace {

VideoInfo video(int64_t frames) { return {.frames = frames, .fps = 25, .width = 340, .height = 256, .seconds = 1}; }

std::vector<GapLaw> every_law() {
  std::vector<GapLaw> laws;
  for (const std::string& name : gap_law_names()) laws.push_back(gap_law(name));
  return laws;
}

double mean_gap(GapLaw law, int64_t starts) {
  const std::vector<double> p = gap_probabilities(law, starts);
  double mean = 0;
  for (size_t j = 0; j < p.size(); ++j) mean += static_cast<double>(j) * p[j];
  return mean;
}

TEST(GapLaw, LinearOverTenStartsHasTheWorkedNumbers) {
  const std::vector<double> p = gap_probabilities(GapLaw::linear, 10);
  const std::vector<double> expected = {.19, .17, .15, .13, .11, .09, .07, .05, .03, .01};
  ASSERT_EQ(p.size(), expected.size());
  for (size_t j = 0; j < p.size(); ++j) EXPECT_NEAR(p[j], expected[j], 1e-12) << j;
  for (const auto& [k, f] : {std::pair{1, .19}, {2, .36}, {5, .75}, {9, .99}})
    EXPECT_NEAR(gap_cdf(GapLaw::linear, k, 10), f, 1e-12);
  EXPECT_NEAR(mean_gap(GapLaw::linear, 10), 2.85, 1e-12);
  for (const auto& [u, gap] : {std::pair{0.0, 0}, {.1, 0}, {.25, 1}, {.5, 2}, {.75, 5}, {.9, 6}, {.99, 9}, {.999, 9}})
    EXPECT_EQ(gap_at(GapLaw::linear, 10, u), gap) << u;
}

TEST(GapLaw, LinearOverTheStartsOfTenSecondsHasTheWorkedNumbers) {
  constexpr int64_t kStarts = 220;  // 250 frames, clips of 16 at stride 2
  for (const auto& [k, f] : {std::pair{22, .19}, {55, .4375}, {110, .75}, {165, .9375}})
    EXPECT_NEAR(gap_cdf(GapLaw::linear, k, kStarts), f, 1e-12);
  const std::vector<double> p = gap_probabilities(GapLaw::linear, kStarts);
  EXPECT_NEAR(p.front(), .0090702479, 5e-11);
  EXPECT_NEAR(p.back(), .0000206612, 5e-11);
  for (size_t j = 0; j < p.size(); ++j) ASSERT_NEAR(p[j], (2.0 * (220.0 - double(j)) - 1) / 48400, 1e-15);
  EXPECT_NEAR(mean_gap(GapLaw::linear, kStarts), 72.8340909, 5e-8);
  EXPECT_NEAR(std::accumulate(p.begin(), p.begin() + 31, 0.0), .26196, 5e-6);  // the time spans overlap
}

TEST(GapLaw, ThreePowersGiveTheWorkedGaps) {
  struct Row {
    double u;
    int64_t linear, sqrt, quadratic;
  };
  for (const Row& row : {Row{.1, 11, 8, 14}, Row{.25, 29, 23, 37}, Row{.5, 64, 55, 76}, Row{.75, 110, 99, 122},
                         Row{.9, 150, 142, 160}, Row{.99, 198, 194, 201}}) {
    EXPECT_EQ(gap_at(GapLaw::linear, 220, row.u), row.linear) << row.u;
    EXPECT_EQ(gap_at(GapLaw::sqrt, 220, row.u), row.sqrt) << row.u;
    EXPECT_EQ(gap_at(GapLaw::quadratic, 220, row.u), row.quadratic) << row.u;
  }
  const std::array<GapLaw, 3> laws = {GapLaw::linear, GapLaw::sqrt, GapLaw::quadratic};
  const std::array<double, 3> at_zero = {.0090909, .0136364, .0068182};
  const std::array<double, 3> half = {.75, .7928932, .6875};
  const std::array<double, 3> means = {72.8341, 65.5011, 82.0006};
  for (size_t i = 0; i < laws.size(); ++i) {
    EXPECT_NEAR(gap_density(laws[i], 0, 220), at_zero[i], 5e-8);
    EXPECT_NEAR(gap_cdf(laws[i], 110, 220), half[i], 5e-8);
    EXPECT_NEAR(mean_gap(laws[i], 220), means[i], 5e-5);
  }
}

TEST(GapLaw, TheDrawnIncreasingLawIsTheMirrorOfTheRoot) {  // values read off the paper's figure; T = 219
  const std::array<double, 4> drawn = {.0017, .0036, .0060, .0097};
  const std::array<double, 4> printed = {.0007, .0029, .0064, .0114};
  for (size_t i = 0; i < drawn.size(); ++i) {
    const double t = 50.0 * static_cast<double>(i + 1);
    EXPECT_NEAR(gap_density(GapLaw::increasing_sqrt_mirror, t, 219), drawn[i], 5e-5);
    EXPECT_NEAR(gap_density(GapLaw::increasing_quadratic, t, 219), printed[i], 5e-5);
    EXPECT_NEAR(gap_density(GapLaw::increasing_sqrt_mirror, t, 219), gap_density(GapLaw::sqrt, 219 - t, 219), 1e-12);
  }
}

TEST(GapLaw, EveryDistributionIsTheIntegralOfItsDensity) {
  for (const GapLaw law : every_law()) {
    double integral = 0;
    for (int64_t k = 1; k <= 20; ++k) {
      constexpr int kPieces = 20000;
      for (int i = 0; i < kPieces; ++i) integral += gap_density(law, double(k - 1) + (i + 0.5) / kPieces, 20) / kPieces;
      ASSERT_NEAR(gap_cdf(law, k, 20), integral, 1e-6) << gap_law_names()[static_cast<size_t>(law)] << " " << k;
    }
    EXPECT_NEAR(gap_cdf(law, 20, 20), 1, 1e-12);
  }
}

TEST(GapLaw, AGapIsTheOneWhoseShareHoldsTheDraw) {
  for (const GapLaw law : every_law()) {
    for (const int64_t starts : {1, 2, 3, 5, 10, 97, 220, 270}) {
      for (int i = 0; i < 2000; ++i) {
        const double u = i / 2000.0;
        const int64_t gap = gap_at(law, starts, u);
        ASSERT_GE(gap, 0);
        ASSERT_LT(gap, starts);
        ASSERT_LE(gap_cdf(law, gap, starts), u);
        ASSERT_GT(gap_cdf(law, gap + 1, starts), u);
      }
      EXPECT_EQ(gap_at(law, starts, 1 - 0x1p-53), starts - 1);
    }
  }
}

TEST(GapLaw, TheFormulaOfTheLinearLawIsTheBisection) {
  Rng rng(1);
  for (int i = 0; i < 20000; ++i) {
    const double u = rng.uniform();
    for (const int64_t starts : {1, 10, 220})
      ASSERT_EQ(gap_at(GapLaw::linear, starts, u),
                static_cast<int64_t>(static_cast<double>(starts) * (1 - std::sqrt(1 - u))));
  }
}

TEST(PairStarts, FollowTheLawAndLieInTheVideo) {
  constexpr int kDraws = 40000;
  constexpr int64_t kSpan = 30;
  for (const char* name : {"linear", "uniform", "increasing_linear"}) {
    Rng rng(7);
    std::vector<double> share(10);
    int swapped = 0;
    for (int i = 0; i < kDraws; ++i) {
      const PairStarts starts = draw_pair_starts(video(40), kSpan, gap_law(name), rng);  // T = 10
      ASSERT_FALSE(starts.short_video);
      ASSERT_GE(std::min(starts.first, starts.second), 0);
      ASSERT_LT(std::max(starts.first, starts.second) + kSpan, 40);
      share[static_cast<size_t>(std::abs(starts.first - starts.second))] += 1.0 / kDraws;
      swapped += starts.first > starts.second;
    }
    const std::vector<double> p = gap_probabilities(gap_law(name), 10);
    for (size_t j = 0; j < p.size(); ++j) EXPECT_NEAR(share[j], p[j], 0.01) << name << " " << j;
    EXPECT_NEAR(swapped / (kDraws * (1 - p[0])), 0.5, 0.02);
  }
}

TEST(PairStarts, OfAShortVideoAreIndependentAndItsClipsWrap) {
  Rng rng(2);
  std::map<std::pair<int64_t, int64_t>, int> seen;
  for (int i = 0; i < 9000; ++i) {
    const PairStarts starts = draw_pair_starts(video(3), 30, GapLaw::linear, rng);
    EXPECT_TRUE(starts.short_video);
    ++seen[{starts.first, starts.second}];
  }
  ASSERT_EQ(seen.size(), 9U);
  for (const auto& [pair, count] : seen) EXPECT_NEAR(count, 1000, 150);
  EXPECT_TRUE(draw_pair_starts(video(30), 30, GapLaw::linear, rng).short_video);
  EXPECT_FALSE(draw_pair_starts(video(31), 30, GapLaw::linear, rng).short_video);  // one legal start
  EXPECT_EQ(wrapped_frames(2, 5, 2, 5), (std::vector<int64_t>{2, 4, 1, 3, 0}));
  EXPECT_EQ(wrapped_frames(4, 3, 2, 100), (std::vector<int64_t>{4, 6, 8}));
  EXPECT_THROW(draw_pair_starts(video(0), 30, GapLaw::linear, rng), DataError);
}

}  // namespace
}  // namespace cstp
