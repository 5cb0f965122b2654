#include "block_panel.h"

#include <gtest/gtest.h>

#include <vector>

namespace cstp {
namespace {

constexpr Color kGreen{0, 255, 0};

/// A black panel of 224 pixels for views of 112, at (10, 20) of a white picture.
class BlockPanel : public testing::Test {
 protected:
  Picture draw(int64_t pattern, const std::vector<BlockMark>& marks) const {
    Picture picture(250, 260);
    const std::vector<uint8_t> black(112 * 112 * 3, 0);
    draw_block_panel(picture, 10, 20, 224, patterns_, pattern, black, marks);
    return picture;
  }
  /// The picture's colour at a pixel of the view.
  static Color at(const Picture& picture, int64_t x, int64_t y) { return picture.at(10 + 2 * x, 20 + 2 * y); }
  static int64_t count(const Picture& picture, Color color, int64_t from_x, int64_t to_x) {
    int64_t found = 0;
    for (int64_t y = 0; y < picture.height(); ++y) {
      for (int64_t x = from_x; x < to_x; ++x) found += picture.at(x, y) == color;
    }
    return found;
  }
  StsPatterns patterns_{112};
};

TEST_F(BlockPanel, OutlinesTheBlockThatTheLabelNames) {
  const Picture grid = draw(0, {{.block = 7, .outline = kGreen}});  // columns 56 to 83, rows 28 to 55
  EXPECT_EQ(at(grid, 56, 28), kGreen);
  EXPECT_EQ(at(grid, 83, 55), kGreen);
  EXPECT_EQ(at(grid, 70, 42), (Color{0, 0, 0}));  // its inside shows the picture
  EXPECT_EQ(at(grid, 70, 20), (Color{0, 0, 0}));  // the block above
  EXPECT_EQ(grid.at(9, 20), (Color{255, 255, 255}));

  const Picture ring = draw(1, {{.block = 3, .outline = kGreen}});  // [14, 98) without [28, 84)
  EXPECT_EQ(at(ring, 14, 50), kGreen);
  EXPECT_EQ(at(ring, 27, 50), kGreen);  // its inner edge
  EXPECT_EQ(at(ring, 20, 50), (Color{0, 0, 0}));
  EXPECT_EQ(at(ring, 40, 50), (Color{0, 0, 0}));

  const Picture wedge = draw(2, {{.block = 3, .outline = kGreen}});  // top right, upper left half
  EXPECT_EQ(at(wedge, 90, 0), kGreen);
  EXPECT_EQ(at(wedge, 100, 40), (Color{0, 0, 0}));
}

TEST_F(BlockPanel, DrawsNothingForLabelsThatNameNoBlock) {
  for (const int64_t block : {0, 17, -3}) {
    const Picture picture = draw(0, {{.block = block, .outline = kGreen, .orientation = 3, .octant = 2}});
    EXPECT_EQ(count(picture, kGreen, 0, 250), 0) << block;
  }
}

TEST_F(BlockPanel, ArrowsTurnClockwiseFromTheRight) {
  // The head is the heavier end. Block 6 of the grid: centre (42, 42) of the view, (94, 104) of the picture.
  const auto heavier_right = [&](int64_t orientation) {
    const Picture picture = draw(0, {{.block = 6, .outline = kGreen, .orientation = orientation}});
    return count(picture, kGreen, 94, 250) > count(picture, kGreen, 0, 94);
  };
  EXPECT_TRUE(heavier_right(1));
  EXPECT_TRUE(heavier_right(2));
  EXPECT_FALSE(heavier_right(5));
  EXPECT_TRUE(heavier_right(8));
  const Picture down = draw(0, {{.block = 6, .outline = kGreen, .orientation = 3}});
  int64_t above = 0, below = 0;
  for (int64_t x = 80; x < 108; ++x) {  // away from the outline
    for (int64_t y = 80; y < 104; ++y) above += down.at(x, y) == kGreen;
    for (int64_t y = 105; y < 129; ++y) below += down.at(x, y) == kGreen;
  }
  EXPECT_GT(below, above);
}

TEST_F(BlockPanel, SwatchesShowTheColourOfTheirOctant) {
  const std::vector<BlockMark> marks = {{.block = 7, .outline = kGreen, .octant = 7},
                                        {.block = 7, .outline = Color{1, 2, 3}, .octant = 8}};
  const Picture picture = draw(0, marks);
  EXPECT_EQ(at(picture, 70, 42), octant_color(7));
  EXPECT_EQ(picture.at(10 + 140 + 16, 20 + 84), octant_color(8));  // beside the first
  for (int64_t octant = 1; octant <= 8; ++octant) {
    const Color color = octant_color(octant);
    EXPECT_EQ(1 + 4 * (color.b < 128) + 2 * (color.r >= 128) + (color.g >= 128), octant);
  }
  EXPECT_EQ(octant_name(8), "yellow");
}

TEST_F(BlockPanel, PlacesStandInTheirBlocks) {
  const auto expect_place = [&](int64_t pattern, int64_t block, double x, double y) {
    const BlockPlace place = block_place(patterns_, pattern, block);
    EXPECT_NEAR(place.x, x, 1e-9) << pattern << "," << block;
    EXPECT_NEAR(place.y, y, 1e-9) << pattern << "," << block;
  };
  expect_place(0, 1, 14, 14);
  expect_place(0, 7, 70, 42);
  expect_place(1, 1, 56, 56);
  expect_place(1, 2, 56, 35);
  expect_place(1, 4, 56, 7);
}

}  // namespace
}  // namespace cstp
