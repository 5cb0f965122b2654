// The numbers are the unit-checkable facts of CVRL's specification.
#include "crop_sampler.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>

namespace cstp {
namespace {

const CropOptions kCvrl{.area_min = 0.3, .area_max = 1, .ratio_min = 0.5, .ratio_max = 2};

TEST(CropSampler, HeightsOfAKineticsFrameAreTheWorkedOnes) {
  struct Row {
    double aspect;
    int64_t low, high;
  };
  for (const Row& row : {Row{.5, 230, 256}, Row{1, 162, 256}, Row{4.0 / 3, 140, 255}, Row{2, 115, 170}}) {
    const CropHeights drawn = crop_heights(340, 256, kCvrl, row.aspect);
    int64_t low = 1000, high = 0;
    for (int64_t h = drawn.low; h <= drawn.high; ++h) {
      const auto size = sized_crop(340, 256, kCvrl, row.aspect, h);
      ASSERT_TRUE(size.has_value()) << row.aspect << " " << h;
      low = std::min(low, size->h);
      high = std::max(high, size->h);
    }
    EXPECT_EQ(low, row.low) << row.aspect;
    EXPECT_EQ(high, row.high) << row.aspect;
  }
  EXPECT_EQ(crop_heights(340, 256, kCvrl, 2).low, 114);  // 228 x 114 is below 0.3 of the frame
  EXPECT_EQ(sized_crop(340, 256, kCvrl, 2, 114), (CropSize{230, 115}));
}

struct Means {
  double area = 0, aspect = 0;
};
template <class Sampler>
Means means_of(Sampler sampler, int64_t width, int64_t height) {
  constexpr int kDraws = 40000;
  Rng rng(3);
  Means means;
  for (int i = 0; i < kDraws; ++i) {
    const PixelBox box = sampler(width, height, kCvrl, rng);
    EXPECT_GE(box.x, 0);
    EXPECT_GE(box.y, 0);
    EXPECT_LE(box.x + box.w, width);
    EXPECT_LE(box.y + box.h, height);
    const double area = static_cast<double>(box.w * box.h) / static_cast<double>(width * height);
    const double aspect = static_cast<double>(box.w) / static_cast<double>(box.h);
    EXPECT_GT(area, 0.295);
    EXPECT_GT(aspect, 0.49);
    EXPECT_LT(aspect, 2.02);
    means.area += area / kDraws;
    means.aspect += aspect / kDraws;
  }
  return means;
}

TEST(CropSampler, TheTwoLawsHaveTheirKnownMeans) {
  const Means heights = means_of(height_uniform_crop, 340, 256);
  EXPECT_NEAR(heights.area, .504, .003);
  EXPECT_NEAR(heights.aspect, 1.25, .007);
  const Means log = means_of(log_aspect_crop, 340, 256);
  EXPECT_NEAR(log.area, .539, .003);
  EXPECT_NEAR(log.aspect, 1.22, .007);
}

TEST(CropSampler, TheLastPlaceIsNeverDrawnByHeightsAndIsByLogAspect) {
  CropOptions fixed{.area_min = 0.25, .area_max = 0.25, .ratio_min = 1, .ratio_max = 1};  // 4x4 in 8x8
  int64_t official = 0, torch = 0;
  Rng rng(5);
  for (int i = 0; i < 2000; ++i) {
    official = std::max(official, height_uniform_crop(8, 8, fixed, rng).x);
    torch = std::max(torch, log_aspect_crop(8, 8, fixed, rng).x);
  }
  EXPECT_EQ(official, 3);
  EXPECT_EQ(torch, 4);
}

TEST(CropSampler, AFrameThatNoCropFitsIsTakenWholeOrCentred) {
  Rng rng(1);
  EXPECT_EQ(height_uniform_crop(2000, 10, kCvrl, rng),
            (PixelBox{0, 0, 2000, 10}));  // 0.3 of this strip is wider than 2:1
  EXPECT_EQ(log_aspect_crop(2000, 10, kCvrl, rng), (PixelBox{990, 0, 20, 10}));
  EXPECT_EQ(log_aspect_crop(10, 2000, kCvrl, rng), (PixelBox{0, 990, 10, 20}));
}

TEST(CropSampler, DrawCropFollowsTheOptionsSampler) {
  CropOptions options = kCvrl;
  const VideoInfo video{.frames = 1, .fps = 25, .width = 340, .height = 256, .seconds = 1};
  options.sampler = "height_uniform";
  Rng a(4), b(4), c(4);
  const PixelBox box = height_uniform_crop(340, 256, options, a);
  EXPECT_DOUBLE_EQ(draw_crop(video, options, b).w * 340, static_cast<double>(box.w));
  options.sampler = "log_aspect";
  EXPECT_NE(draw_crop(video, options, c).w * 340, static_cast<double>(box.w));
}

}  // namespace
}  // namespace cstp
