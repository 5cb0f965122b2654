// The facts of the specification of STS, section 12, that are about motion; and what follows from the definitions.
#include "sts_motion.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <numeric>

#include "sts_clips.h"

namespace cstp {
namespace {

using testing::ElementsAre;
using testing::ElementsAreArray;
using testing::FloatNear;
using testing::Pointwise;

struct Gradient {
  std::vector<float> x, y;
  double sum = 0;  ///< of the lengths
  std::array<double, 8> bins{};
};

Gradient gradient(const std::vector<float>& field, int64_t height, int64_t width) {
  Gradient g;
  g.x.resize(field.size());
  g.y.resize(field.size());
  prewitt(field, height, width, g.x, g.y);
  g.sum = boundary_sum(field, height, width);
  g.bins = orientation_histogram(g.x, g.y, {{0, static_cast<int32_t>(field.size())}});
  return g;
}

int64_t largest(const std::array<double, 8>& bins) {
  return 1 + (std::max_element(bins.begin(), bins.end()) - bins.begin());
}

std::array<int64_t, 14> labels_of(const MadeFlow& flow, const StsParts& parts = {}) {
  return motion_labels(StsPatterns(kSide), parts, flow.u, flow.v, flow.fields, 15);
}

TEST(StsMotion, GradientOfAnImpulse) {  // fact 1
  std::vector<float> field(25, 0);
  field[12] = 1;
  const Gradient g = gradient(field, 5, 5);
  for (size_t y = 0; y < 5; ++y) {
    for (size_t x = 0; x < 5; ++x) {
      const bool inner = y >= 1 && y <= 3, across = x >= 1 && x <= 3;
      EXPECT_EQ(g.x[5 * y + x], inner && x == 1 ? -1 : inner && x == 3 ? 1 : 0) << y << "," << x;
      EXPECT_EQ(g.y[5 * y + x], across && y == 1 ? -1 : across && y == 3 ? 1 : 0) << y << "," << x;
    }
  }
  EXPECT_NEAR(g.sum, 4 + 4 * std::sqrt(2.0), 1e-6);
  const double root = std::sqrt(2.0);
  for (size_t i = 0; i < 8; ++i) EXPECT_NEAR(g.bins[i], i % 2 == 0 ? 1 : root, 1e-6) << i;
  const std::array<double, 8> corner = orientation_histogram(g.x, g.y, {{6, 7}});  // (1,1): 225 degrees
  EXPECT_NEAR(corner[5], root, 1e-6);
  EXPECT_NEAR(std::accumulate(corner.begin(), corner.end(), 0.0), root, 1e-6);
}

TEST(StsMotion, GradientAndOrientationOfASmallField) {  // fact 2
  const Gradient g = gradient({1, 2, 4, 1, 2, 4, 1, 3, 9}, 3, 3);
  EXPECT_THAT(g.x, ElementsAre(-3, -9, -6, -4, -14, -10, -5, -19, -14));
  EXPECT_THAT(g.y, ElementsAre(0, 0, 0, -1, -6, -11, -1, -6, -11));
  EXPECT_NEAR(g.sum, 95.049093, 1e-5);
  EXPECT_THAT(g.bins, Pointwise(testing::DoubleNear(5e-5), {0., 0., 0., 0., 46.9062, 47.2422, .9007, 0.}));
  EXPECT_EQ(largest(g.bins), 6);
}

TEST(StsMotion, GradientOfARampHasTheSignOfAConvolution) {  // fact 3
  std::vector<float> ramp;
  for (int64_t y = 0; y < kSide; ++y) {
    for (int64_t x = 0; x < kSide; ++x) ramp.push_back(static_cast<float>(x));
  }
  const Gradient g = gradient(ramp, kSide, kSide);
  for (int64_t y = 0; y < kSide; ++y) {
    for (int64_t x = 0; x < kSide; ++x) {
      const auto i = static_cast<size_t>(y * kSide + x);
      ASSERT_EQ(g.x[i], x == 0 || x == kSide - 1 ? -3 : -6);
      ASSERT_EQ(g.y[i], 0);
    }
  }
  EXPECT_NEAR(g.sum, 74592, 1e-6);
  EXPECT_EQ(largest(g.bins), 5);
}

TEST(StsMotion, AnAngleIsSharedByTheTwoNearestBins) {  // fact 4
  const auto bins = [](double length, double degrees) {
    std::array<double, 8> histogram{};
    const double angle = degrees * std::numbers::pi / 180;
    add_orientation(static_cast<float>(length * std::cos(angle)), static_cast<float>(length * std::sin(angle)),
                    histogram);
    return histogram;
  };
  const auto near = [](std::array<double, 8> wanted) { return Pointwise(testing::DoubleNear(2e-5), wanted); };
  EXPECT_THAT(bins(2, 60), near({0, 1.33333, .66667, 0, 0, 0, 0, 0}));
  EXPECT_THAT(bins(1, 350), near({.77778, 0, 0, 0, 0, 0, 0, .22222}));
  EXPECT_THAT(bins(1, 22.5), near({.5, .5, 0, 0, 0, 0, 0, 0}));
}

TEST(StsMotion, LabelsOfTheDipoleClip) {  // fact 6
  for (const int64_t fields : {15, 16}) {
    EXPECT_THAT(labels_of(dipole_flow(fields)), ElementsAre(7, 5, 13, 7, 1, 8, 4, 7, 4, 5, 5, 7, 9, 4)) << fields;
  }
}

TEST(StsMotion, AmountsOfTheDipoleClip) {  // fact 6, what the labels rest on
  const MadeFlow flow = dipole_flow(16);
  constexpr size_t kPixels = kSide * kSide;
  std::vector<float> sum(kPixels, 0);
  for (size_t i = 0; i < flow.u.size(); ++i) sum[i % kPixels] += flow.u[i];
  const Gradient g = gradient(sum, kSide, kSide);
  const auto amount = [&g](const Block& block) {
    double total = 0;
    for (const PixelRun& run : block) {
      for (auto i = static_cast<size_t>(run.begin); i < static_cast<size_t>(run.end); ++i) {
        total += std::hypot(g.x[i], g.y[i]);
      }
    }
    return total;
  };
  const StsPatterns patterns(kSide);
  EXPECT_NEAR(amount(patterns.blocks[0][6]), 26739.4, .06);
  const double means[] = {9.8854, 8.9430, .6089, .0003};
  for (size_t i = 0; i < 4; ++i) {
    const Block& block = patterns.blocks[1][i];
    EXPECT_NEAR(amount(block) / static_cast<double>(pixel_count(block)), means[i], 6e-5) << i;
  }
  EXPECT_NEAR(amount(patterns.blocks[2][2]), 13616.5, .06);
  EXPECT_NEAR(amount(patterns.blocks[2][3]), 16627.6, .06);
  for (const auto& [t, wanted] : {std::pair<size_t, double>{0, 1731.8}, {8, 5195.4}}) {
    EXPECT_NEAR(boundary_sum(std::span(flow.u).subspan(t * kPixels, kPixels), kSide, kSide), wanted, .06) << t;
  }
}

/// The clip as it is seen flipped.
MadeFlow mirrored(MadeFlow flow, bool negate_u) {
  for (std::vector<float>* component : {&flow.u, &flow.v}) {
    for (auto row = component->begin(); row != component->end(); row += kSide) std::reverse(row, row + kSide);
  }
  for (float& u : flow.u) u = negate_u ? -u : u;
  return flow;
}

TEST(StsMotion, LabelsOfTheFlippedDipoleClip) {  // fact 6
  const MadeFlow flow = dipole_flow(16);
  EXPECT_THAT(labels_of(mirrored(flow, true)), ElementsAre(6, 5, 16, 7, 1, 2, 4, 7, 1, 5, 8, 7, 9, 4));
  EXPECT_THAT(labels_of(mirrored(flow, false)), ElementsAre(6, 1, 16, 7, 1, 6, 4, 7, 1, 1, 8, 7, 9, 4));
}

TEST(StsMotion, LabelsWhereNothingMoves) {  // fact 7
  const MadeFlow still{.fields = 15, .u = std::vector<float>(15 * kSide * kSide, 0), .v = {}};
  const std::array<int64_t, 14> wanted = {0, 0, 0, 0, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1};
  EXPECT_EQ(labels_of({.fields = 15, .u = still.u, .v = still.u}), wanted);
  const std::vector<float> pan(still.u.size(), 3.7F);  // a camera that moves as a whole is no motion either
  EXPECT_EQ(labels_of({.fields = 15, .u = pan, .v = pan}), wanted);
}

TEST(StsMotion, TheLastQuestionLooksAtFieldsWithinTheClip) {
  MadeFlow flow = dipole_flow(16);
  const size_t pixels = kSide * kSide;
  for (size_t i = 15 * pixels; i < 16 * pixels; ++i) flow.u[i] *= 10;  // the field past the clip moves most
  EXPECT_EQ(labels_of(flow)[12], 9);
}

TEST(StsMotion, RingsAreComparedByTheirMeans) {
  MadeFlow flow{.fields = 1, .u = std::vector<float>(kSide * kSide, 0), .v = {}};
  const auto impulse = [&flow](int64_t y, int64_t x, float value) {
    flow.u[static_cast<size_t>(y * kSide + x)] = value;
  };
  impulse(56, 56, 1);                                          // centre, 784 pixels
  for (int64_t i = 0; i < 4; ++i) impulse(5, 10 + 20 * i, 1);  // outer ring, 5488: four times the sum, less a pixel
  flow.v = flow.u;
  const auto labels = motion_labels(StsPatterns(kSide), {}, flow.u, flow.v, 1, 1);
  EXPECT_EQ(labels[4], 1);
  EXPECT_EQ(labels[0], 2);  // the grid by its sums: two impulses lie in block 2
}

TEST(StsMotion, QuestionsThatAreNotAskedAreAnsweredZero) {
  const MadeFlow flow = dipole_flow(15);
  const auto whole = labels_of(flow);
  for (size_t off = 0; off < 4; ++off) {
    StsParts parts;
    (off == 0 ? parts.p1 : off == 1 ? parts.p2 : off == 2 ? parts.p3 : parts.global) = false;
    const auto labels = labels_of(flow, parts);
    for (size_t i = 0; i < labels.size(); ++i) EXPECT_EQ(labels[i], i / 4 == off ? 0 : whole[i]) << off << " " << i;
  }
}

TEST(StsMotion, APictureTwiceAsLargeHasTheSameLabels) {  // the patterns scale with S
  const MadeFlow flow = dipole_flow(15);
  MadeFlow large{.fields = 15};
  for (const auto& [from, to] : {std::pair{&flow.u, &large.u}, std::pair{&flow.v, &large.v}}) {
    for (int64_t i = 0; i < 15 * 4 * kSide * kSide; ++i) {
      const int64_t t = i / (4 * kSide * kSide), y = i / (2 * kSide) % (2 * kSide), x = i % (2 * kSide);
      to->push_back((*from)[static_cast<size_t>((t * kSide + y / 2) * kSide + x / 2)]);
    }
  }
  EXPECT_EQ(motion_labels(StsPatterns(224), {}, large.u, large.v, 15, 15), labels_of(flow));
}

}  // namespace
}  // namespace cstp
