#include "view_geometry.h"

#include <cmath>
#include <cstdlib>
#include <numbers>
#include <utility>

#include "block_ops.h"

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

/// Turned by -degrees about the centre of the pixel grid, to the nearest pixel (torchvision's rotate, expand=False).
std::vector<int32_t> tilt_table(const Placement& placement, double degrees, int64_t size) {
  const double angle = degrees * std::numbers::pi / 180;
  const double cosine = std::cos(angle);
  const double sine = std::sin(angle);
  const double centre = static_cast<double>(size - 1) / 2;
  const auto source = [&](int64_t x, int64_t y) {
    const double right = static_cast<double>(x) - centre;
    const double below = static_cast<double>(y) - centre;
    const auto source_x = static_cast<int64_t>(std::nearbyint(cosine * right - sine * below + centre));
    const auto source_y = static_cast<int64_t>(std::nearbyint(sine * right + cosine * below + centre));
    const bool inside = source_x >= 0 && source_x < size && source_y >= 0 && source_y < size;
    if (!inside) return -1;
    const int64_t place = placement.offset + source_x * placement.dx + source_y * placement.dy;
    const int64_t column = place / column_stride(size);
    return static_cast<int32_t>(block_place(column, place % column_stride(size), size));
  };
  std::vector<int32_t> table;
  for (int64_t row = 0; row < size; row += kRowBlock) {
    for (int64_t x = 0; x < size; ++x) {
      for (int64_t y = row; y < row + kRowBlock; ++y) table.push_back(y < size ? source(x, y) : -1);
    }
  }
  return table;
}

}  // namespace

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
  const Placement placement = compose_placement((turns_before + turns_after) % 4, view.flip, size, column_step, 1);

  ViewGeometry geometry{.width = frame.width, .height = frame.height, .quarter_turns = frame.quarter_turns};
  bool mirrored_x = false, mirrored_y = false;
  if (view.tilt_degrees != 0) {
    geometry.tilted = tilt_table(placement, view.tilt_degrees, size);
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

}  // namespace cstp
