// A sample's views in one piece of memory: what of the planes is read, the taps, and the records that point at them.
#include <algorithm>
#include <array>
#include <cstring>
#include <map>

#include "blur.h"
#include "cstp/core/error.h"
#include "cstp/core/text.h"
#include "tile_needs.h"
#include "view_table.h"

namespace cstp {
namespace {

static_assert(kBrightness == static_cast<int>(ColorOp::brightness) && kContrast == static_cast<int>(ColorOp::contrast));
static_assert(kSaturation == static_cast<int>(ColorOp::saturation) && kHue == static_cast<int>(ColorOp::hue));

/// Taps as the kernel reads them.
struct AxisRoom {
  const Taps* taps;
  AxisTaps* record;
};
std::array<AxisRoom, 4> axes_of(PackedViews::Geometry& geometry) {
  return {{{&geometry.view.luma_across, &geometry.record.luma_across},
           {&geometry.view.luma_down, &geometry.record.luma_down},
           {&geometry.view.chroma_across, &geometry.record.chroma_across},
           {&geometry.view.chroma_down, &geometry.record.chroma_down}}};
}

GeometryRecord record_of(const ViewGeometry& geometry, int64_t size) {
  GeometryRecord record{};
  record.turned = geometry.turned ? 1 : 0;
  record.tilted = geometry.tilt ? 1 : 0;
  if (geometry.tilt) record.tilt = *geometry.tilt;
  record.column = compose_placement(geometry.turns, geometry.flip, size, 1, 0);
  record.row = compose_placement(geometry.turns, geometry.flip, size, 0, 1);
  return record;
}

ViewRecord record_of(const ViewPlan& view, const InputAffine& range) {
  const ColorPlan& color = view.color;
  ViewRecord record{};
  record.operations = static_cast<int32_t>(color.jitter.size());
  record.contrast = record.operations;
  check(color.jitter.size() <= std::size(record.operation), "a view has four operations of jitter at most");
  for (size_t i = 0; i < color.jitter.size(); ++i) {
    const ColorOp op = color.jitter[i];
    if (op == ColorOp::contrast) record.contrast = static_cast<int32_t>(i);
    const double amounts[] = {color.brightness, color.contrast, color.saturation, color.hue};
    record.operation[i] = static_cast<int32_t>(op);
    record.amount[i] = static_cast<float>(amounts[static_cast<size_t>(op)]);
  }
  record.tensorflow = color.rule == ColorRule::tensorflow ? 1 : 0;
  record.grey = color.grey ? 1 : 0;
  record.contrast_slot = record.blur_slot = -1;
  record.solarize = static_cast<float>(color.solarize);
  record.range = range;
  record.blur_zero = color.blur_border == BlurBorder::zero ? 1 : 0;
  return record;
}

/// The part of a frame's planes that its views read.
struct FrameRead {
  Interval luma_rows, luma_columns, chroma_rows, chroma_columns;

  void include(const ViewGeometry& g) {
    luma_rows.include(g.luma_down.begin, g.luma_down.end);
    luma_columns.include(g.luma_across.begin, g.luma_across.end);
    chroma_rows.include(g.chroma_down.begin, g.chroma_down.end);
    chroma_columns.include(g.chroma_across.begin, g.chroma_across.end);
  }
};

/// A part of a plane on its way into the memory. Interleaved chroma is one plane of twice as many bytes.
struct PlaneCopy {
  const uint8_t* from = nullptr;  ///< the first byte
  int64_t stride = 0;
  int64_t rows = 0, width = 0;  ///< bytes
  int64_t pitch = 0;            ///< bytes from row to row there
  size_t to = 0;

  PlaneCopy(const uint8_t* plane, int64_t plane_stride, const Interval& all_rows, Interval columns, int64_t step,
            Room& room)
      : stride(plane_stride) {
    if (all_rows.empty() || columns.empty()) return;
    columns.begin = columns.begin / 4 * 4;  // where words are read
    from = plane + all_rows.begin * plane_stride + columns.begin * step;
    rows = all_rows.end - all_rows.begin;
    width = (columns.end - columns.begin) * step;
    pitch = (width + 15) / 16 * 16;
    to = room.take(static_cast<size_t>(rows * pitch));
    origin = static_cast<Address>(to) - static_cast<Address>(all_rows.begin * pitch + columns.begin * step);
    end = columns.begin + pitch / step;
  }

