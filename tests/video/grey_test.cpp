#include "cstp/video/grey.h"

#include <gtest/gtest.h>

#include <vector>

#include "cstp/core/error.h"

namespace cstp {
namespace {

using Size = std::pair<int64_t, int64_t>;

TEST(SizeWithShortSide, KeepsTheProportionToAnEvenLongSide) {
  EXPECT_EQ(size_with_short_side({.width = 320, .height = 240}, 256), (Size{340, 256}));  // UCF101, as published
  EXPECT_EQ(size_with_short_side({.width = 240, .height = 320}, 256), (Size{256, 340}));
  EXPECT_EQ(size_with_short_side({.width = 1920, .height = 1080}, 256), (Size{454, 256}));
  EXPECT_EQ(size_with_short_side({.width = 64, .height = 64}, 33), (Size{33, 33}));
}

/// A frame over a luma plane alone.
Frame luma_frame(const std::vector<uint8_t>& luma, int64_t width, int64_t height, ColorRange range) {
  return {.y = luma.data(), .y_stride = width, .width = width, .height = height, .range = range};
}

TEST(GreyFrame, StretchesLimitedRange) {
  const std::vector<uint8_t> luma = {0, 16, 126, 235, 255, 17};
  std::vector<uint8_t> grey(6);
  grey_frame(luma_frame(luma, 3, 2, ColorRange::limited), 3, 2, grey);
  EXPECT_EQ(grey, (std::vector<uint8_t>{0, 0, 128, 255, 255, 1}));
  grey_frame(luma_frame(luma, 3, 2, ColorRange::full), 3, 2, grey);
  EXPECT_EQ(grey, luma);
}

TEST(GreyFrame, StandsUpright) {
  const std::vector<uint8_t> luma = {1, 2, 3, 4, 5, 6};  // 1 2 3 over 4 5 6
  Frame frame = luma_frame(luma, 3, 2, ColorRange::full);
  std::vector<uint8_t> grey(6);
  frame.quarter_turns = 1;  // counter-clockwise: 3 6, 2 5, 1 4
  grey_frame(frame, 2, 3, grey);
  EXPECT_EQ(grey, (std::vector<uint8_t>{3, 6, 2, 5, 1, 4}));
  frame.quarter_turns = 2;
  grey_frame(frame, 3, 2, grey);
  EXPECT_EQ(grey, (std::vector<uint8_t>{6, 5, 4, 3, 2, 1}));
  frame.quarter_turns = 3;
  grey_frame(frame, 2, 3, grey);
  EXPECT_EQ(grey, (std::vector<uint8_t>{4, 1, 5, 2, 6, 3}));
}

TEST(GreyFrame, AveragesWhereItShrinks) {
  std::vector<uint8_t> luma(64 * 64);
  for (size_t i = 0; i < luma.size(); ++i) luma[i] = (i % 64 + i / 64) % 2 == 0 ? 100 : 200;  // a fine chessboard
  std::vector<uint8_t> grey(16 * 16);
  grey_frame(luma_frame(luma, 64, 64, ColorRange::full), 16, 16, grey);
  for (const uint8_t value : grey) EXPECT_EQ(value, 150);
}

TEST(PlaneCodec, PngIsExactAndJpegIsNear) {
  std::vector<uint8_t> plane(40 * 30);
  for (size_t i = 0; i < plane.size(); ++i) plane[i] = static_cast<uint8_t>(i % 40 * 4 + i / 40);
  std::vector<uint8_t> back(plane.size());
  const std::string png = compress_plane(plane, 40, 30, {.name = "png"});
  ASSERT_TRUE(decompress_plane(png, 40, 30, back));
  EXPECT_EQ(back, plane);
  const std::string jpeg = compress_plane(plane, 40, 30, {.name = "jpeg", .quality = 95});
  ASSERT_TRUE(decompress_plane(jpeg, 40, 30, back));
  for (size_t i = 0; i < plane.size(); ++i) EXPECT_NEAR(back[i], plane[i], 6);
  EXPECT_THROW(compress_plane(plane, 40, 30, {.name = "bmp"}), ConfigError);
}

TEST(PlaneCodec, TellsDamagedFilesAndOtherSizes) {
  const std::vector<uint8_t> plane(40 * 30, 7);
  const std::string png = compress_plane(plane, 40, 30, {});
  std::vector<uint8_t> back(plane.size());
  EXPECT_FALSE(decompress_plane(png, 30, 40, back));
  EXPECT_FALSE(decompress_plane(std::string("no picture"), 40, 30, back));
  EXPECT_FALSE(decompress_plane(std::string(), 40, 30, back));
}

}  // namespace
}  // namespace cstp
