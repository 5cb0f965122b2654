#include "cstp/sampling/plan.h"

#include <gtest/gtest.h>

#include <algorithm>

#include "cstp/sampling/draw.h"

namespace cstp {
namespace {

ViewPlan window(int64_t start, int64_t frames, int64_t stride) {
  ViewPlan view;
  view.frames = clip_frames(start, frames, stride, 1000);
  view.stride = stride;
  return view;
}

int64_t shared_frames(const ViewPlan& a, const ViewPlan& b) {
  return std::count_if(a.frames.begin(), a.frames.end(), [&b](int64_t frame) {
    return std::find(b.frames.begin(), b.frames.end(), frame) != b.frames.end();
  });
}

TEST(SpatialOverlap, IsTheSharedAreaOverTheAreaOfOneBox) {
  const CropBox a{20, 30, 200, 150};
  const CropBox b{100, 60, 200, 150};
  EXPECT_DOUBLE_EQ(spatial_overlap(a, b), 0.48);  // 120 * 120 = 14400 of 30000
  EXPECT_DOUBLE_EQ(spatial_overlap(b, a), 0.48);
  EXPECT_NEAR(overlap_to_iou(spatial_overlap(a, b)), 0.315789, 5e-7);
}

TEST(SpatialOverlap, IsZeroForBoxesThatOnlyTouch) {
  EXPECT_EQ(spatial_overlap({0, 0, 0.5, 1}, {0.5, 0, 0.5, 1}), 0.0);
  EXPECT_EQ(spatial_overlap({0, 0, 0.2, 0.2}, {0.7, 0.7, 0.2, 0.2}), 0.0);
}

TEST(SpatialOverlap, OfTheOverflowingReleasedBoxFollowsThePixels) {  // w,h = 99,100, gamma 0.2, ov_w 19, ov_h 104
  EXPECT_NEAR(spatial_overlap({50, 50, 99, 100}, {50 - 80, 54, 99, 100}), 0.184242, 5e-7);
  EXPECT_NEAR(spatial_overlap({50, 50, 99, 100}, {50 - 80, 50, 99, 100}), 0.191919, 5e-7);  // clamped to h
}

TEST(OverlapToIou, GivesTheKnownPairs) {
  const double gamma[] = {1.0, 0.8, 0.6, 0.4, 0.2};
  const double iou[] = {1.0, 0.666667, 0.428571, 0.25, 0.111111};
  for (size_t i = 0; i < 5; ++i) EXPECT_NEAR(overlap_to_iou(gamma[i]), iou[i], 5e-7);
}

TEST(OverlapClass, IsTheNearestLevel) {
  EXPECT_EQ(overlap_class(1.0), 0);
  EXPECT_EQ(overlap_class(0.8), 1);
  EXPECT_EQ(overlap_class(0.799), 1);
  EXPECT_EQ(overlap_class(0.6), 2);
  EXPECT_EQ(overlap_class(0.4), 3);
  EXPECT_EQ(overlap_class(0.2), 4);
  EXPECT_EQ(overlap_class(0.184242), 4);
  EXPECT_EQ(overlap_class(0.0), 4);
}

TEST(TemporalOverlap, IsTheSharedPartOfTheSpan) {  // span = (16-1)*4 = 60 source frames
  const ViewPlan a = window(17 - 1, 16, 4);
  const ViewPlan b = window(41 - 1, 16, 4);
  EXPECT_DOUBLE_EQ(temporal_overlap(a, b), 0.6);
  EXPECT_DOUBLE_EQ(temporal_overlap(b, a), 0.6);
  EXPECT_EQ(shared_frames(a, b), 10);  // 10/16 = 0.625: the span is the unit, not the frame
}

TEST(TemporalOverlap, CanBeLargeWithoutASharedFrame) {
  const ViewPlan a = window(10 - 1, 16, 2);
  const ViewPlan b = window(15 - 1, 16, 2);
  EXPECT_NEAR(temporal_overlap(a, b), 0.833333, 5e-7);
  EXPECT_EQ(shared_frames(a, b), 0);
}

TEST(TemporalOverlap, IsZeroWhenDisjointAndOneWhenEqual) {
  EXPECT_EQ(temporal_overlap(window(0, 16, 1), window(15, 16, 1)), 0.0);
  EXPECT_EQ(temporal_overlap(window(0, 16, 1), window(500, 16, 1)), 0.0);
  EXPECT_EQ(temporal_overlap(window(7, 16, 8), window(7, 16, 8)), 1.0);
  EXPECT_EQ(temporal_overlap(window(7, 1, 8), window(7, 1, 8)), 1.0);
}

TEST(Overlaps, MultiplyToTheVolumetricOverlap) {
  const double spatial = spatial_overlap({20, 30, 200, 150}, {100, 60, 200, 150});
  const double temporal = temporal_overlap(window(16, 16, 4), window(40, 16, 4));
  EXPECT_NEAR(spatial * temporal, 0.288, 1e-12);
}

TEST(FramesWanted, AreSortedAndDistinctOverAllViews) {
  SamplePlan plan;
  plan.views = {window(40, 4, 4), window(32, 4, 4)};
  plan.views[0].frames.push_back(0);  // wrapped
  EXPECT_EQ(frames_wanted(plan), (std::vector<int64_t>{0, 32, 36, 40, 44, 48, 52}));
  EXPECT_TRUE(frames_wanted({}).empty());
  plan.frame_after = 56;
  EXPECT_EQ(frames_wanted(plan).back(), 56);
}

}  // namespace
}  // namespace cstp