  Address origin = 0;  ///< of row 0 and column 0
  int64_t end = 0;     ///< columns before it can be read
};

/// Planes of a frame in the memory, and what says so.
struct FrameCopy {
  FrameRecord record{};
  std::vector<PlaneCopy> planes;

  FrameCopy(const Frame& frame, const FrameRead& read, Room& room) {
    planes.emplace_back(frame.y, frame.y_stride, read.luma_rows, read.luma_columns, 1, room);
    record.y = planes.back().origin;
    record.y_stride = static_cast<int32_t>(planes.back().pitch);
    record.luma_end = static_cast<int32_t>(planes.back().end);
    const uint8_t* first = std::min(frame.u, frame.v);
    planes.emplace_back(frame.uv_step == 1 ? frame.u : first, frame.uv_stride, read.chroma_rows, read.chroma_columns,
                        frame.uv_step, room);
    record.cb = record.cr = planes.back().origin;
    if (frame.uv_step == 2) {
      check(std::max(frame.u, frame.v) == first + 1, "interleaved chroma planes are neighbours");
      (frame.u == first ? record.cr : record.cb) += 1;
    } else {
      check(frame.uv_step == 1, "chroma samples are one or two bytes apart");
      planes.emplace_back(frame.v, frame.uv_stride, read.chroma_rows, read.chroma_columns, 1, room);
      record.cr = planes.back().origin;
    }
    record.uv_step = static_cast<int32_t>(frame.uv_step);
    record.uv_stride = static_cast<int32_t>(planes.back().pitch);
    record.chroma_end = static_cast<int32_t>(planes.back().end);
    record.coefficients = ycbcr_to_rgb(frame.matrix, frame.range);
  }
};

FrameRecord record_in_place(const Frame& frame) {
  FrameRecord record{};
  record.y = reinterpret_cast<Address>(frame.y);
  record.cb = reinterpret_cast<Address>(frame.u);
  record.cr = reinterpret_cast<Address>(frame.v);
  record.y_stride = static_cast<int32_t>(frame.y_stride);
  record.uv_stride = static_cast<int32_t>(frame.uv_stride);
  record.uv_step = static_cast<int32_t>(frame.uv_step);
  record.luma_end = static_cast<int32_t>(frame.width);
  record.chroma_end = static_cast<int32_t>(frame.chroma_width());
  record.coefficients = ycbcr_to_rgb(frame.matrix, frame.range);
  return record;
}

/// Index of the view's geometry for this frame, made if it is new. @param first geometries of the view begin here
int32_t geometry_for(const Frame& frame, const ViewPlan& view, int64_t size, size_t first, PackedViews& to) {
  for (size_t g = first; g < to.geometries.size(); ++g) {
    if (to.geometries[g].view.fits(frame)) return static_cast<int32_t>(g);
  }
  PackedViews::Geometry geometry{.view = make_geometry(frame, view, size)};
  geometry.record = record_of(geometry.view, size);
  for (;; ++geometry.choice) {
    if (geometry.choice == kTileChoices) {
      throw DeviceError(cat("views of ", size, "x", size, " out of frames of ", frame.width, "x", frame.height,
                            " want more shared memory than the CUDA renderer may use; try --set loader.render=cpu, or "
                            "videos of a smaller size"));
    }
    const TileShape shape = tile_shape(size, geometry.choice);
    geometry.needs = tile_needs(geometry.view, size, shape);
    if (tiles_fit(geometry.needs, shape, geometry.choice)) break;
  }
  to.geometries.push_back(std::move(geometry));
  return static_cast<int32_t>(to.geometries.size() - 1);
}

void write_taps(const AxisRoom& axis, uint8_t* memory) {
  const Taps& taps = *axis.taps;
  auto* spans = reinterpret_cast<TapSpan*>(memory + axis.record->spans);
  for (size_t i = 0; i < taps.first.size(); ++i) {
    spans[i] = {static_cast<int32_t>(taps.first[i]), static_cast<int32_t>(taps.count[i])};
  }
  std::memcpy(memory + axis.record->weights, taps.weight.data(), taps.weight.size() * sizeof(float));
}

}  // namespace

void pack_views(const Sample& sample, int64_t size, const InputOptions& input, PackedViews& to) {
  const std::vector<ViewPlan>& views = sample.plan.views;
  check(!views.empty() && !views.front().frames.empty(), "a sample has a view, and a view has a frame");
  to.size = size;
  to.clip_frames = static_cast<int64_t>(views.front().frames.size());
  to.own_planes = !sample.on_gpu;
  Room room;
  std::map<int64_t, FrameRead> read;  // by frame number
  std::vector<std::vector<float>> kernels;
  for (const ViewPlan& view : views) {
    check_view(view, size);
    check(view.frames.size() == views.front().frames.size(), "all views of a sample have the same number of frames");
    ViewRecord record = record_of(view, input_affine(input));
    kernels.emplace_back();
    if (view.color.blur_sigma > 0) {
      const std::vector<float> whole = gaussian_kernel(view.color.blur_sigma, size, view.color.blur_taps);
      const std::span<const float> kept = without_tails(whole);
      record.blur_radius = static_cast<int32_t>(kept.size() / 2);
      kernels.back().assign(kept.begin(), kept.end());
      kernels.back().resize(static_cast<size_t>(padded_blur_taps(record.blur_radius)), 0.0F);
      record.blur_weights = room.take(kernels.back().size() * sizeof(float));
      record.blur_slot = 0;
    }
    to.views.push_back(record);
    const size_t first = to.geometries.size();
    for (size_t t = 0; t < view.frames.size(); ++t) {
      const Frame& frame = sample.frame(view.frames[t]);
      const int32_t geometry = geometry_for(frame, view, size, first, to);
      read[view.frames[t]].include(to.geometries[static_cast<size_t>(geometry)].view);
      FrameRecord place = record_in_place(frame);
      place.geometry = geometry;
      place.grey_channel = view.color.grey_channel.empty() ? -1 : view.color.grey_channel[t];
      to.frames.push_back(place);
    }
  }
  for (PackedViews::Geometry& geometry : to.geometries) {
    for (const AxisRoom& axis : axes_of(geometry)) {
      axis.record->spans = room.take(axis.taps->first.size() * sizeof(TapSpan));
      axis.record->weights = room.take(axis.taps->weight.size() * sizeof(float));
      axis.record->width = axis.taps->width;
    }
  }
  std::map<int64_t, FrameCopy> copies;
  if (to.own_planes) {
    for (const auto& [number, part] : read) copies.emplace(number, FrameCopy(sample.frame(number), part, room));
    for (size_t i = 0; i < to.frames.size(); ++i) {
      const size_t clip = static_cast<size_t>(to.clip_frames);
      FrameRecord place = copies.at(views[i / clip].frames[i % clip]).record;
      place.geometry = to.frames[i].geometry;
      place.grey_channel = to.frames[i].grey_channel;
      to.frames[i] = place;
    }
  }
  to.bytes = room.taken();
  uint8_t* memory = to.allocate(to.bytes);
  for (size_t v = 0; v < kernels.size(); ++v) {
    if (!kernels[v].empty())
      std::memcpy(memory + to.views[v].blur_weights, kernels[v].data(), kernels[v].size() * sizeof(float));
  }
  for (PackedViews::Geometry& geometry : to.geometries) {
    for (const AxisRoom& axis : axes_of(geometry)) write_taps(axis, memory);
  }
  for (const auto& [number, copy] : copies) {
    for (const PlaneCopy& plane : copy.planes) {
      for (int64_t row = 0; row < plane.rows; ++row) {
        std::memcpy(memory + plane.to + row * plane.pitch, plane.from + row * plane.stride,
                    static_cast<size_t>(plane.width));
      }
    }
  }
}

}  // namespace cstp
