#include "cstp/video/picture.h"

#include <algorithm>
#include <cmath>
#include <opencv2/core.hpp>
#include <opencv2/imgcodecs.hpp>
#include <opencv2/imgproc.hpp>

#include "cstp/core/error.h"
#include "cstp/core/text.h"

namespace cstp {
namespace {

constexpr int kFont = cv::FONT_HERSHEY_SIMPLEX;
constexpr int kFractionBits = 4;  // OpenCV takes points as fixed-point numbers: sixteenths of a pixel

/// OpenCV's view of RGB bytes. Drawing does not care that OpenCV thinks of BGR.
cv::Mat matrix(std::span<uint8_t> rgb, int64_t width, int64_t height) {
  return cv::Mat(static_cast<int>(height), static_cast<int>(width), CV_8UC3, rgb.data());
}

cv::Scalar scalar(Color color) { return cv::Scalar(color.r, color.g, color.b); }

cv::Point fixed_point(double x, double y) {
  return {static_cast<int>(std::lround(x * (1 << kFractionBits))),
          static_cast<int>(std::lround(y * (1 << kFractionBits)))};
}

int letter_thickness(double scale) { return std::max(1, static_cast<int>(std::lround(scale * 1.5))); }

std::string ascii(std::string_view words) {
  std::string text(words);
  std::replace_if(
      text.begin(), text.end(), [](char c) { return c < ' ' || c > '~'; }, '?');
  return text;
}

std::string compressed(const Picture& picture, const std::string& extension, const std::vector<int>& parameters) {
  std::vector<uint8_t> pixels(picture.rgb().begin(), picture.rgb().end());
  cv::Mat bgr;
  cv::cvtColor(matrix(pixels, picture.width(), picture.height()), bgr, cv::COLOR_RGB2BGR);
  std::vector<uint8_t> file;
  check(cv::imencode(extension, bgr, file, parameters), "Picture: OpenCV could not compress the picture");
  return {file.begin(), file.end()};
}

}  // namespace

Picture::Picture(int64_t width, int64_t height, Color background) : width_(width), height_(height) {
  check(width > 0 && height > 0 && width < 65536 && height < 65536, "Picture: sides must be 1 to 65535");
  rgb_.resize(static_cast<size_t>(width * height * 3));
  fill(0, 0, width, height, background);
}

Color Picture::at(int64_t x, int64_t y) const {
  check(x >= 0 && y >= 0 && x < width_ && y < height_, "Picture::at: outside");
  const uint8_t* p = rgb_.data() + (y * width_ + x) * 3;
  return {p[0], p[1], p[2]};
}

void Picture::paste(std::span<const uint8_t> rgb, int64_t width, int64_t height, int64_t x, int64_t y) {
  check(std::ssize(rgb) == width * height * 3, "Picture::paste: bytes and size disagree");
  const int64_t left = std::max<int64_t>(0, -x);
  const int64_t right = std::min(width, width_ - x);
  if (left >= right) return;
  for (int64_t row = std::max<int64_t>(0, -y); row < std::min(height, height_ - y); ++row) {
    const uint8_t* from = rgb.data() + (row * width + left) * 3;
    std::copy_n(from, (right - left) * 3, rgb_.data() + ((y + row) * width_ + x + left) * 3);
  }
}

void Picture::paste_scaled(std::span<const uint8_t> rgb, int64_t width, int64_t height, int64_t x, int64_t y,
                           int64_t out_width, int64_t out_height) {
  check(std::ssize(rgb) == width * height * 3, "Picture::paste_scaled: bytes and size disagree");
  std::vector<uint8_t> source(rgb.begin(), rgb.end());  // cv::Mat wants memory it may write
  std::vector<uint8_t> scaled(static_cast<size_t>(out_width * out_height * 3));
  cv::Mat target = matrix(scaled, out_width, out_height);
  const bool shrinks = out_width < width || out_height < height;
  cv::resize(matrix(source, width, height), target, target.size(), 0, 0, shrinks ? cv::INTER_AREA : cv::INTER_CUBIC);
  paste(scaled, out_width, out_height, x, y);
}

void Picture::fill(int64_t x, int64_t y, int64_t width, int64_t height, Color color) {
  const int64_t left = std::clamp<int64_t>(x, 0, width_), right = std::clamp<int64_t>(x + width, 0, width_);
  const int64_t top = std::clamp<int64_t>(y, 0, height_), bottom = std::clamp<int64_t>(y + height, 0, height_);
  for (int64_t row = top; row < bottom; ++row) {
    for (int64_t column = left; column < right; ++column) {
      uint8_t* p = rgb_.data() + (row * width_ + column) * 3;
      p[0] = color.r, p[1] = color.g, p[2] = color.b;
    }
  }
}

void Picture::rectangle(int64_t x, int64_t y, int64_t width, int64_t height, Color color, int64_t thickness) {
  const int64_t bar_w = std::min(thickness, width), bar_h = std::min(thickness, height);
  fill(x, y, width, bar_h, color);
  fill(x, y + height - bar_h, width, bar_h, color);
  fill(x, y, bar_w, height, color);
  fill(x + width - bar_w, y, bar_w, height, color);
}

void Picture::line(double x0, double y0, double x1, double y1, Color color, int64_t thickness) {
  cv::Mat canvas = matrix(rgb_, width_, height_);
  cv::line(canvas, fixed_point(x0, y0), fixed_point(x1, y1), scalar(color), static_cast<int>(thickness), cv::LINE_AA,
           kFractionBits);
}

void Picture::arrow(double x0, double y0, double x1, double y1, Color color, int64_t thickness) {
  const double length = std::hypot(x1 - x0, y1 - y0);
  line(x0, y0, x1, y1, color, thickness);
  if (length < 1e-6) return;
  const double head = std::min(0.5 * length, 4.0 + 2.0 * static_cast<double>(thickness));
  const double angle = std::atan2(y1 - y0, x1 - x0);
  for (const double side : {-0.45, 0.45}) {  // radians: a slim head
    line(x1, y1, x1 - head * std::cos(angle + side), y1 - head * std::sin(angle + side), color, thickness);
  }
}

void Picture::text(int64_t x, int64_t y, std::string_view words, double scale, Color color) {
  const std::string letters = ascii(words);
  int baseline = 0;
  const cv::Size size = cv::getTextSize(letters, kFont, scale, letter_thickness(scale), &baseline);
  cv::Mat canvas = matrix(rgb_, width_, height_);
  const cv::Point foot(static_cast<int>(x), static_cast<int>(y) + size.height);
  cv::putText(canvas, letters, foot, kFont, scale, scalar(color), letter_thickness(scale), cv::LINE_AA);
}

int64_t Picture::text_width(std::string_view words, double scale) {
  int baseline = 0;
  return cv::getTextSize(ascii(words), kFont, scale, letter_thickness(scale), &baseline).width;
}

int64_t Picture::text_height(double scale) {
  int baseline = 0;
  return cv::getTextSize("Hg", kFont, scale, letter_thickness(scale), &baseline).height + baseline;
}

std::string Picture::png() const { return compressed(*this, ".png", {}); }

std::string Picture::jpeg(int64_t quality) const {
  return compressed(*this, ".jpg", {cv::IMWRITE_JPEG_QUALITY, static_cast<int>(quality)});
}

void Picture::save_png(const std::string& path) const { write_file_atomically(path, png()); }

}  // namespace cstp
