#include "cstp/video/picture.h"

#include <gtest/gtest.h>

#include <cstdlib>
#include <filesystem>
#include <opencv2/imgcodecs.hpp>

#include "cstp/core/error.h"
#include "cstp/core/text.h"

namespace cstp {
namespace {

constexpr Color kWhite = {255, 255, 255}, kRed = {200, 10, 20};

int64_t count(const Picture& picture, Color color) {
  int64_t found = 0;
  for (int64_t y = 0; y < picture.height(); ++y) {
    for (int64_t x = 0; x < picture.width(); ++x) found += picture.at(x, y) == color;
  }
  return found;
}

TEST(Picture, RectangleIsAnOutlineInsideItsBox) {
  Picture picture(30, 20);
  picture.rectangle(5, 4, 10, 8, kRed, 2);
  for (int64_t y = 0; y < 20; ++y) {
    for (int64_t x = 0; x < 30; ++x) {
      const bool in_box = x >= 5 && x < 15 && y >= 4 && y < 12;
      const bool in_hole = x >= 7 && x < 13 && y >= 6 && y < 10;
      EXPECT_EQ(picture.at(x, y), in_box && !in_hole ? kRed : kWhite) << x << "," << y;
    }
  }
}

TEST(Picture, WhatFallsOutsideIsCutOff) {
  Picture picture(8, 6);
  const std::vector<uint8_t> patch(4 * 4 * 3, 7);
  picture.paste(patch, 4, 4, -2, -3);  // a 2 x 1 corner is left
  picture.paste(patch, 4, 4, 7, 5);    // one pixel
  picture.paste(patch, 4, 4, 50, 0);
  picture.rectangle(-5, -5, 100, 100, kRed);
  picture.line(-20, 3, -10, 3, kRed);
  EXPECT_EQ(count(picture, {7, 7, 7}), 3);
  EXPECT_EQ(picture.at(1, 0), (Color{7, 7, 7}));
  EXPECT_EQ(picture.at(7, 5), (Color{7, 7, 7}));
  EXPECT_EQ(count(picture, kRed), 0);
}

TEST(Picture, PastedPixelsKeepTheirPlaceAndOrder) {
  std::vector<uint8_t> patch(2 * 2 * 3);
  for (size_t i = 0; i < patch.size(); ++i) patch[i] = static_cast<uint8_t>(i);
  Picture picture(5, 5);
  picture.paste(patch, 2, 2, 1, 2);
  EXPECT_EQ(picture.at(1, 2), (Color{0, 1, 2}));
  EXPECT_EQ(picture.at(2, 3), (Color{9, 10, 11}));
  picture.paste_scaled(patch, 2, 2, 4, 4, 1, 1);  // the mean of the four
  EXPECT_NEAR(picture.at(4, 4).r, 4.5, 0.51);
}

TEST(Picture, LineCoversItsPixelsAndArrowHasAHead) {
  Picture picture(40, 21);
  picture.line(2, 10, 20, 10, kRed);
  for (int64_t x = 3; x < 20; ++x) {  // drawn with soft edges, so a pixel of it is nearly its colour
    EXPECT_NEAR(picture.at(x, 10).r, kRed.r, 32) << x;
    EXPECT_NEAR(picture.at(x, 10).g, kRed.g, 32) << x;
  }
  EXPECT_EQ(picture.at(25, 10), kWhite);
  EXPECT_EQ(picture.at(10, 5), kWhite);

  Picture arrow(40, 21);
  arrow.arrow(2, 10, 30, 10, kRed);
  EXPECT_NE(arrow.at(26, 12), kWhite);
  EXPECT_NE(arrow.at(26, 8), kWhite);
  EXPECT_EQ(arrow.at(6, 12), kWhite);  // no head at its foot
}

TEST(Picture, TextStaysInItsMeasuredBox) {
  Picture picture(300, 60);
  picture.text(10, 12, "overlap 60 \xc3\xa9", 0.5, {0, 0, 0});
  const int64_t right = 10 + Picture::text_width("overlap 60 ??", 0.5) + 1, bottom = 12 + Picture::text_height(0.5);
  int64_t dark = 0;
  for (int64_t y = 0; y < 60; ++y) {
    for (int64_t x = 0; x < 300; ++x) {
      if (picture.at(x, y) == kWhite) continue;
      ++dark;
      EXPECT_TRUE(x >= 9 && x <= right && y >= 11 && y <= bottom) << x << "," << y;
    }
  }
  EXPECT_GT(dark, 100);
}

TEST(Picture, PngRoundTripsToTheByte) {
  Picture picture(13, 9);
  for (int64_t y = 0; y < 9; ++y) {
    for (int64_t x = 0; x < 13; ++x) {
      picture.fill(x, y, 1, 1,
                   {static_cast<uint8_t>(20 * x), static_cast<uint8_t>(25 * y), static_cast<uint8_t>(x * y)});
    }
  }
  const auto path = std::filesystem::temp_directory_path() / cat("cstp_picture_", ::getpid(), ".png");
  picture.save_png(path.string());
  const std::string bytes = read_text_file(path.string());
  std::filesystem::remove(path);
  const cv::Mat read = cv::imdecode(std::vector<uint8_t>(bytes.begin(), bytes.end()), cv::IMREAD_COLOR);
  ASSERT_EQ(read.cols, 13);
  ASSERT_EQ(read.rows, 9);
  for (int y = 0; y < 9; ++y) {
    for (int x = 0; x < 13; ++x) {
      const auto bgr = read.at<cv::Vec3b>(y, x);
      EXPECT_EQ(picture.at(x, y), (Color{bgr[2], bgr[1], bgr[0]}));
    }
  }
}

TEST(Picture, JpegKeepsColoursInTheirChannels) {
  const std::string bytes = Picture(16, 16, {200, 90, 30}).jpeg(90);
  const cv::Mat read = cv::imdecode(std::vector<uint8_t>(bytes.begin(), bytes.end()), cv::IMREAD_COLOR);
  ASSERT_EQ(read.cols, 16);
  const auto bgr = read.at<cv::Vec3b>(8, 8);
  EXPECT_NEAR(bgr[2], 200, 4);
  EXPECT_NEAR(bgr[1], 90, 4);
  EXPECT_NEAR(bgr[0], 30, 4);
}

TEST(Picture, MissingFolderIsADataErrorThatNamesThePath) {
  try {
    Picture(4, 4).save_png("no_such_folder/sheet.png");
    FAIL() << "nothing was thrown";
  } catch (const DataError& e) {
    EXPECT_NE(std::string(e.what()).find("no_such_folder"), std::string::npos) << e.what();
  }
}

}  // namespace
}  // namespace cstp
