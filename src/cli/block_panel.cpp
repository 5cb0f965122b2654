#include "block_panel.h"

#include <algorithm>
#include <array>
#include <cmath>
#include <numbers>

#include "cstp/core/error.h"

namespace cstp {
namespace {

constexpr int64_t kOutline = 3;  // pixels
constexpr Color kShadow{10, 10, 10};
constexpr std::array<Color, 8> kOctants = {Color{0, 0, 255},     Color{0, 255, 255}, Color{255, 0, 255},
                                           Color{255, 255, 255}, Color{0, 0, 0},     Color{0, 255, 0},
                                           Color{255, 0, 0},     Color{255, 255, 0}};
constexpr std::array<const char*, 8> kOctantNames = {"blue",  "cyan",  "magenta", "white",
                                                     "black", "green", "red",     "yellow"};

/// Which pixels of a panel belong to a block.
class Mask {
 public:
  Mask(const Block& block, int64_t size, int64_t side) : side_(side), inside_(static_cast<size_t>(side * side)) {
    std::vector<bool> view(static_cast<size_t>(size * size));
    for (const PixelRun& run : block) std::fill(view.begin() + run.begin, view.begin() + run.end, true);
    for (int64_t y = 0; y < side; ++y) {
      for (int64_t x = 0; x < side; ++x) {
        inside_[static_cast<size_t>(y * side + x)] =
            view[static_cast<size_t>((2 * y + 1) * size / (2 * side) * size + (2 * x + 1) * size / (2 * side))];
      }
    }
  }
  bool at(int64_t x, int64_t y) const {
    return x >= 0 && y >= 0 && x < side_ && y < side_ && inside_[static_cast<size_t>(y * side_ + x)];
  }
  /// Inside, with a pixel outside no further away than the outline is thick.
  bool is_rim(int64_t x, int64_t y) const {
    if (!at(x, y)) return false;
    for (int64_t down = -kOutline; down <= kOutline; ++down) {
      for (int64_t across = -kOutline; across <= kOutline; ++across) {
        if (!at(x + across, y + down)) return true;
      }
    }
    return false;
  }

 private:
  int64_t side_;
  std::vector<bool> inside_;
};

Color faded(Color color) {  // half way to white
  const auto half = [](uint8_t value) { return static_cast<uint8_t>((value + 255) / 2); };
  return {half(color.r), half(color.g), half(color.b)};
}

void draw_arrow(Picture& sheet, double x, double y, double length, int64_t orientation, Color color) {
  const double angle = static_cast<double>(orientation - 1) * std::numbers::pi / 4;
  const double across = 0.5 * length * std::cos(angle), down = 0.5 * length * std::sin(angle);
  sheet.arrow(x - across, y - down, x + across, y + down, kShadow, 5);
  sheet.arrow(x - across, y - down, x + across, y + down, color, 2);
}

}  // namespace

Color octant_color(int64_t octant) {
  check(octant >= 1 && octant <= 8, "octant_color: there are eight");
  return kOctants[static_cast<size_t>(octant - 1)];
}

std::string octant_name(int64_t octant) {
  check(octant >= 1 && octant <= 8, "octant_name: there are eight");
  return kOctantNames[static_cast<size_t>(octant - 1)];
}

BlockPlace block_place(const StsPatterns& patterns, int64_t pattern, int64_t block) {
  const std::vector<Block>& blocks = patterns.blocks[static_cast<size_t>(pattern)];
  check(block >= 1 && block <= std::ssize(blocks), "block_place: no such block");
  if (pattern == 1 && block > 1) {  // a ring: 14 of 112 pixels wide
    const auto bar = static_cast<double>(patterns.size) / 8;
    return {static_cast<double>(patterns.size) / 2, bar * (static_cast<double>(4 - block) + 0.5)};
  }
  double x = 0, y = 0, pixels = 0;
  for (const PixelRun& run : blocks[static_cast<size_t>(block - 1)]) {
    for (int64_t at = run.begin; at < run.end; ++at) {
      x += static_cast<double>(at % patterns.size) + 0.5;
      y += static_cast<double>(at / patterns.size) + 0.5;
      ++pixels;
    }
  }
  return {x / pixels, y / pixels};
}

void draw_block_panel(Picture& sheet, int64_t x, int64_t y, int64_t side, const StsPatterns& patterns, int64_t pattern,
                      std::span<const uint8_t> background, std::span<const BlockMark> marks) {
  sheet.paste_scaled(background, patterns.size, patterns.size, x, y, side, side);
  const std::vector<Block>& blocks = patterns.blocks[static_cast<size_t>(pattern)];
  std::vector<Mask> masks;
  for (const Block& block : blocks) masks.emplace_back(block, patterns.size, side);
  for (int64_t row = 0; row < side; ++row) {
    for (int64_t column = 0; column < side; ++column) {
      const bool line = std::any_of(masks.begin(), masks.end(), [&](const Mask& mask) {
        return mask.at(column, row) &&
               ((column + 1 < side && !mask.at(column + 1, row)) || (row + 1 < side && !mask.at(column, row + 1)));
      });
      if (line) sheet.fill(x + column, y + row, 1, 1, faded(sheet.at(x + column, y + row)));
    }
  }
  const auto in_pattern = [&](const BlockMark& mark) { return mark.block >= 1 && mark.block <= std::ssize(blocks); };
  for (const BlockMark& mark : marks) {
    if (!in_pattern(mark)) continue;
    const Mask& mask = masks[static_cast<size_t>(mark.block - 1)];
    for (int64_t row = 0; row < side; ++row) {
      for (int64_t column = 0; column < side; ++column) {
        if (mask.is_rim(column, row)) sheet.fill(x + column, y + row, 1, 1, mark.outline);
      }
    }
  }
  const double scale = static_cast<double>(side) / static_cast<double>(patterns.size);
  int64_t shift = 0;  // two swatches of one block stand side by side
  for (size_t i = 0; i < marks.size(); ++i) {
    const BlockMark& mark = marks[i];
    if (!in_pattern(mark)) continue;
    const BlockPlace place = block_place(patterns, pattern, mark.block);
    const double centre_x = static_cast<double>(x) + scale * place.x,
                 centre_y = static_cast<double>(y) + scale * place.y;
    if (mark.orientation >= 1) {
      const double length = 0.23 * static_cast<double>(side), room = 0.5 * length + 2;
      const auto inside = [&](double centre, int64_t start) {
        return std::clamp(centre, static_cast<double>(start) + room, static_cast<double>(start + side) - room);
      };
      draw_arrow(sheet, inside(centre_x, x), inside(centre_y, y), length, mark.orientation, mark.outline);
    }
    if (mark.octant < 1) continue;
    constexpr int64_t kSwatch = 14;
    if (i > 0 && marks[i - 1].block == mark.block) shift = kSwatch + 2;
    const int64_t left = std::lround(centre_x) - kSwatch / 2 + shift, top = std::lround(centre_y) - kSwatch / 2;
    sheet.fill(left, top, kSwatch, kSwatch, mark.outline);
    sheet.fill(left + 2, top + 2, kSwatch - 4, kSwatch - 4, octant_color(mark.octant));
  }
}

}  // namespace cstp
