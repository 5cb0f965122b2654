// The facts of the specification of STS, section 12, that are about appearance.
#include "sts_appearance.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "sts_clips.h"

namespace cstp {
namespace {

using testing::ElementsAre;

std::array<int64_t, 13> labels_of(const std::vector<uint8_t>& clip, DominantColor rule, const StsParts& parts = {}) {
  return appearance_labels(StsPatterns(kSide), parts, clip, static_cast<int64_t>(clip.size()) / (3 * kSide * kSide),
                           rule);
}

std::vector<double> stabilities(const std::vector<uint8_t>& clip, size_t pattern) {
  std::vector<double> values;
  const StsPatterns patterns(kSide);
  for (const Block& block : patterns.blocks[pattern])
    values.push_back(
        color_stability(clip, static_cast<int64_t>(clip.size()) / (3 * kSide * kSide), kSide * kSide, block));
  return values;
}

TEST(StsAppearance, OctantsOfTheRgbCube) {  // fact 8
  EXPECT_EQ(color_octant(0, 0, 255), 1);
  EXPECT_EQ(color_octant(10, 200, 200), 2);
  EXPECT_EQ(color_octant(200, 10, 200), 3);
  EXPECT_EQ(color_octant(255, 255, 255), 4);
  EXPECT_EQ(color_octant(0, 0, 0), 5);
  EXPECT_EQ(color_octant(0, 255, 0), 6);
  EXPECT_EQ(color_octant(255, 0, 0), 7);
  EXPECT_EQ(color_octant(255, 255, 0), 8);
  EXPECT_EQ(color_octant(127, 128, 127), 6);
  EXPECT_EQ(color_octant(128, 127, 128), 3);
  EXPECT_EQ(color_octant(128, 128, 127), 8);
}

TEST(StsAppearance, TheCommonestColourIsNotTheOctantOfMostPixels) {  // fact 9
  const std::vector<uint8_t> pixels = {250, 10, 10, 250, 10, 10, 10, 250, 10, 12, 240, 8, 9, 251, 14};
  const Block all = {{0, 5}};
  EXPECT_EQ(dominant_color(pixels, 1, 5, all, DominantColor::mode), 7);
  EXPECT_EQ(dominant_color(pixels, 1, 5, all, DominantColor::count), 6);
}

TEST(StsAppearance, OfColoursThatAreAsCommonTheSmallestBlueComesFirst) {
  const std::vector<uint8_t> pixels = {255, 255, 0, 0, 0, 255};  // yellow 8, blue 1
  EXPECT_EQ(dominant_color(pixels, 1, 2, {{0, 2}}, DominantColor::mode), 8);
  EXPECT_EQ(dominant_color(pixels, 1, 2, {{0, 2}}, DominantColor::count), 1);
}

TEST(StsAppearance, StabilityIsOneIntersectionOverUnionOfAllFrames) {  // fact 10, in every channel
  std::vector<uint8_t> clip;
  for (const int value : {10, 10, 20, 30, 10, 20, 20, 40}) clip.insert(clip.end(), 3, static_cast<uint8_t>(value));
  EXPECT_NEAR(color_stability(clip, 2, 4, {{0, 4}}), 1.0 / 3, 1e-12);
  clip.insert(clip.end(), clip.begin(), clip.begin() + 12);  // a third frame like the first changes nothing
  EXPECT_NEAR(color_stability(clip, 3, 4, {{0, 4}}), 1.0 / 3, 1e-12);
}

TEST(StsAppearance, LabelsOfAClipInWhichASquareTurnsRed) {  // fact 11
  const std::vector<uint8_t> clip = reddening_clip();
  for (const DominantColor rule : {DominantColor::count, DominantColor::mode}) {
    EXPECT_THAT(labels_of(clip, rule), ElementsAre(8, 7, 1, 5, 3, 5, 1, 5, 4, 5, 1, 5, 5));
  }
  const std::vector<double> grid = stabilities(clip, 0), nested = stabilities(clip, 1), wedges = stabilities(clip, 2);
  for (size_t i = 0; i < 16; ++i) EXPECT_EQ(grid[i], i == 7 ? 0 : 1) << i;
  EXPECT_THAT(nested, testing::Pointwise(testing::DoubleNear(5e-5), {1., 1., .8182, .8667}));
  for (size_t i = 0; i < 8; ++i) EXPECT_NEAR(wedges[i], i == 3 ? .3412 : 1, 5e-5) << i;
}

TEST(StsAppearance, LabelsOfAClipOfOneColour) {  // fact 12
  const auto clip = made_clip(16, [](int64_t, int64_t, int64_t) { return std::array<uint8_t, 3>{40, 200, 40}; });
  for (const DominantColor rule : {DominantColor::count, DominantColor::mode}) {
    EXPECT_THAT(labels_of(clip, rule), ElementsAre(1, 6, 1, 6, 1, 6, 1, 6, 1, 6, 1, 6, 6));
  }
}

TEST(StsAppearance, LargerBlocksOfNoiseAreMoreStable) {  // fact 13
  std::mt19937 random(1);
  const auto any = [&random] { return static_cast<uint8_t>(random() % 256); };
  const auto clip = made_clip(16, [&any](int64_t, int64_t, int64_t) {
    const uint8_t red = any(), green = any(), blue = any();
    return std::array<uint8_t, 3>{red, green, blue};
  });
  for (const double value : stabilities(clip, 0)) EXPECT_NEAR(value, .077, .012);
  EXPECT_THAT(stabilities(clip, 1), testing::Pointwise(testing::DoubleNear(.012), {.076, .287, .390, .462}));
  for (const double value : stabilities(clip, 2)) EXPECT_NEAR(value, .21, .012);
}

TEST(StsAppearance, AColourThatTogglesMakesItsBlockTheMostDiverse) {
  const auto clip = made_clip(16, [](int64_t t, int64_t y, int64_t x) -> std::array<uint8_t, 3> {
    const bool toggles = y >= 84 && x < 28 && t % 2 == 1;  // block 13, ring 4, wedge 5 and its neighbour
    return toggles ? std::array<uint8_t, 3>{250, 250, 10} : std::array<uint8_t, 3>{10, 10, 250};
  });
  const auto labels = labels_of(clip, DominantColor::count);
  EXPECT_EQ(labels[0], 13);
  EXPECT_EQ(labels[1], 1);  // half yellow, half blue: the smaller number
  EXPECT_EQ(labels[2], 1);
  EXPECT_EQ(labels[4], 4);
  EXPECT_EQ(labels[12], 1);
}

TEST(StsAppearance, QuestionsThatAreNotAskedAreAnsweredZero) {
  const std::vector<uint8_t> clip = reddening_clip();
  const auto whole = labels_of(clip, DominantColor::count);
  for (size_t off = 0; off < 4; ++off) {
    StsParts parts;
    (off == 0 ? parts.p1 : off == 1 ? parts.p2 : off == 2 ? parts.p3 : parts.global) = false;
    const auto labels = labels_of(clip, DominantColor::count, parts);
    for (size_t i = 0; i < labels.size(); ++i) EXPECT_EQ(labels[i], i / 4 == off ? 0 : whole[i]) << off << " " << i;
  }
}

}  // namespace
}  // namespace cstp
