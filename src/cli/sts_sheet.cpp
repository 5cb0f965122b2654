#include "sts_sheet.h"

#include <algorithm>
#include <array>
#include <cmath>
#include <cstdio>
#include <filesystem>
#include <optional>
#include <string_view>

#include "block_panel.h"
#include "cstp/augment/render.h"
#include "cstp/core/error.h"
#include "cstp/core/text.h"
#include "sts_motion.h"

namespace cstp {
namespace {

constexpr int64_t kPanel = 132, kGap = 6, kGroupGap = 16, kMargin = 12;
constexpr int64_t kLeft = 250;                      // column of the source frame
constexpr int64_t kFrameHeight = 130;               // source frame
constexpr int64_t kHead = 92;                       // legend
constexpr int64_t kTitle = 24;                      // a clip's name
constexpr int64_t kCaption = 16;                    // under a panel
constexpr int64_t kGroups = 3 * kPanel + 2 * kGap;  // P1, P2, P3
constexpr int64_t kWidth = 2 * kMargin + kLeft + 3 * kGroups + 2 * kGroupGap;
constexpr Color kInk{30, 30, 30}, kFaint{205, 205, 205}, kTrue{40, 235, 90}, kAnswered{255, 90, 230};
constexpr Color kDiverse{255, 150, 20}, kStable{60, 140, 255}, kSeen{214, 60, 40};

/// The labels of one row of panels.
class Row {
 public:
  Row(const std::vector<StsSlot>& slots, const std::vector<double>& values) : slots_(slots), values_(values) {}
  /// The nearest label (of P1's motion that may be 0: nothing moves). 0 if it is not asked.
  int64_t label(std::string_view name) const {
    const auto found = place(name);
    if (!found) return 0;
    const StsSlot& slot = slots_[*found];
    const int64_t least = slot.motion && slot.pattern == 0 ? 0 : 1;
    return std::clamp<int64_t>(std::llround(values_[*found]), least, slot.classes);
  }
  /// The number as it was given; "-" if it is not asked.
  std::string number(std::string_view name) const {
    const auto found = place(name);
    if (!found) return "-";
    const double value = values_[*found];
    std::array<char, 16> text{};
    std::snprintf(text.data(), text.size(), value == std::round(value) ? "%.0f" : "%.1f", value);
    return text.data();
  }

