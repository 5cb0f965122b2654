// The pixels of CVRL's view recipe. The numbers are the unit-checkable facts of its specification; floats hold them to
// about 1e-7.
#include <gtest/gtest.h>

#include <array>
#include <cmath>
#include <set>

#include "blur.h"
#include "cstp/sampling/view_recipe.h"
#include "made_frames.h"

namespace cstp {
namespace {

void expect_pixel(const Rgb& p, double r, double g, double b) {
  EXPECT_NEAR(p.r, r, 1e-6);
  EXPECT_NEAR(p.g, g, 1e-6);
  EXPECT_NEAR(p.b, b, 1e-6);
}

TEST(RecipePixels, AreTheWorkedOnes) {
  EXPECT_NEAR(tensorflow_luma({.2F, .4F, .6F}), .36298, 1e-6);
  expect_pixel(adjust_hue({1, 0, 0}, .2F), .8, 1, 0);
  expect_pixel(adjust_hsv_saturation({.5F, .25F, .25F}, 1.8F), .5, .05, .05);
  for (const auto& [before, after] : {std::pair{.7F, .3}, {.5F, .5}, {.4F, .4}})
    EXPECT_NEAR(solarize(before, .5F), after, 1e-6);
}

TEST(RecipePixels, SaturationClipsAtTheFullColourAndLeavesGreyAlone) {
  expect_pixel(adjust_hsv_saturation({.5F, .1F, .3F}, 1.8F), .5, 0, .25);  // S 0.8 stops at 1
  expect_pixel(adjust_hsv_saturation({.4F, .4F, .4F}, 1.8F), .4, .4, .4);
  expect_pixel(adjust_hsv_saturation({0, 0, 0}, 1.8F), 0, 0, 0);
  expect_pixel(adjust_hsv_saturation({.5F, .1F, .3F}, 0), .5, .5, .5);  // V stays
}

ColorPlan contrast_of(double factor) {
  ColorPlan color;
  color.rule = ColorRule::tensorflow;
  color.jitter = {ColorOp::contrast};
  color.contrast = factor;
  return color;
}

TEST(RecipePixels, ContrastIsAboutTheMeanOfTheWholeClip) {  // a mean per frame would change nothing
  std::vector<Picture> pictures;
  for (const int byte : {51, 153}) {  // 0.2 and 0.6
    pictures.push_back(grey_picture(2, 2, [byte](int64_t, int64_t) { return byte; }));
    pictures.back().range = ColorRange::full;
  }
  const Sample sample = made_sample(pictures);
  ViewPlan view = view_of(sample);
  view.color = contrast_of(1.5);
  const std::vector<float> clip = rendered(sample, view, 1);
  for (size_t c = 0; c < 3; ++c) {
    EXPECT_NEAR(clip[c], .1, 1e-6);
    EXPECT_NEAR(clip[3 + c], .7, 1e-6);
  }
}

TEST(RecipePixels, ContrastHasAMeanPerChannel) {
  constexpr int64_t kSide = 24;
  const Sample sample = made_sample({noisy_picture(64, 48, 1), wavy_picture(64, 48)});
  ViewPlan view = view_of(sample);
  const std::vector<float> plain = rendered(sample, view, kSide);
  std::array<double, 3> mean{};
  for (size_t i = 0; i < plain.size(); ++i) mean[i % 3] += 3.0 * plain[i] / static_cast<double>(plain.size());
  ASSERT_GT(std::abs(mean[0] - mean[2]), 1e-3);
  view.color = contrast_of(0.4);
  const std::vector<float> changed = rendered(sample, view, kSide);
  for (size_t i = 0; i < plain.size(); ++i) ASSERT_NEAR(changed[i], mean[i % 3] + 0.4 * (plain[i] - mean[i % 3]), 2e-6);
}

TEST(RecipeBlur, HasTheWorkedWeights) {
  const std::vector<float> one = gaussian_kernel(1, 224, recipe_blur_taps(224));
  const std::vector<float> two = gaussian_kernel(2, 224, recipe_blur_taps(224));
  ASSERT_EQ(one.size(), 23U);
  EXPECT_NEAR(one[11], .39894228, 5e-8);
  EXPECT_NEAR(one[12], .24197072, 5e-8);
  EXPECT_NEAR(two[11], .19947114, 5e-8);
  EXPECT_NEAR(two[10], .17603266, 5e-8);
  EXPECT_EQ(gaussian_kernel(2, 112, recipe_blur_taps(112)).size(), 11U);
  EXPECT_EQ(gaussian_kernel(2, 128, recipe_blur_taps(128)).size(), 13U);
  EXPECT_EQ(gaussian_kernel(2, 128).size(), 13U);  // three sigma, where no taps are asked for
}

TEST(RecipeBlur, SeesNothingBeyondTheEdge) {
  constexpr int64_t kSide = 224;
  const Sample white = made_sample({grey_picture(8, 8, [](int64_t, int64_t) { return 235; })});
  ViewPlan view = view_of(white);
  view.color.blur_sigma = 2;
  view.color.blur_taps = recipe_blur_taps(kSide);
  view.color.blur_border = BlurBorder::zero;
  const std::vector<float> dark = rendered(white, view, kSide);
  EXPECT_NEAR(pixel(dark, kSide, 0, 112), .599736, 1e-6);  // one axis
  EXPECT_NEAR(pixel(dark, kSide, 112, 0), .599736, 1e-6);
  EXPECT_NEAR(pixel(dark, kSide, 223, 112), .599736, 1e-6);
  EXPECT_NEAR(pixel(dark, kSide, 112, 223), .599736, 1e-6);
  EXPECT_NEAR(pixel(dark, kSide, 0, 0), .599736 * .599736, 1e-6);
  EXPECT_NEAR(pixel(dark, kSide, 11, 11), 1, 1e-6);  // eleven pixels in, nothing is missing
  view.color.blur_border = BlurBorder::reflect;
  EXPECT_NEAR(rendered(white, view, kSide)[0], 1, 1e-6);
}

TEST(RecipeBlur, LosesNoMoreThanAFloatTells) {
  for (const double sigma : {0.1, 0.5, 1.0, 2.0, 5.0}) {
    const std::vector<float> kernel = gaussian_kernel(sigma, 224, 23);
    const std::span<const float> kept = without_tails(kernel);
    double lost = 0;
    for (const float weight : kernel) lost += static_cast<double>(weight);
    for (const float weight : kept) lost -= static_cast<double>(weight);
    EXPECT_LT(lost, 1.2e-7);
    EXPECT_EQ(kept.size() % 2, 1U);
    EXPECT_EQ(kept[kept.size() / 2], kernel[11]);
  }
  EXPECT_EQ(without_tails(gaussian_kernel(0.1, 224, 23)).size(), 1U);
}

TEST(RecipeViews, LeaveAClipOfEqualFramesAClipOfEqualFrames) {
  constexpr int64_t kSide = 32;
  constexpr size_t kFrame = 3 * kSide * kSide;
  const Picture picture = noisy_picture(64, 48, 5);
  const Sample sample = made_sample({picture, picture, picture, picture});
  const VideoInfo video{.frames = 4, .fps = 25, .width = 64, .height = 48, .seconds = 1};
  for (const char* recipe : {"asymmetric", "symmetric"}) {
    ViewRecipeOptions options;
    options.recipe = recipe;
    std::set<std::vector<float>> views;
    for (uint64_t seed = 0; seed < 60; ++seed) {
      Rng rng(seed);
      ViewPlan view = view_of(sample);
      draw_recipe_view(video, options, static_cast<int64_t>(seed % 2), kSide, rng, view);
      const std::vector<float> clip = rendered(sample, view, kSide);
      for (size_t i = 0; i < clip.size(); ++i) {
        ASSERT_EQ(clip[i], clip[i % kFrame]) << recipe << " seed " << seed;
        ASSERT_GE(clip[i], 0);
        ASSERT_LE(clip[i], 1);
      }
      views.insert(std::vector<float>(clip.begin(), clip.begin() + kFrame));
    }
    EXPECT_EQ(views.size(), 60U);  // and every draw is another view
  }
}

}  // namespace
}  // namespace cstp
