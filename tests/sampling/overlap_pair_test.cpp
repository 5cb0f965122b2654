#include "cstp/sampling/overlap_pair.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <array>
#include <cmath>

#include "cstp/core/error.h"
#include "cstp/sampling/draw.h"

namespace cstp {
namespace {

VideoInfo video(int64_t frames, int64_t width = 341, int64_t height = 256) {
  return {.frames = frames, .fps = 25, .width = width, .height = height, .seconds = static_cast<double>(frames) / 25};
}

OverlapPairOptions preset(const std::string& name) {
  OverlapPairOptions options;
  options.preset = name;
  return options;
}

double pixel_overlap(const PixelBox& a, const PixelBox& b) {
  const auto box = [](const PixelBox& p) {
    return CropBox{static_cast<double>(p.x), static_cast<double>(p.y), static_cast<double>(p.w),
                   static_cast<double>(p.h)};
  };
  return spatial_overlap(box(a), box(b));
}

TEST(SecondBox, SharesTheCornerItIsToldTo) {
  const PixelBox first{40, 50, 100, 100};
  ASSERT_EQ(overlap_height(first, 0.6, 75), 80);
  const PixelBox left_top = shifted_box(first, Corner::left_top, 75, 80);
  EXPECT_EQ(left_top, (PixelBox{15, 30, 100, 100}));
  EXPECT_EQ(shifted_box(first, Corner::right_top, 75, 80), (PixelBox{65, 30, 100, 100}));
  EXPECT_EQ(shifted_box(first, Corner::left_bottom, 75, 80), (PixelBox{15, 70, 100, 100}));
  EXPECT_EQ(shifted_box(first, Corner::right_bottom, 75, 80), (PixelBox{65, 70, 100, 100}));
  EXPECT_DOUBLE_EQ(pixel_overlap(first, left_top), 0.6);
}

TEST(SecondBox, LosesAFractionOfARowToRounding) {
  const PixelBox first{0, 0, 200, 150};
  ASSERT_EQ(overlap_height(first, 0.8, 170), 141);
  EXPECT_NEAR(pixel_overlap(first, shifted_box(first, Corner::right_bottom, 170, 141)), 0.799, 1e-12);
  ASSERT_EQ(overlap_height(first, 0.4, 120), 100);
  EXPECT_NEAR(pixel_overlap(first, shifted_box(first, Corner::right_bottom, 120, 100)), 0.4, 1e-12);
}

TEST(SecondBox, OverflowsTheHeightWhereTheWidthWasRoundedDown) {
  const PixelBox first{80, 20, 99, 100};
  EXPECT_EQ(least_overlap_width(first, 0.2), 19);
  ASSERT_EQ(overlap_height(first, 0.2, 19), 104);
  const PixelBox released = shifted_box(first, Corner::left_top, 19, 104);
  EXPECT_EQ(released, (PixelBox{0, 24, 99, 100}));  // 4 rows down: 96 rows are shared
  EXPECT_NEAR(pixel_overlap(first, released), 0.184242, 5e-7);
  EXPECT_NEAR(pixel_overlap(first, shifted_box(first, Corner::left_top, 19, 100)), 0.191919, 5e-7);
}

TEST(SecondBox, SharesAtLeastOneColumn) { EXPECT_EQ(least_overlap_width({0, 0, 3, 9}, 0.2), 1); }

TEST(TemporalShift, LosesAFrameToDoubleArithmeticInReleased) {
  const int64_t expected[4][5] = {{0, 2, 6, 9, 12}, {0, 5, 12, 18, 24}, {0, 11, 24, 36, 48}, {0, 23, 48, 72, 96}};
  const double class1[4] = {0.866667, 0.833333, 0.816667, 0.808333};
  for (int64_t rate = 0; rate < 4; ++rate) {
    const int64_t span = 15 << rate;
    for (int64_t c = 0; c < 5; ++c) EXPECT_EQ(temporal_shift(c, span, true), expected[rate][c]);
    EXPECT_NEAR(static_cast<double>(span - temporal_shift(1, span, true)) / static_cast<double>(span), class1[rate],
                5e-7);
  }
}

TEST(TemporalShift, StaysOnTheGridOfFramesInClean) {
  const int64_t shared[5] = {16, 13, 10, 7, 4};
  for (int64_t rate = 0; rate < 4; ++rate) {
    const int64_t stride = int64_t{1} << rate;
    for (int64_t c = 0; c < 5; ++c) {
      const int64_t shift = temporal_shift(c, 15 * stride, false);
      EXPECT_EQ(shift, 3 * c * stride);
      EXPECT_EQ(16 - shift / stride, shared[c]);
      EXPECT_DOUBLE_EQ(static_cast<double>(15 * stride - shift) / static_cast<double>(15 * stride),
                       kOverlapLevels[static_cast<size_t>(c)]);
    }
  }
}

TEST(MaxRateClass, FollowsTheLengthOfTheVideo) {
  for (const int64_t n : {8, 15, 29}) EXPECT_EQ(max_rate_class(n, 16, 3), 0);
  for (const int64_t n : {30, 59}) EXPECT_EQ(max_rate_class(n, 16, 3), 1);
  for (const int64_t n : {60, 119}) EXPECT_EQ(max_rate_class(n, 16, 3), 2);
  for (const int64_t n : {120, 100000}) EXPECT_EQ(max_rate_class(n, 16, 3), 3);
  EXPECT_EQ(max_rate_class(100000, 16, 1), 1);
  EXPECT_EQ(max_rate_class(28, 8, 3), 2);  // 7 * 4
}

TEST(OverlapPair, IsOneWrappedClipWhereTheSpanIsTheWholeVideo) {  // N = 120 at stride 8: R = 120
  const std::vector<int64_t> wrapped = {0, 8, 16, 24, 32, 40, 48, 56, 64, 72, 80, 88, 96, 104, 112, 0};
  for (const char* name : {"clean", "released"}) {
    int64_t seen = 0;
    for (uint64_t i = 0; i < 200; ++i) {
      Rng rng(3, 0, i);
      const SamplePlan plan = draw_overlap_pair(video(120), preset(name), rng);
      if (plan.overlap->rate != 3) continue;
      ++seen;
      EXPECT_EQ(plan.views[0].frames, wrapped);
      EXPECT_EQ(plan.views[1].frames, wrapped);
      EXPECT_EQ(plan.overlap->temporal, 0);
      EXPECT_EQ(plan.overlap->temporal_overlap, 1.0);
    }
    EXPECT_GT(seen, 20);
  }
}

TEST(OverlapPair, WrapsVideosShorterThanAClip) {
  Rng rng(1);
  const SamplePlan plan = draw_overlap_pair(video(8), preset("clean"), rng);
  EXPECT_EQ(plan.views[0].frames, (std::vector<int64_t>{0, 1, 2, 3, 4, 5, 6, 7, 0, 1, 2, 3, 4, 5, 6, 7}));
  EXPECT_EQ(plan.views[1].frames, plan.views[0].frames);
  EXPECT_EQ(plan.overlap->rate, 0);
  EXPECT_EQ(plan.overlap->temporal, 0);
}

TEST(OverlapPair, RefusesVideosOfSevenFrames) {
  Rng rng(1);
  try {
    draw_overlap_pair(video(7), {}, rng);
    FAIL() << "a pair was drawn";
  } catch (const DataError& error) {
    EXPECT_NE(std::string(error.what()).find("7 frames"), std::string::npos) << error.what();
  }
}

TEST(OverlapPair, SameSeedDrawsTheSamePlan) {
  for (const char* name : {"clean", "released"}) {
    for (uint64_t i = 0; i < 100; ++i) {
      Rng a(11, 2, i), b(11, 2, i), c(12, 2, i);
      const SamplePlan plan = draw_overlap_pair(video(200), preset(name), a);
      EXPECT_EQ(plan, draw_overlap_pair(video(200), preset(name), b));
      EXPECT_NE(plan, draw_overlap_pair(video(200), preset(name), c));
    }
  }
}

/// A video of any size and length, landscape, portrait or a long strip.
VideoInfo any_video(Rng& rng) { return video(rng.integer(8, 400), rng.integer(24, 500), rng.integer(24, 500)); }

TEST(OverlapPair, KeepsBoxesInTheFrameAndFramesInTheVideoInClean) {
  for (uint64_t i = 0; i < 20000; ++i) {
    Rng rng(5, 0, i);
    const VideoInfo info = any_video(rng);
    OverlapPairOptions options;
    options.frames = rng.integer(2, 32);
    const SamplePlan plan = draw_overlap_pair(info, options, rng);
    ASSERT_EQ(plan.views.size(), 2U);
    for (const ViewPlan& view : plan.views) {
      EXPECT_GE(view.crop.x, 0);
      EXPECT_GE(view.crop.y, 0);
      EXPECT_LE(view.crop.x + view.crop.w, 1 + 1e-12);
      EXPECT_LE(view.crop.y + view.crop.h, 1 + 1e-12);
      EXPECT_GT(view.crop.w * view.crop.h, 0);
      EXPECT_FALSE(view.turn_before_crop);
      EXPECT_EQ(view.filter, Filter::bicubic);
      EXPECT_EQ(static_cast<int64_t>(view.frames.size()), options.frames);
      EXPECT_GE(*std::min_element(view.frames.begin(), view.frames.end()), 0);
      EXPECT_LT(*std::max_element(view.frames.begin(), view.frames.end()), info.frames);
    }
    EXPECT_EQ(plan.views[0].crop.w, plan.views[1].crop.w);
    EXPECT_EQ(plan.views[0].crop.h, plan.views[1].crop.h);
  }
}

TEST(OverlapPair, LabelsAgreeWithThePlanInClean) {
  for (uint64_t i = 0; i < 20000; ++i) {
    Rng rng(6, 0, i);
    const VideoInfo info = video(rng.integer(8, 400), rng.integer(64, 500), rng.integer(64, 500));
    const SamplePlan plan = draw_overlap_pair(info, {}, rng);
    const OverlapLabels& labels = *plan.overlap;
    EXPECT_EQ(labels.spatial_overlap, spatial_overlap(plan.views[0].crop, plan.views[1].crop));
    EXPECT_EQ(labels.temporal_overlap, temporal_overlap(plan.views[0], plan.views[1]));
    EXPECT_DOUBLE_EQ(labels.temporal_overlap, kOverlapLevels[static_cast<size_t>(labels.temporal)]);
    // Rounding down to pixels loses less than one row of ov_w columns, and the crop is at least 25 pixels high.
    EXPECT_NEAR(labels.spatial_overlap, kOverlapLevels[static_cast<size_t>(labels.spatial)], 0.05);
    EXPECT_EQ(plan.views[0].stride, int64_t{1} << labels.rate);
    EXPECT_EQ(plan.views[1].stride, int64_t{1} << labels.rate);
    for (size_t v = 0; v < 2; ++v) EXPECT_EQ(plan.views[v].quarter_turns, labels.turns[v]);
  }
}

TEST(OverlapPair, PutsTheSecondClipOnTheGridOfTheFirstInClean) {
  for (uint64_t i = 0; i < 2000; ++i) {
    Rng rng(8, 0, i);
    const SamplePlan plan = draw_overlap_pair(video(300), {}, rng);
    EXPECT_EQ((plan.views[1].frames[0] - plan.views[0].frames[0]) % plan.views[0].stride, 0);
  }
}

TEST(OverlapPair, KeepsAFixedStrideAndThenDrawsNoRate) {
  OverlapPairOptions options;
  options.fixed_stride = 3;
  for (uint64_t i = 0; i < 500; ++i) {
    Rng rng(13, 0, i);
    const SamplePlan plan = draw_overlap_pair(video(300), options, rng);
    EXPECT_EQ(plan.overlap->rate, 0);
    for (const ViewPlan& view : plan.views) {
      EXPECT_EQ(view.stride, 3);
      EXPECT_EQ(view.frames[15] - view.frames[0], 45);
    }
    EXPECT_DOUBLE_EQ(plan.overlap->temporal_overlap, kOverlapLevels[static_cast<size_t>(plan.overlap->temporal)]);
  }
}

TEST(OverlapPair, ReadsTheFirstClipTwiceWhenReleasedPacked) {
  OverlapPairOptions options = preset("released");
  options.released_packed = true;
  std::array<int64_t, 5> labels{};
  for (uint64_t i = 0; i < 2000; ++i) {
    Rng rng(9, 0, i);
    const SamplePlan plan = draw_overlap_pair(video(300), options, rng);
    EXPECT_EQ(plan.views[0].frames, plan.views[1].frames);
    EXPECT_EQ(plan.overlap->temporal_overlap, 1.0);
    ++labels[static_cast<size_t>(plan.overlap->temporal)];
  }
  for (const int64_t count : labels) EXPECT_GT(count, 200);  // labels still vary: noise, as released
}

TEST(OverlapPair, TurnsTheFrameBeforeTheCropInReleased) {
  for (uint64_t i = 0; i < 2000; ++i) {
    Rng rng(10, 0, i);
    const SamplePlan plan = draw_overlap_pair(video(300), preset("released"), rng);
    const ViewPlan &one = plan.views[0], &two = plan.views[1];
    EXPECT_TRUE(one.turn_before_crop);
    EXPECT_GE(one.crop.x, 0);
    EXPECT_LE(one.crop.x + one.crop.w, 1 + 1e-12);
    EXPECT_LE(one.crop.y + one.crop.h, 1 + 1e-12);
    const auto pixels =
        [](const ViewPlan& view) {  // both boxes have the same size in the pixels of their own turned frame
          const bool odd = view.quarter_turns % 2 != 0;
          return std::pair(std::lround(view.crop.w * (odd ? 256 : 341)), std::lround(view.crop.h * (odd ? 341 : 256)));
        };
    EXPECT_EQ(pixels(one), pixels(two));
    if (one.quarter_turns == two.quarter_turns) {
      EXPECT_NEAR(plan.overlap->spatial_overlap, kOverlapLevels[static_cast<size_t>(plan.overlap->spatial)], 0.03);
    }
  }
}

TEST(UprightCrop, UndoesTheTurn) {
  ViewPlan view;
  view.crop = {0.1, 0.2, 0.3, 0.4};
  view.quarter_turns = 1;
  EXPECT_EQ(upright_crop(view), view.crop);  // the crop came first
  view.turn_before_crop = true;
  // Counter-clockwise: the upright frame's right edge becomes the turned frame's top.
  const CropBox once = upright_crop(view);
  EXPECT_NEAR(once.x, 0.4, 1e-12);
  EXPECT_NEAR(once.y, 0.1, 1e-12);
  EXPECT_NEAR(once.w, 0.4, 1e-12);
  EXPECT_NEAR(once.h, 0.3, 1e-12);
  ViewPlan turned = view;
  for (int turns : {1, 2, 3, 4}) {  // k turns undone at once equal one turn undone k times
    view.quarter_turns = turns;
    const CropBox at_once = upright_crop(view);
    turned.quarter_turns = 1;
    turned.crop = view.crop;
    for (int i = 0; i < turns; ++i) turned.crop = upright_crop(turned);
    EXPECT_NEAR(at_once.x, turned.crop.x, 1e-12);
    EXPECT_NEAR(at_once.y, turned.crop.y, 1e-12);
    EXPECT_NEAR(at_once.w, turned.crop.w, 1e-12);
  }
}

TEST(OverlapPairOptions, NameWhatDoesNotFitTogether) {
  OverlapPairOptions options;
  options.crop_area_min = 0.5;
  options.crop_area_max = 0.35;
  EXPECT_THROW(options.validate("objective.pairs"), ConfigError);
  OverlapPairOptions packed;
  packed.released_packed = true;
  EXPECT_THROW(packed.validate("objective.pairs"), ConfigError);
  packed.preset = "released";
  EXPECT_NO_THROW(packed.validate("objective.pairs"));
}

TEST(OverlapPair, FindsACropInAnExtremeStrip) {
  for (const char* name : {"clean", "released"}) {
    for (uint64_t i = 0; i < 200; ++i) {
      Rng rng(4, 0, i);
      const SamplePlan plan = draw_overlap_pair(video(100, 2000, 16), preset(name), rng);
      EXPECT_GT(plan.views[0].crop.w, 0);
    }
  }
}

}  // namespace
}  // namespace cstp
