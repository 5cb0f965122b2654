#include "cstp/engine/confusion_picture.h"

#include <algorithm>
#include <cmath>

#include "cstp/core/text.h"

namespace cstp {
namespace {

constexpr int64_t kMargin = 24;
constexpr double kTitleScale = 0.6;
constexpr Color kInk{30, 30, 30};
constexpr Color kGrid{225, 225, 225};
constexpr Color kEmpty{238, 238, 238};  ///< row of a class without test videos

Color mix(Color a, Color b, double share) {
  const auto channel = [share](uint8_t from, uint8_t to) {
    return static_cast<uint8_t>(std::lround(from + (to - from) * share));
  };
  return {channel(a.r, b.r), channel(a.g, b.g), channel(a.b, b.b)};
}

/// White to blue (right) or to brown over orange (wrong).
Color shade(double share, bool right) {
  const Color middle = right ? Color{107, 174, 214} : Color{253, 141, 60};
  const Color full = right ? Color{8, 48, 107} : Color{127, 39, 4};
  return share < 0.5 ? mix({255, 255, 255}, middle, share * 2) : mix(middle, full, share * 2 - 1);
}

/// White letters on dark grounds.
Color ink_on(Color ground) {
  const int light = 3 * ground.r + 6 * ground.g + ground.b;
  return light < 1400 ? Color{255, 255, 255} : kInk;
}

/// Text that reads from the bottom to the top; (x, y) is its lower left corner, its letters' feet look right.
void text_upwards(Picture& picture, int64_t x, int64_t y, const std::string& words, double scale) {
  const int64_t width = Picture::text_width(words, scale) + 4;
  const int64_t height = Picture::text_height(scale) + 2;
  Picture flat(width, height);
  flat.text(2, 1, words, scale, kInk);
  std::vector<uint8_t> turned(static_cast<size_t>(width * height * 3));
  for (int64_t row = 0; row < width; ++row) {
    for (int64_t column = 0; column < height; ++column) {
      const Color color = flat.at(width - 1 - row, column);
      uint8_t* p = turned.data() + (row * height + column) * 3;
      p[0] = color.r, p[1] = color.g, p[2] = color.b;
    }
  }
  picture.paste(turned, height, width, x, y - width);
}

/// Lines no wider than `width`, broken at blanks, or in a word that is wider by itself.
std::vector<std::string> broken(const std::string& line, double scale, int64_t width) {
  std::vector<std::string> lines(1);
  for (const std::string& word : split(line, ' ')) {
    const std::string longer = lines.back().empty() ? word : cat(lines.back(), " ", word);
    if (Picture::text_width(longer, scale) <= width) {
      lines.back() = longer;
      continue;
    }
    if (!lines.back().empty()) lines.emplace_back();
    for (const char c : word) {
      if (Picture::text_width(lines.back() + c, scale) > width) lines.emplace_back();
      lines.back() += c;
    }
  }
  return lines;
}

/// Where everything stands, in pixels.
struct Layout {
  int64_t cell, side;     ///< of one class, of the matrix
  double label_scale;     ///< of class names
  int64_t label_width;    ///< of the widest name
  int64_t left, top;      ///< corner of the matrix
  int64_t width, height;  ///< of the picture
  int64_t title_line;
  std::vector<std::string> title;
};

Layout arrange(const Confusion& confusion, const std::vector<std::string>& title) {
  Layout layout{};
  layout.cell = std::clamp<int64_t>(1700 / confusion.size(), 14, 56);
  layout.side = layout.cell * confusion.size();
  layout.label_scale = std::min(0.5, static_cast<double>(layout.cell) / 36);
  for (const std::string& name : confusion.classes) {
    layout.label_width = std::max(layout.label_width, Picture::text_width(name, layout.label_scale));
  }
  layout.title_line = Picture::text_height(kTitleScale) + 6;
  layout.left = kMargin + layout.title_line + layout.label_width + 10;
  layout.width = std::max<int64_t>(760, layout.left + layout.side + 110);
  for (const std::string& line : title) {
    for (const std::string& part : broken(line, kTitleScale, layout.width - 2 * kMargin)) layout.title.push_back(part);
  }
  layout.top =
      kMargin + std::ssize(layout.title) * layout.title_line + 12 + layout.title_line + layout.label_width + 10;
  layout.height = layout.top + std::max<int64_t>(layout.side, 300) + kMargin;
  return layout;
}

/// The largest scale at which every count fits a cell; 0 if that is too small to read.
double count_scale(const Confusion& confusion, int64_t cell) {
  const int64_t most = *std::max_element(confusion.counts.begin(), confusion.counts.end());
  for (const double scale : {0.5, 0.45, 0.4, 0.35, 0.3}) {
    if (Picture::text_width(std::to_string(most), scale) <= cell - 4) return scale;
  }
  return 0;
}

void draw_cells(Picture& picture, const Confusion& confusion, const Layout& layout) {
  const double scale = count_scale(confusion, layout.cell);
  const int64_t digit_height = std::lround(21 * scale);  // of a capital; see Picture::text
  for (int64_t row = 0; row < confusion.size(); ++row) {
    const int64_t videos = confusion.row_total(row);
    for (int64_t column = 0; column < confusion.size(); ++column) {
      const int64_t count = confusion.at(row, column);
      const Color ground =
          videos == 0 ? kEmpty : shade(static_cast<double>(count) / static_cast<double>(videos), row == column);
      const int64_t x = layout.left + column * layout.cell;
      const int64_t y = layout.top + row * layout.cell;
      picture.fill(x, y, layout.cell, layout.cell, ground);
      picture.fill(x, y, layout.cell, 1, kGrid);
      picture.fill(x, y, 1, layout.cell, kGrid);
      if (count == 0 || scale == 0) continue;
      const std::string text = std::to_string(count);
      picture.text(x + (layout.cell - Picture::text_width(text, scale) + 1) / 2,
                   y + (layout.cell - digit_height + 1) / 2, text, scale, ink_on(ground));
    }
  }
  picture.rectangle(layout.left - 1, layout.top - 1, layout.side + 2, layout.side + 2, {150, 150, 150});
}

void draw_names(Picture& picture, const Confusion& confusion, const Layout& layout) {
  const int64_t height = Picture::text_height(layout.label_scale);
  for (int64_t label = 0; label < confusion.size(); ++label) {
    const std::string& name = confusion.classes[static_cast<size_t>(label)];
    const int64_t middle = label * layout.cell + layout.cell / 2;
    picture.text(layout.left - 8 - Picture::text_width(name, layout.label_scale), layout.top + middle - height / 2,
                 name, layout.label_scale, kInk);
    text_upwards(picture, layout.left + middle - height / 2, layout.top - 6, name, layout.label_scale);
  }
  picture.text(layout.left, layout.top - layout.label_width - 14 - layout.title_line, "answer", kTitleScale, kInk);
  text_upwards(picture, kMargin, layout.top + Picture::text_width("true class", kTitleScale) + 4, "true class",
               kTitleScale);
}

/// Two bars: the share of the row's videos, right and wrong.
void draw_legend(Picture& picture, const Layout& layout) {
  constexpr int64_t kHeight = 200;
  const int64_t x = layout.left + layout.side + 24;
  for (int64_t y = 0; y < kHeight; ++y) {
    const double share = 1 - static_cast<double>(y) / (kHeight - 1);
    picture.fill(x, layout.top + 28 + y, 14, 1, shade(share, true));
    picture.fill(x + 16, layout.top + 28 + y, 14, 1, shade(share, false));
  }
  picture.rectangle(x - 1, layout.top + 27, 32, kHeight + 2, {150, 150, 150});
  picture.text(x + 36, layout.top + 24, "100 %", 0.4, kInk);
  picture.text(x + 36, layout.top + 20 + kHeight / 2, "50", 0.4, kInk);
  picture.text(x + 36, layout.top + 18 + kHeight, "0", 0.4, kInk);
  picture.text(x - 4, layout.top + 36 + kHeight, "right wrong", 0.4, kInk);
  picture.text(x - 4, layout.top, "of the row", 0.4, kInk);
}

}  // namespace

Picture confusion_picture(const Confusion& confusion, const std::vector<std::string>& title) {
  const Layout layout = arrange(confusion, title);
  Picture picture(layout.width, layout.height);
  for (size_t i = 0; i < layout.title.size(); ++i) {
    picture.text(kMargin, kMargin + static_cast<int64_t>(i) * layout.title_line, layout.title[i], kTitleScale, kInk);
  }
  draw_cells(picture, confusion, layout);
  draw_names(picture, confusion, layout);
  draw_legend(picture, layout);
  return picture;
}

}  // namespace cstp
