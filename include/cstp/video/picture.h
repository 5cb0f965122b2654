/// A picture to draw on and save as PNG: contact sheets of clips, block grids, arrows of motion.
///
/// Drawing and compression are OpenCV's; this is the project's only door to it for pictures.
#pragma once
#include <cstdint>
#include <span>
#include <string>
#include <string_view>
#include <vector>

namespace cstp {

struct Color {
  uint8_t r = 0, g = 0, b = 0;
  bool operator==(const Color&) const = default;
};

/// RGB bytes, row-major. Pixel (0,0) is at the top left; what falls outside is cut off. A plain value.
class Picture {
 public:
  Picture(int64_t width, int64_t height, Color background = {255, 255, 255});

  int64_t width() const { return width_; }
  int64_t height() const { return height_; }
  std::span<const uint8_t> rgb() const { return rgb_; }  ///< [height, width, 3]
  Color at(int64_t x, int64_t y) const;

  /// Copies an image whose top left corner comes to (x, y).
  /// @param rgb [height, width, 3] bytes
  void paste(std::span<const uint8_t> rgb, int64_t width, int64_t height, int64_t x, int64_t y);
  /// The same, scaled to out_width x out_height (area averages where it shrinks, bicubic where it grows).
  void paste_scaled(std::span<const uint8_t> rgb, int64_t width, int64_t height, int64_t x, int64_t y,
                    int64_t out_width, int64_t out_height);
  void fill(int64_t x, int64_t y, int64_t width, int64_t height, Color color);
  /// An outline that lies inside the given box.
  void rectangle(int64_t x, int64_t y, int64_t width, int64_t height, Color color, int64_t thickness = 1);
  void line(double x0, double y0, double x1, double y1, Color color, int64_t thickness = 1);
  /// A line with a head at its second point.
  void arrow(double x0, double y0, double x1, double y1, Color color, int64_t thickness = 1);
  /// Letters whose capitals are about 21 * scale pixels high; (x, y) is the top left corner. Bytes outside ASCII are
  /// shown as '?'.
  void text(int64_t x, int64_t y, std::string_view words, double scale, Color color);
  static int64_t text_width(std::string_view words, double scale);
  static int64_t text_height(double scale);  ///< from the top of a capital to the foot of a 'g'

  /// The file's bytes.
  std::string png() const;
  /// The same as JPEG, smaller and not exact. @param quality 1 to 100
  std::string jpeg(int64_t quality) const;
  /// Written beside and renamed. @throws DataError if the file cannot be written
  void save_png(const std::string& path) const;

 private:
  int64_t width_;
  int64_t height_;
  std::vector<uint8_t> rgb_;
};

}  // namespace cstp
