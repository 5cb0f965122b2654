// Where pixels of a frame land in a view: crop, turns, flip, tilt, rotation metadata, memory layouts.
#include <gtest/gtest.h>

#include "made_frames.h"

namespace cstp {
namespace {

constexpr int64_t kSide = 24;

TEST(Placement, IdentityCropGivesTheFramesOwnColours) {
  // Constant chroma, so that every pixel's colour is known whatever the filter does between chroma samples.
  Picture picture = made_picture(
      32, 32, [](int64_t x, int64_t y) { return static_cast<int>(60 + (7 * x + 13 * y) % 100); },
      [](int64_t, int64_t) { return 110; }, [](int64_t, int64_t) { return 140; });
  for (const Filter filter : {Filter::nearest, Filter::bilinear, Filter::bicubic}) {
    const Sample sample = made_sample({picture});
    ViewPlan view = view_of(sample);
    view.filter = filter;
    const std::vector<float> out = rendered(sample, view, 32);
    for (int64_t y = 0; y < 32; ++y) {
      for (int64_t x = 0; x < 32; ++x) {  // BT.601 limited range: the well-known 1.164, 1.596, -0.392, -0.813, 2.017
        const double luma = 1.164384 * (static_cast<double>(60 + (7 * x + 13 * y) % 100) - 16);
        EXPECT_NEAR(pixel(out, 32, x, y, 0), (luma + 1.596027 * 12) / 255, 1e-5);
        EXPECT_NEAR(pixel(out, 32, x, y, 1), (luma - 0.391762 * -18 - 0.812968 * 12) / 255, 1e-5);
        EXPECT_NEAR(pixel(out, 32, x, y, 2), (luma + 2.017232 * -18) / 255, 1e-5);
      }
    }
  }
}

TEST(Placement, EveryMatrixTurnsItsPrimariesIntoPureColours) {
  struct Row {
    ColorMatrix matrix;
    double kr, kb;
  };
  for (const Row& row : {Row{ColorMatrix::bt601, 0.299, 0.114}, Row{ColorMatrix::bt709, 0.2126, 0.0722},
                         Row{ColorMatrix::bt2020, 0.2627, 0.0593}, Row{ColorMatrix::fcc, 0.30, 0.11},
                         Row{ColorMatrix::smpte240m, 0.212, 0.087}}) {
    for (int colour = 0; colour < 3; ++colour) {
      const double r = colour == 0, g = colour == 1, b = colour == 2;
      const double y = row.kr * r + (1 - row.kr - row.kb) * g + row.kb * b;
      const auto luma = static_cast<int>(std::lround(16 + 219 * y));
      const auto cb = static_cast<int>(std::lround(128 + 224 * (b - y) / (2 * (1 - row.kb))));
      const auto cr = static_cast<int>(std::lround(128 + 224 * (r - y) / (2 * (1 - row.kr))));
      Picture picture = made_picture(
          8, 8, [&](int64_t, int64_t) { return luma; }, [&](int64_t, int64_t) { return cb; },
          [&](int64_t, int64_t) { return cr; });
      picture.matrix = row.matrix;
      const Sample sample = made_sample({picture});
      const std::vector<float> out = rendered(sample, view_of(sample), 4);
      EXPECT_NEAR(out[0], r, 0.012);
      EXPECT_NEAR(out[1], g, 0.012);
      EXPECT_NEAR(out[2], b, 0.012);
    }
  }
}

TEST(Placement, PaddingInterleavingAndOddSizesDoNotChangeAPixel) {
  for (const auto& [width, height] : {std::pair<int64_t, int64_t>{40, 30}, {41, 31}, {33, 50}}) {
    const Picture picture = noisy_picture(width, height);
    const Sample dense = made_sample({picture});
    const ViewPlan view = view_of(dense, {0.1, 0.15, 0.75, 0.7});
    const std::vector<float> expected = rendered(dense, view, kSide);
    EXPECT_EQ(rendered(made_sample({picture}, {.padding = 13}), view, kSide), expected);
    EXPECT_EQ(rendered(made_sample({picture}, {.padding = 0, .interleaved = true}), view, kSide), expected);
    EXPECT_EQ(rendered(made_sample({picture}, {.padding = 7, .interleaved = true}), view, kSide), expected);
  }
}

TEST(Placement, FlippedViewIsTheMirrorImage) {
  for (const int64_t size :
       {int64_t{24}, int64_t{17}, int64_t{32}}) {  // sides that are and are not multiples of a tile
    const Sample sample = made_sample({noisy_picture(50, 38), noisy_picture(50, 38, 2)});
    ViewPlan view = view_of(sample, {0.2, 0.1, 0.6, 0.8});
    const std::vector<float> plain = rendered(sample, view, size);
    view.flip = true;
    EXPECT_EQ(rendered(sample, view, size), mirrored_view(plain, size));
  }
}

TEST(Placement, QuarterTurnsAfterTheCropTurnTheViewToTheBit) {
  for (const int64_t size : {int64_t{24}, int64_t{17}, int64_t{32}}) {
    const Sample sample = made_sample({noisy_picture(50, 38)});
    ViewPlan view = view_of(sample, {0.2, 0.1, 0.6, 0.8});
    const std::vector<float> plain = rendered(sample, view, size);
    for (int turns = 0; turns < 4; ++turns) {
      view.quarter_turns = turns;
      view.flip = false;
      EXPECT_EQ(rendered(sample, view, size), turned_view(plain, size, turns)) << turns;
      view.flip = true;  // after the turn
      EXPECT_EQ(rendered(sample, view, size), mirrored_view(turned_view(plain, size, turns), size)) << turns;
    }
  }
}

class TurnedPictures : public ::testing::TestWithParam<Filter> {};

TEST_P(TurnedPictures, TurningBeforeTheCropIsCroppingTheTurnedFrame) {
  const Picture picture = noisy_picture(52, 36);
  for (int turns = 0; turns < 4; ++turns) {
    const Picture turned = turned_picture(picture, turns);
    const Sample actual = made_sample({picture});
    const Sample expected = made_sample({turned});
    // Partly off the frame, as the second crop of released CSTP may be.
    for (const CropBox& crop : {pixel_box(turned, 4, 6, 24, 24), pixel_box(turned, 20, -8, 30, 40)}) {
      ViewPlan view = view_of(expected, crop);
      view.filter = GetParam();
      view.flip = true;
      const std::vector<float> wanted = rendered(expected, view, kSide);
      view.quarter_turns = turns;
      view.turn_before_crop = true;
      EXPECT_LT(largest_difference(rendered(actual, view, kSide), wanted), 1e-5) << turns;
    }
  }
}

TEST_P(TurnedPictures, RotationMetadataIsAnActuallyRotatedFrame) {
  const Picture picture = noisy_picture(52, 36);
  for (int turns = 0; turns < 4; ++turns) {
    Picture tagged = picture;
    tagged.quarter_turns = turns;
    const Picture upright = turned_picture(picture, turns);
    const Sample actual = made_sample({tagged});
    const Sample expected = made_sample({upright});
    for (const bool before : {false, true}) {
      ViewPlan view = view_of(expected, {0.1, 0.25, 0.7, 0.6});
      view.filter = GetParam();
      view.quarter_turns = 1;
      view.turn_before_crop = before;
      view.flip = turns % 2 == 0;
      EXPECT_LT(largest_difference(rendered(actual, view, kSide), rendered(expected, view, kSide)), 1e-5) << turns;
    }
  }
}

INSTANTIATE_TEST_SUITE_P(EveryFilter, TurnedPictures,
                         ::testing::Values(Filter::nearest, Filter::bilinear, Filter::bicubic));

TEST(Placement, NearestTiesAreDecidedTheSameWayInATurnedFrame) {
  const Picture picture = noisy_picture(48, 48);  // 2:1 exactly: every output centre lies between two samples
  for (int turns = 1; turns < 4; ++turns) {
    Picture tagged = picture;
    tagged.quarter_turns = turns;
    const Sample actual = made_sample({tagged});
    const Sample expected = made_sample({turned_picture(picture, turns)});
    ViewPlan view = view_of(expected);
    view.filter = Filter::nearest;
    EXPECT_EQ(rendered(actual, view, 24), rendered(expected, view, 24)) << turns;
  }
}

TEST(Placement, OutsideTheFrameIsBlack) {
  for (const ColorRange range : {ColorRange::limited, ColorRange::full}) {
    Picture picture = made_picture(
        40, 40, [](int64_t, int64_t) { return 200; }, [](int64_t, int64_t) { return 90; },
        [](int64_t, int64_t) { return 160; });
    picture.range = range;
    const Sample sample = made_sample({picture});
    for (const Filter filter : {Filter::nearest, Filter::bilinear, Filter::bicubic}) {
      ViewPlan view = view_of(sample, {0.5, 0.5, 1, 1});  // the lower right quarter and three quarters of nothing
      view.filter = filter;
      const std::vector<float> out = rendered(sample, view, 40);
      const std::vector<float> inside = rendered(sample, view_of(sample), 40);
      for (int64_t c = 0; c < 3; ++c) {
        EXPECT_NEAR(pixel(out, 40, 5, 5, c), pixel(inside, 40, 5, 5, c), 1e-6);
        for (const auto& [x, y] : {std::pair<int64_t, int64_t>{30, 5}, {5, 30}, {30, 30}, {39, 39}, {24, 0}}) {
          EXPECT_EQ(pixel(out, 40, x, y, c), 0.0F);
        }
      }
    }
    const ViewPlan nowhere = view_of(sample, {1.5, -2, 0.5, 0.5});
    EXPECT_EQ(rendered(sample, nowhere, 8), std::vector<float>(8 * 8 * 3, 0.0F));
  }
}

TEST(Placement, AWholeFrameIsNotDarkenedAtItsEdges) {
  const Sample sample = made_sample({grey_picture(101, 67, [](int64_t, int64_t) { return 235; })});
  for (const Filter filter : {Filter::nearest, Filter::bilinear, Filter::bicubic}) {
    for (const bool antialias : {false, true}) {
      ViewPlan view = view_of(sample);
      view.filter = filter;
      view.antialias = antialias;
      for (const float value : rendered(sample, view, kSide)) ASSERT_NEAR(value, 1.0F, 1e-5);
    }
  }
}

TEST(Placement, TiltIsCounterClockwiseAboutTheCentreWithBlackCorners) {
  const Sample sample = made_sample({noisy_picture(33, 33)});
  ViewPlan view = view_of(sample);
  const std::vector<float> plain = rendered(sample, view, 33);
  view.tilt_degrees = 90;
  EXPECT_EQ(rendered(sample, view, 33), turned_view(plain, 33, 1));
  view.tilt_degrees = -90;
  EXPECT_EQ(rendered(sample, view, 33), turned_view(plain, 33, 3));

  // A white picture with a black spot to the right of its centre: after 10 degrees it is 10 degrees higher up.
  const Sample spot =
      made_sample({grey_picture(33, 33, [](int64_t x, int64_t y) { return x == 28 && y == 16 ? 16 : 235; })});
  view.tilt_degrees = 10;
  const std::vector<float> tilted = rendered(spot, view, 33);
  EXPECT_EQ(pixel(tilted, 33, 28, 14), 0.0F);  // 16 + 12 cos 10, 16 - 12 sin 10 = (27.8, 13.9)
  EXPECT_NEAR(pixel(tilted, 33, 16, 16), 1.0F, 1e-6);
  for (const auto& [x, y] : {std::pair<int64_t, int64_t>{0, 0}, {32, 0}, {0, 32}, {32, 32}}) {
    EXPECT_EQ(pixel(tilted, 33, x, y), 0.0F);
  }
}

TEST(Placement, TiltComesAfterTurnAndFlip) {
  const Sample sample = made_sample({noisy_picture(40, 33)});
  ViewPlan view = view_of(sample);
  view.quarter_turns = 1;
  view.flip = true;
  const std::vector<float> plain = rendered(sample, view, kSide);
  view.tilt_degrees = 180;
  EXPECT_EQ(rendered(sample, view, kSide), turned_view(plain, kSide, 2));
}

TEST(Placement, FramesOfDifferentSizesInOneViewAreEachCutByTheirOwnSize) {
  const Picture small = wavy_picture(40, 30);
  Picture turned = wavy_picture(30, 40);
  turned.quarter_turns = 1;
  const Sample both = made_sample({small, turned, small});
  const ViewPlan view = view_of(both, {0.1, 0.2, 0.5, 0.6});
  const std::vector<float> out = rendered(both, view, kSide);
  const std::vector<Picture> pictures = {small, turned, small};
  for (size_t t = 0; t < pictures.size(); ++t) {
    const Sample one = made_sample({pictures[t]});
    const std::vector<float> alone = rendered(one, view_of(one, view.crop), kSide);
    EXPECT_TRUE(std::equal(alone.begin(), alone.end(), out.begin() + static_cast<std::ptrdiff_t>(t * alone.size())));
  }
}

TEST(Placement, MemoryOfAnyAlignmentReceivesTheSamePixels) {
  const Sample sample = made_sample({noisy_picture(50, 38), noisy_picture(50, 38, 2)});
  for (const int64_t size : {int64_t{32}, int64_t{17}}) {
    const ViewPlan view = view_of(sample, {0.2, 0.1, 0.6, 0.8});
    const std::vector<float> expected = rendered(sample, view, size);
    for (size_t shift = 0; shift < 5; ++shift) {
      std::vector<float> memory(expected.size() + 10, -9.0F);
      InputOptions unit;
      unit.range = "unit";
      render_cpu(sample, view, size, unit, std::span(memory).subspan(shift, expected.size()));
      EXPECT_TRUE(std::equal(expected.begin(), expected.end(), memory.begin() + static_cast<std::ptrdiff_t>(shift)));
      EXPECT_EQ(std::ranges::count(memory, -9.0F), 10) << shift;  // and nothing beside them
    }
  }
}

}  // namespace
}  // namespace cstp
