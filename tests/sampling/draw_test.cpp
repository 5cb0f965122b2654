#include "cstp/sampling/draw.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <array>
#include <cmath>
#include <map>

#include "cstp/core/config.h"
#include "cstp/core/error.h"

namespace cstp {
namespace {

VideoInfo video(int64_t frames, int64_t width = 320, int64_t height = 240) {
  return {.frames = frames, .fps = 25, .width = width, .height = height, .seconds = 1};
}

std::vector<int64_t> one_based(std::vector<int64_t> starts) {
  for (int64_t& start : starts) ++start;
  return starts;
}

TEST(ClipFrames, GoOnFromZeroPastTheEnd) {
  EXPECT_EQ(clip_frames(2, 4, 3, 100), (std::vector<int64_t>{2, 5, 8, 11}));
  EXPECT_EQ(clip_frames(0, 5, 4, 10), (std::vector<int64_t>{0, 4, 8, 0, 4}));
  EXPECT_EQ(clip_frames(0, 3, 8, 1), (std::vector<int64_t>{0, 0, 0}));
}

TEST(DrawWindow, StartsAnywhereThatFits) {
  std::map<int64_t, int64_t> seen;
  for (uint64_t i = 0; i < 2000; ++i) {
    Rng rng(1, 0, i);
    ViewPlan view;
    draw_window(video(70), 16, 4, rng, view);  // span 60: starts 0..9
    ++seen[view.frames.front()];
    EXPECT_EQ(view.stride, 4);
    EXPECT_LT(view.frames.back(), 70);
  }
  EXPECT_EQ(seen.size(), 10U);
  EXPECT_EQ(seen.begin()->first, 0);
  EXPECT_EQ(seen.rbegin()->first, 9);
}

TEST(DrawWindow, WrapsAShortVideo) {
  Rng rng(1);
  ViewPlan view;
  draw_window(video(10), 4, 4, rng, view);
  EXPECT_EQ(view.frames, (std::vector<int64_t>{0, 4, 8, 0}));
}

TEST(TiledStarts, AreTheReleasedTestClips) {
  EXPECT_EQ(one_based(tiled_starts(165, 60)), (std::vector<int64_t>{1, 61, 105}));
  EXPECT_EQ(one_based(tiled_starts(300, 60)), (std::vector<int64_t>{1, 61, 121, 181, 240}));
  EXPECT_EQ(one_based(tiled_starts(180, 60)), (std::vector<int64_t>{1, 61, 120}));
  EXPECT_EQ(tiled_starts(60, 60), (std::vector<int64_t>{0}));
  EXPECT_EQ(tiled_starts(5, 60), (std::vector<int64_t>{0}));
}

TEST(UniformStarts, ReachFromTheFirstToTheLastPlace) {
  EXPECT_EQ(uniform_starts(101, 60, 5), (std::vector<int64_t>{0, 10, 20, 30, 40}));
  EXPECT_EQ(uniform_starts(101, 60, 1), (std::vector<int64_t>{20}));
  EXPECT_EQ(uniform_starts(64, 60, 3), (std::vector<int64_t>{0, 2, 3}));
  EXPECT_EQ(uniform_starts(30, 60, 3), (std::vector<int64_t>{0, 0, 0}));
}

TEST(CentreCrop, IsASquareOfTheShortSide) {
  const CropBox box = centre_crop(video(1));  // 112/128 of 240 = 210
  EXPECT_DOUBLE_EQ(box.w * 320, 210);
  EXPECT_DOUBLE_EQ(box.h * 240, 210);
  EXPECT_DOUBLE_EQ(box.x * 320, 55);
  EXPECT_DOUBLE_EQ(box.y * 240, 15);
}

TEST(DrawCrop, StaysInsideWithTheAskedAreaAndAspect) {
  for (uint64_t i = 0; i < 5000; ++i) {
    Rng rng(2, 0, i);
    const CropBox box = draw_crop(video(1), {}, rng);
    EXPECT_GE(box.x, 0);
    EXPECT_GE(box.y, 0);
    EXPECT_LE(box.x + box.w, 1 + 1e-12);
    EXPECT_LE(box.y + box.h, 1 + 1e-12);
    EXPECT_GT(box.w * box.h, 0.19);
    const double aspect = box.w * 320 / (box.h * 240);
    EXPECT_GT(aspect, 0.74);
    EXPECT_LT(aspect, 1.36);
  }
}

TEST(DrawCrop, FallsBackToTheCentredSquare) {
  Rng rng(2);
  const CropBox box =
      draw_crop(video(1, 4000, 100), {}, rng);  // no crop of a fifth of this strip has an aspect up to 4:3
  EXPECT_DOUBLE_EQ(box.h, 1);
  EXPECT_DOUBLE_EQ(box.w * 4000, 100);
  EXPECT_DOUBLE_EQ(box.x * 4000, 1950);
}

TEST(DrawColor, DrawsEachPartWithItsProbability) {
  constexpr int kDraws = 40000;
  std::array<int, 6> seen{};  // strong (tilted), jitter, grey, blur, flip, flip among weak
  std::map<std::vector<ColorOp>, int> orders;
  int weak = 0;
  Rng rng(3);
  for (int i = 0; i < kDraws; ++i) {
    ViewPlan view;
    view.frames = clip_frames(0, 16, 1, 16);
    draw_color({}, rng, view);
    const bool strong = view.tilt_degrees != 0;
    seen[0] += strong;
    seen[1] += !view.color.jitter.empty();
    seen[2] += !view.color.grey_channel.empty();
    seen[3] += view.color.blur_sigma > 0;
    seen[4] += view.flip;
    if (!strong) {
      ++weak;
      EXPECT_EQ(view.color, ColorPlan{});
      seen[5] += view.flip;
    }
    if (!view.color.jitter.empty()) ++orders[view.color.jitter];
    EXPECT_LE(std::abs(view.tilt_degrees), 10);
    EXPECT_NEAR(view.color.brightness, 1, 0.4);
    EXPECT_NEAR(view.color.contrast, 1, 0.4);
    EXPECT_NEAR(view.color.saturation, 1, 0.4);
    EXPECT_NEAR(view.color.hue, 0, 0.1);
    EXPECT_FALSE(view.color.grey);
    if (view.color.blur_sigma > 0) {
      EXPECT_GE(view.color.blur_sigma, 0.1);
      EXPECT_LT(view.color.blur_sigma, 2.0);
    }
  }
  const auto expect_share = [](int count, double p, int of) {
    EXPECT_NEAR(static_cast<double>(count) / of, p, 4 * std::sqrt(p * (1 - p) / of));
  };
  expect_share(seen[0], 0.3, kDraws);
  expect_share(seen[1], 0.3 * 0.8, kDraws);
  expect_share(seen[2], 0.3 * 0.2, kDraws);
  expect_share(seen[3], 0.3 * 0.5, kDraws);
  expect_share(seen[4], 0.5, kDraws);
  expect_share(seen[5], 0.5, weak);
  EXPECT_EQ(orders.size(), 24U);  // every order of the four operations
}

TEST(DrawColor, RedrawsTheGreyChannelPerFrame) {
  ClipColorOptions options;
  options.strong = options.grey = 1;
  ViewPlan view;
  view.frames = clip_frames(0, 300, 1, 300);
  Rng rng(4);
  draw_color(options, rng, view);
  ASSERT_EQ(view.color.grey_channel.size(), 300U);
  std::array<int, 3> count{};
  for (const int8_t channel : view.color.grey_channel) ++count[static_cast<size_t>(channel)];
  for (const int n : count) EXPECT_NEAR(n, 100, 4 * std::sqrt(300.0 * 2 / 9));
}

TEST(DrawColor, LeavesOutOperationsOfStrengthZero) {
  ClipColorOptions options;
  options.strong = options.jitter = 1;
  options.hue = options.saturation = 0;
  ViewPlan view;
  view.frames = {0};
  Rng rng(5);
  draw_color(options, rng, view);
  EXPECT_EQ(view.color.jitter.size(), 2U);
}

TEST(ColorOptions, AreReadFromYamlAndOrderedRangesAreChecked) {
  const auto options = ConfigNode::parse("{strong: 1, blur_sigma_min: 3}", "here").read<ClipColorOptions>("colour");
  EXPECT_EQ(options.strong, 1);
  EXPECT_THROW(options.validate("colour"), ConfigError);
  EXPECT_THROW(ConfigNode::parse("{flipp: 1}", "here").read<ClipColorOptions>("colour"), ConfigError);
  CropOptions crop;
  EXPECT_NO_THROW(crop.validate("crop"));
  crop.ratio_min = 2;
  EXPECT_THROW(crop.validate("crop"), ConfigError);
}

TEST(EvaluationPlan, IsClipsTimesCrops) {
  const SamplePlan plan = evaluation_plan(video(101), {.clips = 5, .crops = 3});
  ASSERT_EQ(plan.views.size(), 15U);
  EXPECT_EQ(plan.views[3].frames.front(), 10);  // view = clip * crops + crop
  EXPECT_EQ(plan.views[5].frames.front(), 10);
  EXPECT_DOUBLE_EQ(plan.views[0].crop.x, 0);
  EXPECT_DOUBLE_EQ(plan.views[1].crop.x * 320, 55);
  EXPECT_DOUBLE_EQ(plan.views[2].crop.x + plan.views[2].crop.w, 1);
  EXPECT_DOUBLE_EQ(plan.views[2].crop.y, plan.views[0].crop.y);
  for (const ViewPlan& view : plan.views) {
    EXPECT_EQ(view.color, ColorPlan{});
    EXPECT_FALSE(view.flip);
    EXPECT_EQ(view.quarter_turns, 0);
  }
  const SamplePlan portrait = evaluation_plan(video(101, 240, 320), {.clips = 1, .crops = 3});
  EXPECT_DOUBLE_EQ(portrait.views[0].crop.y, 0);
  EXPECT_DOUBLE_EQ(portrait.views[2].crop.y + portrait.views[2].crop.h, 1);
}

TEST(EvaluationPlan, TilesWhenNoNumberOfClipsIsGiven) {
  EXPECT_EQ(evaluation_plan(video(165), {.clips = 0}).views.size(), 3U);
  EXPECT_EQ(evaluation_plan(video(300), {.clips = 0}).views.size(), 5U);
  EXPECT_EQ(evaluation_plan(video(40), {.clips = 0}).views.size(), 1U);
}

TEST(EvaluationPlan, SquareTakesTheWholeFrame) {
  const SamplePlan plan = evaluation_plan(video(101), {.clips = 2, .crop_mode = "square"});
  for (const ViewPlan& view : plan.views) EXPECT_EQ(view.crop, CropBox{});
  EXPECT_THROW(evaluation_plan(video(101), {.crops = 3, .crop_mode = "square"}), ConfigError);
  EXPECT_THROW(evaluation_plan(video(101), {.crops = 2}), ConfigError);
}

TEST(EvaluationPlan, WrapsShortVideos) {
  const SamplePlan plan = evaluation_plan(video(1), {.clips = 3});
  for (const ViewPlan& view : plan.views) EXPECT_EQ(view.frames, std::vector<int64_t>(16, 0));
}

TEST(ProbeTime, ShufflesEachClipByTheGeneratorAlone) {
  const SamplePlan plan = evaluation_plan(video(200), {.clips = 3});
  const auto shuffled = [&](uint64_t seed, uint64_t position) {
    SamplePlan probed = plan;
    Rng rng(seed, 0, position);
    probe_time("shuffle", rng, probed);
    return probed;
  };
  SamplePlan probed = shuffled(1, 5);
  EXPECT_EQ(probed, shuffled(1, 5));
  EXPECT_NE(probed, shuffled(2, 5));
  EXPECT_NE(probed, shuffled(1, 6));
  for (size_t v = 0; v < plan.views.size(); ++v) {
    EXPECT_NE(probed.views[v].frames, plan.views[v].frames);
    std::ranges::sort(probed.views[v].frames);
  }
  EXPECT_EQ(probed, plan);  // the same frames, the same crops
}

TEST(ProbeTime, RepeatsTheMiddleFrameOrLeavesThePlanAlone) {
  const SamplePlan plan = evaluation_plan(video(200), {.clips = 2});
  Rng rng(1);
  SamplePlan probed = plan;
  probe_time("none", rng, probed);
  EXPECT_EQ(probed, plan);
  probe_time("repeat", rng, probed);
  for (size_t v = 0; v < plan.views.size(); ++v) {
    EXPECT_EQ(probed.views[v].frames, std::vector<int64_t>(16, plan.views[v].frames[8]));
    EXPECT_EQ(probed.views[v].crop, plan.views[v].crop);
  }
}

}  // namespace
}  // namespace cstp
