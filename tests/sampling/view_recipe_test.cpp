#include "cstp/sampling/view_recipe.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <array>
#include <cmath>
#include <map>
#include <string>

#include "cstp/core/error.h"

namespace cstp {
namespace {

const VideoInfo kVideo{.frames = 250, .fps = 25, .width = 340, .height = 256, .seconds = 10};

ViewPlan drawn(const ViewRecipeOptions& options, int64_t index, uint64_t seed) {
  Rng rng(seed);
  ViewPlan view;
  view.frames = {0, 2, 4};
  draw_recipe_view(kVideo, options, index, 224, rng, view);
  return view;
}

/// Shares of 4,000 draws in which an operation was asked for.
std::map<std::string, double> shares(const ViewRecipeOptions& options, int64_t index) {
  constexpr int kDraws = 4000;
  std::map<std::string, double> share;
  for (int i = 0; i < kDraws; ++i) {
    const ViewPlan view = drawn(options, index, static_cast<uint64_t>(i));
    share["flip"] += view.flip;
    share["jitter"] += !view.color.jitter.empty();
    share["grey"] += view.color.grey;
    share["blur"] += view.color.blur_sigma > 0;
    share["solarize"] += view.color.solarize <= 1;
  }
  for (auto& [name, count] : share) count /= kDraws;
  return share;
}

TEST(ViewRecipe, AsksForEachOperationAsOftenAsItsTable) {
  const std::map<std::string, std::array<double, 3>> expected = {// asymmetric view 1, view 2, symmetric
                                                                 {"flip", {.5, .5, .5}},
                                                                 {"jitter", {.8, .8, .8}},
                                                                 {"grey", {.2, .2, .2}},
                                                                 {"blur", {1, .1, .5}},
                                                                 {"solarize", {0, .2, 0}}};
  const ViewRecipeOptions asymmetric;
  ViewRecipeOptions symmetric;
  symmetric.recipe = "symmetric";
  const std::array<std::map<std::string, double>, 4> found = {shares(asymmetric, 0), shares(asymmetric, 1),
                                                              shares(symmetric, 0), shares(symmetric, 1)};
  for (const auto& [name, share] : expected) {
    EXPECT_NEAR(found[0].at(name), share[0], share[0] == 0 || share[0] == 1 ? 1e-9 : .03) << name;
    EXPECT_NEAR(found[1].at(name), share[1], .03) << name;
    EXPECT_NEAR(found[2].at(name), share[2], share[2] == 0 ? 1e-9 : .03) << name;
    EXPECT_NEAR(found[3].at(name), share[2], share[2] == 0 ? 1e-9 : .03) << name;
  }
}

TEST(ViewRecipe, DrawsAmountsInTheirRangesAndJitterInEveryOrder) {
  std::map<std::vector<ColorOp>, int> orders;
  double low = 9, high = 0, hue = 0, sigma_low = 9, sigma_high = 0;
  for (uint64_t seed = 0; seed < 4000; ++seed) {
    const ColorPlan color = drawn({}, 0, seed).color;
    EXPECT_EQ(color.rule, ColorRule::tensorflow);
    sigma_low = std::min(sigma_low, color.blur_sigma);
    sigma_high = std::max(sigma_high, color.blur_sigma);
    if (color.jitter.empty()) continue;
    ++orders[color.jitter];
    for (const double factor : {color.brightness, color.contrast, color.saturation}) {
      low = std::min(low, factor);
      high = std::max(high, factor);
    }
    hue = std::max(hue, std::abs(color.hue));
  }
  EXPECT_EQ(orders.size(), 24U);
  EXPECT_NEAR(low, .2, .005);
  EXPECT_GE(low, .2);
  EXPECT_NEAR(high, 1.8, .005);
  EXPECT_LT(high, 1.8);
  EXPECT_NEAR(hue, .2, .001);
  EXPECT_NEAR(sigma_low, .1, .01);
  EXPECT_NEAR(sigma_high, 2, .01);
}

TEST(ViewRecipe, StrengthScalesTheJitter) {
  ViewRecipeOptions weak;
  weak.jitter_strength = 0.5;
  for (uint64_t seed = 0; seed < 500; ++seed) {
    const ColorPlan color = drawn(weak, 0, seed).color;
    EXPECT_LE(std::abs(color.contrast - 1), .4);
    EXPECT_LE(std::abs(color.hue), .1);
  }
  weak.jitter_strength = 2;  // factors stay above zero
  for (uint64_t seed = 0; seed < 500; ++seed) EXPECT_GE(drawn(weak, 0, seed).color.brightness, 0);
}

TEST(ViewRecipe, BlursWithTheTapsOfTheViewsSize) {
  EXPECT_EQ(recipe_blur_taps(224), 23);
  EXPECT_EQ(recipe_blur_taps(112), 11);
  EXPECT_EQ(recipe_blur_taps(128), 13);
  EXPECT_EQ(recipe_blur_taps(16), 1);
  const ColorPlan color = drawn({}, 0, 1).color;
  EXPECT_EQ(color.blur_taps, 23);
  EXPECT_EQ(color.blur_border, BlurBorder::zero);
  ViewRecipeOptions reflecting;
  reflecting.blur_border = "reflect";
  EXPECT_EQ(drawn(reflecting, 0, 1).color.blur_border, BlurBorder::reflect);
}

TEST(ViewRecipe, ResizesBilinearlyWithoutAntialiasing) {
  const ViewPlan view = drawn({}, 1, 3);
  EXPECT_EQ(view.filter, Filter::bilinear);
  EXPECT_FALSE(view.antialias);
  EXPECT_EQ(view.tilt_degrees, 0);
  EXPECT_EQ(view.quarter_turns, 0);
}

TEST(ViewRecipe, RefusesRangesThatAreUpsideDown) {
  ViewRecipeOptions options;
  options.blur_sigma_min = 3;
  EXPECT_THROW(options.validate("objective.views"), ConfigError);
}

// The test grid: 30 views of a video.
TEST(CvrlGrid, PlacesTenWindowsAndThreeCropsAsTheReleasedCode) {
  EXPECT_EQ(floored_starts(250, 32, 2, 10), (std::vector<int64_t>{0, 20, 41, 62, 82, 103, 124, 144, 165, 186}));
  EXPECT_EQ(floored_starts(50, 32, 2, 10), std::vector<int64_t>(10, 0));
  GridOptions grid = grid_of("cvrl");
  grid.frames = 32;
  grid.stride = 2;
  grid.crops = 3;
  const SamplePlan plan = evaluation_plan(kVideo, grid);
  ASSERT_EQ(plan.views.size(), 30U);
  EXPECT_EQ(plan.views[3].frames.front(), 20);
  for (size_t crop = 0; crop < 3; ++crop) {
    const CropBox& box = plan.views[crop].crop;
    EXPECT_NEAR(box.x * 340, 42.0 * static_cast<double>(crop), 1e-9);  // 0, 42, 84
    EXPECT_NEAR(box.w * 340, 256, 1e-9);
    EXPECT_DOUBLE_EQ(box.h, 1);
    EXPECT_FALSE(plan.views[crop].antialias);
    EXPECT_EQ(plan.views[crop].filter, Filter::bilinear);
  }
}

}  // namespace
}  // namespace cstp
