// Flow of views, on pictures whose motion is known; raw bytes beside it.
#include "cstp/augment/view_flow.h"

#include <gtest/gtest.h>

#include "cstp/core/error.h"
#include "cstp/data/flow_dump.h"
#include "cstp/video/synthetic.h"
#include "data/temporary_folder.h"
#include "made_frames.h"

namespace cstp {
namespace {

constexpr int64_t kView = 40;

/// A pattern that moves by (dx, dy) source pixels a frame, as a whole.
Sample drifting_sample(int64_t frames, double dx, double dy) {
  std::vector<Picture> pictures;
  for (int64_t t = 0; t < frames; ++t) {
    const auto wave = [=](int64_t x, int64_t y) {
      const double a = static_cast<double>(x) - dx * static_cast<double>(t);
      const double b = static_cast<double>(y) - dy * static_cast<double>(t);
      return static_cast<int>(std::lround(120 + 45 * std::sin(.23 * a + .11 * b) + 45 * std::cos(.17 * b - .06 * a)));
    };
    pictures.push_back(grey_picture(160, 120, wave));
  }
  return made_sample(pictures);
}

double mean(const std::vector<float>& values) {
  double sum = 0;
  for (const float value : values) sum += value;
  return sum / static_cast<double>(values.size());
}

TEST(GrowCrop, TakesTheMarginOnBothSidesWhereThereIsRoom) {
  const GrownCrop grown = grow_crop({.25, .25, .5, .5}, 40, 8);  // pixels of 1/80
  EXPECT_EQ(grown.side, 56);
  EXPECT_EQ(grown.left, 8);
  EXPECT_EQ(grown.top, 8);
  EXPECT_NEAR(grown.box.x, .15, 1e-12);
  EXPECT_NEAR(grown.box.w, .7, 1e-12);
}

TEST(GrowCrop, NeverLeavesTheFrame) {
  const GrownCrop corner = grow_crop({0, .5, .5, .5}, 40, 8);  // lower left: all of the margin to the right and above
  EXPECT_EQ(corner.side, 56);
  EXPECT_EQ(corner.left, 0);
  EXPECT_EQ(corner.top, 16);
  EXPECT_NEAR(corner.box.x, 0, 1e-12);
  EXPECT_NEAR(corner.box.y + corner.box.h, 1, 1e-12);
  const GrownCrop high = grow_crop({.25, 0, .5, 1}, 40, 8);  // no room above or below: the square stays as it is
  EXPECT_EQ(high.side, 40);
  EXPECT_EQ(high.box, (CropBox{.25, 0, .5, 1}));
  for (double x = 0; x <= .5; x += .01) {
    const GrownCrop any = grow_crop({x, .5 - x, .5, .5}, 40, 8);
    EXPECT_GE(any.box.x, -1e-9);
    EXPECT_LE(any.box.y + any.box.h, 1 + 1e-9);
    EXPECT_GE(any.left, 0);
    EXPECT_LE(any.left + 40, any.side);
  }
}

TEST(ViewFlow, IsInPixelsOfTheViewToTheRightAndDown) {
  const Sample sample = drifting_sample(4, 4, -2);
  const ViewPlan view = view_of(sample, {.25, .25, .5, .5});  // 80x60 source pixels to 40x40: 2 and 1.5 a pixel
  const ViewFlow flow = view_flow(sample, view, -1, kView, {});
  ASSERT_EQ(flow.fields, 3);
  ASSERT_EQ(flow.u.size(), 3U * kView * kView);
  EXPECT_NEAR(mean(flow.u), 2, .1);
  EXPECT_NEAR(mean(flow.v), -2 / 1.5, .1);
}

TEST(ViewFlow, OfAFlippedViewIsTheMirrorImageWithItsSignTurned) {
  const Sample sample = drifting_sample(3, 3, 1);
  ViewPlan view = view_of(sample, {.1, .2, .5, .6});
  const ViewFlow plain = view_flow(sample, view, -1, kView, {});
  view.flip = true;
  const ViewFlow flipped = view_flow(sample, view, -1, kView, {});
  EXPECT_NEAR(mean(flipped.u), -mean(plain.u), 1e-5);
  for (int64_t i = 0; i < 2 * kView * kView; ++i) {
    const auto from = static_cast<size_t>(i / kView * kView + kView - 1 - i % kView);
    ASSERT_EQ(flipped.u[static_cast<size_t>(i)], -plain.u[from]);
    ASSERT_EQ(flipped.v[static_cast<size_t>(i)], plain.v[from]);
  }
}

TEST(ViewFlow, LooksAtTheFrameAfterTheClipWhereAsked) {
  const Sample sample = drifting_sample(4, 2, 0);
  ViewPlan view = view_of(sample, {.25, .25, .5, .5});
  const ViewFlow whole = view_flow(sample, view, -1, kView, {});
  view.frames = {0, 1, 2};
  const ViewFlow past = view_flow(sample, view, 3, kView, {});
  EXPECT_EQ(past.fields, 3);
  EXPECT_EQ(past.u, whole.u);
}

TEST(ViewFlow, AMarginSeesWhatComesIn) {  // a step of 6 output pixels: at the edge the crop alone has nothing to match
  const Sample sample = drifting_sample(2, 12, 0);
  const ViewPlan view = view_of(sample, {.3, .2, .4, .5333333});
  const auto error_at_the_right = [&](int64_t margin) {  // where pixels leave
    const ViewFlow flow = view_flow(sample, view, -1, kView, {.solver = {}, .margin = margin});
    double sum = 0;
    for (int64_t y = 0; y < kView; ++y) {
      for (int64_t x = kView - 6; x < kView; ++x) sum += std::abs(flow.u[static_cast<size_t>(y * kView + x)] - 7.5);
    }
    return sum / (6 * kView);
  };
  EXPECT_LT(error_at_the_right(12), .5 * error_at_the_right(0));
}

/// A synthetic video of 64 x 48 pixels, and its flow at that size.
class StoredViewFlow : public testing::Test {
 protected:
  StoredViewFlow() {
    SyntheticOptions options;
    options.classes = 2;
    options.train_per_class = options.test_per_class = 1;
    options.frames = 8;
    options.width = 64;
    options.height = 48;
    make_synthetic(folder_ / "data", options, 1);
    video_ = std::string(folder_ / "data") + "/train/" + synthetic_classes(options)[0] + "/0000.mp4";
    FlowDumpSetup setup;
    setup.videos = {video_};
    setup.root = folder_ / "data";
    setup.folder = folder_ / "dump";
    setup.settings.flow = {.method = "dis", .preset = "fast"};
    setup.settings.short_side = 48;
    setup.workers = 1;
    dump_flow(setup);
    store_ = std::make_unique<FlowStore>(setup.folder, setup.root);
    view_.frames = {2, 3, 4};
    view_.crop = {8.0 / 64, 0, 48.0 / 64, 1};
  }
  TemporaryFolder folder_;
  std::string video_;
  std::unique_ptr<FlowStore> store_;
  ViewPlan view_;  ///< 48 x 48 pixels, from column 8 on
};

TEST_F(StoredViewFlow, IsTheStoredFieldWhereThePixelsAreTheSame) {
  const ViewFlow flow = stored_view_flow(*store_, video_, view_, 5, 48);
  ASSERT_EQ(flow.fields, 3);
  const FlowFields stored = store_->read(video_, 2, 3);
  double motion = 0;
  for (int64_t t = 0; t < 3; ++t) {
    for (int64_t i = 0; i < 48 * 48; ++i) {
      const auto from = static_cast<size_t>(i / 48 * 64 + 8 + i % 48), to = static_cast<size_t>(t * 48 * 48 + i);
      ASSERT_EQ(flow.u[to], flow_pixels(stored.plane(t, 0)[from]));
      ASSERT_EQ(flow.v[to], flow_pixels(stored.plane(t, 1)[from]));
      motion = std::max<double>(motion, std::abs(flow.u[to]));
    }
  }
  EXPECT_GT(motion, .5);
}

TEST_F(StoredViewFlow, IsResizedToTheViewAndKeepsItsValues) {
  const ViewFlow small = stored_view_flow(*store_, video_, view_, -1, 24);
  const ViewFlow whole = stored_view_flow(*store_, video_, view_, -1, 48);
  ASSERT_EQ(small.u.size(), 2U * 24 * 24);
  EXPECT_NEAR(mean(small.u), mean(whole.u), .02);
  EXPECT_NEAR(mean(small.v), mean(whole.v), .02);
}

TEST_F(StoredViewFlow, FlipsWithTheView) {
  const ViewFlow plain = stored_view_flow(*store_, video_, view_, -1, 48);
  view_.flip = true;
  const ViewFlow flipped = stored_view_flow(*store_, video_, view_, -1, 48);
  for (int64_t i = 0; i < 2 * 48 * 48; ++i) {
    const auto from = static_cast<size_t>(i / 48 * 48 + 47 - i % 48);
    ASSERT_EQ(flipped.u[static_cast<size_t>(i)], -plain.u[from]);
    ASSERT_EQ(flipped.v[static_cast<size_t>(i)], plain.v[from]);
  }
}

TEST_F(StoredViewFlow, OfAFrameThatRepeatsIsZeroAndOfAnAbsentVideoAnError) {
  view_.frames = {6, 7, 7, 7};
  const ViewFlow flow = stored_view_flow(*store_, video_, view_, -1, 48);
  for (size_t i = 48 * 48; i < flow.u.size(); ++i) ASSERT_EQ(flow.u[i], 0);
  EXPECT_NE(flow.u[0], 0);
  EXPECT_THROW(stored_view_flow(*store_, video_ + "x", view_, -1, 48), DecodeError);
}

TEST(RenderRaw, GivesTheBytesOfTheViewWithoutItsColours) {
  Sample sample = made_sample({noisy_picture(50, 38, 1), noisy_picture(50, 38, 2)});
  ViewPlan plain = view_of(sample, {.1, .1, .6, .7});
  plain.flip = true;
  ViewPlan coloured = plain;
  coloured.color.jitter = {ColorOp::brightness, ColorOp::hue};
  coloured.color.brightness = 1.4;
  coloured.color.hue = .2;
  coloured.color.grey = true;
  sample.plan.views = {plain, coloured};
  render_raw(sample, kView);
  const std::vector<float> wanted = rendered(sample, plain, kView);
  ASSERT_EQ(sample.raw.size(), 2 * wanted.size());
  for (size_t i = 0; i < wanted.size(); ++i) {
    ASSERT_EQ(sample.raw[i], static_cast<uint8_t>(std::lround(255 * wanted[i])));
    ASSERT_EQ(sample.raw[wanted.size() + i], sample.raw[i]);
  }
  EXPECT_FALSE(sample.frames.empty());
}

}  // namespace
}  // namespace cstp
