#include "cstp/objectives/sts_patterns.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace cstp {
namespace {

using testing::Each;
using testing::ElementsAre;

/// The blocks of a pattern that hold pixel (y, x), numbered as in the labels.
std::vector<int64_t> ids(const StsPatterns& patterns, size_t pattern, int64_t y, int64_t x) {
  std::vector<int64_t> found;
  const int64_t pixel = y * patterns.size + x;
  for (size_t i = 0; i < patterns.blocks[pattern].size(); ++i) {
    for (const PixelRun& run : patterns.blocks[pattern][i]) {
      if (run.begin <= pixel && pixel < run.end) found.push_back(static_cast<int64_t>(i) + 1);
    }
  }
  return found;
}

std::vector<int64_t> areas(const StsPatterns& patterns, size_t pattern) {
  std::vector<int64_t> counts;
  for (const Block& block : patterns.blocks[pattern]) counts.push_back(pixel_count(block));
  return counts;
}

TEST(StsPatterns, NumberTheirBlocksAsTheSpecification) {  // fact 5
  const StsPatterns patterns(112);
  struct Row {
    int64_t y, x, p1, p2;
    std::vector<int64_t> p3;
  };
  for (const Row& row :
       {Row{0, 0, 1, 4, {1, 2}}, Row{20, 90, 4, 3, {3}}, Row{42, 70, 7, 2, {4}}, Row{55, 56, 7, 1, {3, 4}},
        Row{56, 55, 10, 1, {5, 6}}, Row{100, 10, 13, 4, {5}}, Row{60, 100, 12, 4, {8}}, Row{111, 111, 16, 4, {7, 8}},
        Row{30, 10, 5, 4, {1}}, Row{10, 30, 2, 4, {2}}}) {
    EXPECT_THAT(ids(patterns, 0, row.y, row.x), ElementsAre(row.p1)) << row.y << "," << row.x;
    EXPECT_THAT(ids(patterns, 1, row.y, row.x), ElementsAre(row.p2)) << row.y << "," << row.x;
    EXPECT_EQ(ids(patterns, 2, row.y, row.x), row.p3) << row.y << "," << row.x;
  }
}

TEST(StsPatterns, HaveTheAreasOfTheSpecification) {  // section 4
  const StsPatterns small(112);
  EXPECT_THAT(areas(small, 0), Each(784));
  EXPECT_THAT(areas(small, 1), ElementsAre(784, 2352, 3920, 5488));
  EXPECT_THAT(areas(small, 2), Each(1596));
  EXPECT_EQ(pixel_count(small.whole), 112 * 112);
  const StsPatterns large(224);
  EXPECT_THAT(areas(large, 0), Each(3136));
  EXPECT_THAT(areas(large, 1), ElementsAre(3136, 9408, 15680, 21952));
  EXPECT_THAT(areas(large, 2), Each(6328));
}

TEST(StsPatterns, CoverEveryPixelOnceButForTheDiagonalsOfTheWedges) {
  for (const int64_t size : {8, 16, 40, 112}) {
    const StsPatterns patterns(size);
    for (int64_t y = 0; y < size; ++y) {
      for (int64_t x = 0; x < size; ++x) {
        ASSERT_EQ(ids(patterns, 0, y, x).size(), 1U);
        ASSERT_EQ(ids(patterns, 1, y, x).size(), 1U);
        ASSERT_EQ(ids(patterns, 2, y, x).size(), y == x || y + x == size - 1 ? 2U : 1U) << y << "," << x;
      }
    }
    EXPECT_THAT(areas(patterns, 2), Each(size / 2 * (size / 2 + 1) / 2));
  }
}

TEST(StsPatterns, RefuseASideThatHasNoEighths) { EXPECT_ANY_THROW(StsPatterns(100)); }

}  // namespace
}  // namespace cstp