 private:
  std::optional<size_t> place(std::string_view name) const {
    for (size_t i = 0; i < slots_.size(); ++i) {
      if (slots_[i].name == name) return i;
    }
    return std::nullopt;
  }
  const std::vector<StsSlot>& slots_;
  const std::vector<double>& values_;
};

/// The frame in grey, and in red where the boundaries of all fields add up to much.
std::vector<uint8_t> boundary_picture(std::span<const uint8_t> rgb, std::span<const float> fields, int64_t size) {
  std::vector<float> sum(static_cast<size_t>(size * size));
  for (size_t i = 0; i < fields.size(); ++i) sum[i % sum.size()] += fields[i];
  std::vector<float> gx(sum.size()), gy(sum.size());
  prewitt(sum, size, size, gx, gy);
  float most = 1e-6F;
  for (size_t i = 0; i < sum.size(); ++i) most = std::max(most, std::hypot(gx[i], gy[i]));
  std::vector<uint8_t> picture(rgb.size());
  for (size_t i = 0; i < sum.size(); ++i) {
    const float grey = 0.299F * rgb[3 * i] + 0.587F * rgb[3 * i + 1] + 0.114F * rgb[3 * i + 2];
    const float red = 0.9F * std::hypot(gx[i], gy[i]) / most;
    const std::array<float, 3> hot = {255, 50, 20};
    for (size_t c = 0; c < 3; ++c) {
      picture[3 * i + c] = static_cast<uint8_t>((1 - red) * (40 + 0.75F * grey) + red * hot[c]);
    }
  }
  return picture;
}

void draw_row(Picture& sheet, const StsCard& card, const Row& row, const StsPatterns& patterns, Color color,
              int64_t y) {
  for (int64_t group = 0; group < 3; ++group) {
    for (int64_t pattern = 0; pattern < 3; ++pattern) {
      const int64_t x = kMargin + kLeft + group * (kGroups + kGroupGap) + pattern * (kPanel + kGap);
      std::vector<BlockMark> marks;
      std::string caption;
      if (group < 2) {
        const std::string name = cat("motion.p", pattern + 1, group == 0 ? ".u" : ".v");
        marks = {{.block = row.label(name + ".location"),
                  .outline = color,
                  .orientation = row.label(name + ".orientation")}};
        caption = cat("block ", row.number(name + ".location"), ", orientation ", row.number(name + ".orientation"));
      } else {
        const std::string name = cat("appearance.p", pattern + 1);
        marks = {{.block = row.label(name + ".diverse.location"),
                  .outline = kDiverse,
                  .octant = row.label(name + ".diverse.color")},
                 {.block = row.label(name + ".stable.location"),
                  .outline = kStable,
                  .octant = row.label(name + ".stable.color")}};
        caption = cat(row.number(name + ".diverse.location"), "/", row.number(name + ".diverse.color"), " and ",
                      row.number(name + ".stable.location"), "/", row.number(name + ".stable.color"));
      }
      draw_block_panel(sheet, x, y, kPanel, patterns, pattern, card.background[static_cast<size_t>(group)], marks);
      sheet.text(x, y + kPanel + 3, caption, 0.3, kInk);
    }
  }
}

void draw_source(Picture& sheet, const StsCard& card, int64_t y) {
  const double scale = std::min(static_cast<double>(kFrameHeight) / static_cast<double>(card.height),
                                static_cast<double>(kLeft - kMargin) / static_cast<double>(card.width));
  const auto scaled = [scale](double length) { return static_cast<int64_t>(std::lround(scale * length)); };
  const auto width = static_cast<double>(card.width), height = static_cast<double>(card.height);
  sheet.paste_scaled(card.source, 256, 256, kMargin, y, scaled(width), scaled(height));
  sheet.rectangle(kMargin + scaled(card.crop.x * width), y + scaled(card.crop.y * height), scaled(card.crop.w * width),
                  scaled(card.crop.h * height), kSeen, 2);
}

/// When most moves, a cell a field; and the colour of the whole clip.
void draw_whole_clip(Picture& sheet, const std::vector<StsSlot>& slots, const StsCard& card, int64_t fields,
                     int64_t y) {
  const Row truth(slots, card.labels), answer(slots, card.answers.empty() ? card.labels : card.answers);
  const int64_t cell = std::clamp<int64_t>((kLeft - kMargin - 40) / fields, 3, 13);
  for (const auto& [component, line] : {std::pair{"u", 0}, std::pair{"v", 1}}) {
    const std::string name = cat("motion.global.", component);
    const int64_t top = y + line * 16;
    sheet.text(kMargin, top, component, 0.4, kInk);
    for (int64_t t = 0; t < fields; ++t) {
      const int64_t x = kMargin + 16 + t * cell;
      sheet.fill(x, top, cell - 1, 11, truth.label(name) == t + 1 ? Color{20, 160, 60} : kFaint);
      if (!card.answers.empty() && answer.label(name) == t + 1) sheet.rectangle(x, top, cell - 1, 11, kAnswered, 3);
    }
  }
  int64_t x = kMargin;
  for (const Row* row : {&truth, &answer}) {
    const int64_t octant = row->label("appearance.global.color");
    if (octant < 1 || (row == &answer && card.answers.empty())) continue;
    const std::string text = cat(row == &truth ? "clip's colour " : "answered ", octant_name(octant));
    sheet.text(x, y + 37, text, 0.33, kInk);
    x += Picture::text_width(text, 0.33) + 4;
    sheet.fill(x, y + 35, 12, 12, kInk);
    sheet.fill(x + 1, y + 36, 10, 10, octant_color(octant));
    x += 24;
  }
}

void draw_legend(Picture& sheet, bool answers) {
  sheet.text(
      kMargin, 8,
      "Motion: the outlined block has the largest motion boundary (red: where the boundaries of all fields add up); "
      "its arrow points to where that component of the flow falls.",
      0.4, kInk);
  sheet.text(kMargin, 26,
             "Colours: orange, the block whose colours change most; blue, least; swatch: its dominant colour; numbers: "
             "block/colour. "
             "Left: the window in the source frame; the field with most motion; the clip's colour.",
             0.4, kInk);
  if (answers) {
    sheet.text(
        kMargin, 44,
        "Upper row, green: true labels. Lower row, magenta: what the network answers; outlined is the nearest label.",
        0.4, kInk);
  }
  const std::array<const char*, 3> titles = {"u: motion across", "v: motion down", "colours"};
  for (int64_t group = 0; group < 3; ++group) {
    const int64_t x = kMargin + kLeft + group * (kGroups + kGroupGap);
    sheet.text(x, kHead - 22, cat(titles[static_cast<size_t>(group)], "      (P1 grid, P2 nested, P3 wedges)"), 0.42,
               kInk);
  }
}

}  // namespace

StsCard sts_card(const Sample& sample, const std::string& path, int64_t size) {
  const ViewPlan& view = sample.plan.views.front();
  StsCard card;
  const std::filesystem::path file(path);
  card.title = cat((file.parent_path().filename() / file.filename()).string(), "   ", sample.video.width, "x",
                   sample.video.height, ", frames ", view.frames.front(), " to ", view.frames.back(),
                   view.flip ? ", mirrored" : "");
  card.width = sample.video.width;
  card.height = sample.video.height;
  card.crop = view.crop;
  const size_t middle = view.frames.size() / 2;
  ViewPlan whole;
  whole.frames = {view.frames[middle]};
  card.source.resize(256 * 256 * 3);
  render_preview(sample, whole, 256, 0, card.source);
  std::vector<uint8_t> frame(static_cast<size_t>(size * size * 3));
  render_preview(sample, view, size, middle, frame);
  const bool moves = !sample.flow.empty();
  card.background = {moves ? boundary_picture(frame, sample.flow.front().u, size) : frame,
                     moves ? boundary_picture(frame, sample.flow.front().v, size) : frame, frame};
  const auto width = static_cast<ptrdiff_t>(sample.targets.size() / sample.plan.views.size());
  card.labels.assign(sample.targets.begin(), sample.targets.begin() + width);
  return card;
}

Picture sts_sheet(const std::vector<StsCard>& cards, const std::vector<StsSlot>& slots, const StsPatterns& patterns,
                  int64_t fields) {
  check(!cards.empty() && fields > 0, "sts_sheet: nothing to draw");
  const bool answers = !cards.front().answers.empty();
  const int64_t row_height = kPanel + kCaption + 6;
  const int64_t card_height = kTitle + std::max((answers ? 2 : 1) * row_height, kFrameHeight + 62) + 8;
  Picture sheet(kWidth, kHead + std::ssize(cards) * card_height + kMargin);
  draw_legend(sheet, answers);
  for (size_t i = 0; i < cards.size(); ++i) {
    const StsCard& card = cards[i];
    const int64_t y = kHead + static_cast<int64_t>(i) * card_height;
    sheet.fill(kMargin, y - 4, kWidth - 2 * kMargin, 1, kFaint);
    sheet.text(kMargin, y + 3, card.title, 0.42, kInk);
    draw_source(sheet, card, y + kTitle);
    draw_whole_clip(sheet, slots, card, fields, y + kTitle + kFrameHeight + 8);
    draw_row(sheet, card, Row(slots, card.labels), patterns, kTrue, y + kTitle);
    if (!answers) continue;
    draw_row(sheet, card, Row(slots, card.answers), patterns, kAnswered, y + kTitle + row_height);
  }
  return sheet;
}

}  // namespace cstp
