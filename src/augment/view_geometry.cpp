#include "view_geometry.h"

#include <algorithm>
#include <cmath>
#include <cstdlib>
#include <numbers>
#include <utility>

#include "block_ops.h"
#include "cstp/core/error.h"

namespace cstp {
namespace {

struct CodedBox {
  CropBox box;
  bool mirrored_x = false, mirrored_y = false;
};

/// The box as it lies on a picture that needs `turns` counter-clockwise quarter turns to look as the box was drawn.
CodedBox before_turns(const CropBox& drawn, int turns) {
  CodedBox coded{.box = drawn};
  for (int turn = 0; turn < turns; ++turn) {  // a turn shows point (1 - y, x) of the picture at (x, y)
    const CropBox& b = coded.box;
    coded = {{1 - (b.y + b.h), b.x, b.h, b.w}, !coded.mirrored_y, coded.mirrored_x};
  }
  return coded;
}

AxisBox axis_box(int64_t samples, double extent, double start, double share, bool mirrored) {
  return {samples, start * extent, share * extent, mirrored};
}

}  // namespace

std::vector<int32_t> tilt_table(const ViewGeometry& geometry, int64_t size) {
  const Placement placement = compose_placement(geometry.turns, geometry.flip, size, column_stride(size), 1);
  const auto place_of = [&](int64_t x, int64_t y) {
    const GridPoint source = tilted_source(*geometry.tilt, x, y);
    const bool inside = source.x >= 0 && source.x < size && source.y >= 0 && source.y < size;
    if (!inside) return -1;
    const int64_t place = placement.offset + source.x * placement.dx + source.y * placement.dy;
    const int64_t column = place / column_stride(size);
    return static_cast<int32_t>(block_place(column, place % column_stride(size), size));
  };
  std::vector<int32_t> table;
  for (int64_t row = 0; row < size; row += kRowBlock) {
    for (int64_t x = 0; x < size; ++x) {
      for (int64_t y = row; y < row + kRowBlock; ++y) table.push_back(y < size ? place_of(x, y) : -1);
    }
  }
  return table;
}

ViewGeometry make_geometry(const Frame& frame, const ViewPlan& view, int64_t size) {
  const int plan_turns = ((view.quarter_turns % 4) + 4) % 4;
  const int turns_before = (frame.quarter_turns + (view.turn_before_crop ? plan_turns : 0)) % 4;
  const int turns_after = view.turn_before_crop ? 0 : plan_turns;

  const CodedBox coded = before_turns(view.crop, turns_before);
  const auto width = static_cast<double>(frame.width);
  const auto height = static_cast<double>(frame.height);
  const AxisBox luma_x = axis_box(frame.width, width, coded.box.x, coded.box.w, coded.mirrored_x);
  const AxisBox luma_y = axis_box(frame.height, height, coded.box.y, coded.box.h, coded.mirrored_y);
  // An odd size has half a chroma sample beyond its edge: the scale is width / 2, not the number of samples.
  const AxisBox chroma_x = axis_box(frame.chroma_width(), width / 2, coded.box.x, coded.box.w, coded.mirrored_x);
  const AxisBox chroma_y = axis_box(frame.chroma_height(), height / 2, coded.box.y, coded.box.h, coded.mirrored_y);

  Taps luma_across = make_taps(luma_x, size, view.filter, view.antialias);
  Taps luma_down = make_taps(luma_y, size, view.filter, view.antialias);
  Taps chroma_across = make_taps(chroma_x, size, view.filter, view.antialias);
  Taps chroma_down = make_taps(chroma_y, size, view.filter, view.antialias);
  const int64_t column_step = column_stride(size);
  const int turns = (turns_before + turns_after) % 4;
  const Placement placement = compose_placement(turns, view.flip, size, column_step, 1);

  ViewGeometry geometry{.turns = turns,
                        .flip = view.flip,
                        .width = frame.width,
                        .height = frame.height,
                        .quarter_turns = frame.quarter_turns};
  bool mirrored_x = false, mirrored_y = false;
  if (view.tilt_degrees != 0) {
    const double angle = view.tilt_degrees * std::numbers::pi / 180;
    geometry.tilt = Tilt{std::cos(angle), std::sin(angle), static_cast<double>(size - 1) / 2};
  } else {
    geometry.turned = std::abs(placement.dx) != column_step;
    mirrored_x = (geometry.turned ? placement.dy : placement.dx) < 0;
    mirrored_y = (geometry.turned ? placement.dx : placement.dy) < 0;
  }
  geometry.luma_across = mirrored_x ? mirrored(luma_across) : std::move(luma_across);
  geometry.luma_down = mirrored_y ? mirrored(luma_down) : std::move(luma_down);
  geometry.chroma_across = mirrored_x ? mirrored(chroma_across) : std::move(chroma_across);
  geometry.chroma_down = mirrored_y ? mirrored(chroma_down) : std::move(chroma_down);
  return geometry;
}

void check_view(const ViewPlan& view, int64_t size) {
  const ColorPlan& color = view.color;
  check(size > 0, "a view has pixels");
  check(std::ranges::count(color.jitter, ColorOp::contrast) <= 1, "a view changes its contrast once");
  check(color.grey_channel.empty() || color.grey_channel.size() == view.frames.size(), "one grey channel per frame");
  check(std::ranges::all_of(color.grey_channel, [](int8_t c) { return c >= 0 && c < 3; }),
        "a grey channel is 0, 1 or 2");
  check(color.blur_taps == 0 || color.blur_taps % 2 == 1, "a blur has a middle: an odd number of taps");
}

InputAffine input_affine(const InputOptions& input) {
  if (input.range == "unit") return {{1, 1, 1}, {0, 0, 0}};
  if (input.range == "signed") return {{2, 2, 2}, {-1, -1, -1}};
  check(input.range == "standard", "unknown input range");
  InputAffine affine{};
  for (size_t c = 0; c < 3; ++c) {
    affine.scale[c] = static_cast<float>(1 / input.std[c]);
    affine.bias[c] = static_cast<float>(-input.mean[c] / input.std[c]);
  }
  return affine;
}

}  // namespace cstp
