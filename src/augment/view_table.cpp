#include "view_table.h"

#include <algorithm>
#include <array>
#include <cmath>
#include <cstring>
#include <map>

#include "blur.h"
#include "blur_body.h"
#include "cstp/core/error.h"
#include "cstp/core/text.h"

namespace cstp {
namespace {

static_assert(kBrightness == static_cast<int>(ColorOp::brightness) && kContrast == static_cast<int>(ColorOp::contrast));
static_assert(kSaturation == static_cast<int>(ColorOp::saturation) && kHue == static_cast<int>(ColorOp::hue));

/// Room in a piece of memory, handed out in multiples of 16 bytes.
class Room {
 public:
  size_t take(size_t bytes) {
    const size_t at = taken_;
    taken_ += (bytes + 15) / 16 * 16;
    return at;
  }
  size_t taken() const { return taken_; }

 private:
  size_t taken_ = 0;
};

/// Source samples [begin, end) of an axis.
struct Interval {
  int64_t begin = 0, end = 0;
  bool empty() const { return begin >= end; }
  void include(int64_t from, int64_t to) {
    if (from >= to) return;
    if (empty()) {
      begin = from;
      end = to;
    }
    begin = std::min(begin, from);
    end = std::max(end, to);
  }
};

/// Outputs [begin, end) of an axis read these.
Interval read_by(const Taps& taps, int64_t begin, int64_t end) {
  Interval interval;
  for (auto i = static_cast<size_t>(begin); i < static_cast<size_t>(end); ++i) {
    interval.include(taps.first[i], taps.first[i] + taps.count[i]);
  }
  return interval;
}

/// From a multiple of four, in fours.
void set_fours(const Interval& columns, int32_t& from, int32_t& fours) {
  from = static_cast<int32_t>(columns.begin / 4 * 4);
  fours = columns.empty() ? 0 : static_cast<int32_t>((columns.end - from + 3) / 4);
}

/// Rows and columns of the square.
struct SquarePart {
  Interval rows, columns;
};

/// What of the square the view's pixels [tile] are taken from, with a pixel to spare on each side.
SquarePart tilted_part(const ViewGeometry& geometry, int64_t size, const SquarePart& tile) {
  const Placement column = compose_placement(geometry.turns, geometry.flip, size, 1, 0);
  const Placement row = compose_placement(geometry.turns, geometry.flip, size, 0, 1);
  SquarePart part;
  for (const int64_t y : {tile.rows.begin, tile.rows.end - 1}) {
    for (const int64_t x : {tile.columns.begin, tile.columns.end - 1}) {
      const GridPoint from = tilted_source(*geometry.tilt, x, y);
      const int64_t at_column = column.offset + from.x * column.dx + from.y * column.dy;
      const int64_t at_row = row.offset + from.x * row.dx + from.y * row.dy;
      part.columns.include(at_column - 1, at_column + 2);
      part.rows.include(at_row - 1, at_row + 2);
    }
  }
  for (Interval* side : {&part.rows, &part.columns}) {
    side->begin = std::clamp<int64_t>(side->begin, 0, size);
    side->end = std::clamp<int64_t>(side->end, side->begin, size);
  }
  return part;
}

std::vector<TileNeed> tile_needs(const ViewGeometry& geometry, int64_t size, const TileShape& shape) {
  std::vector<TileNeed> needs;
  for (int64_t row = 0; row < size; row += shape.rows) {
    for (int64_t column = 0; column < size; column += shape.columns) {
      SquarePart part{{row, std::min<int64_t>(row + shape.rows, size)},
                      {column, std::min<int64_t>(column + shape.columns, size)}};
      if (geometry.tilt) part = tilted_part(geometry, size, part);
      TileNeed need{};
      need.tile_row = static_cast<int32_t>(row);
      need.tile_column = static_cast<int32_t>(column);
      need.row = static_cast<int32_t>(part.rows.begin);
      need.rows = static_cast<int32_t>(part.rows.end - part.rows.begin);
      set_fours(read_by(geometry.luma_across, part.columns.begin, part.columns.end), need.luma_from, need.luma_fours);
      set_fours(read_by(geometry.chroma_across, part.columns.begin, part.columns.end), need.chroma_from,
                need.chroma_fours);
      needs.push_back(need);
    }
  }
  return needs;
}

int32_t mixed_floats(const std::vector<TileNeed>& needs) {
  int32_t most = 0;
  for (const TileNeed& need : needs) most = std::max(most, need.rows * 4 * (need.luma_fours + 2 * need.chroma_fours));
  return most;
}

/// @param choice the last may take all that a block can have
bool fits(const std::vector<TileNeed>& needs, const TileShape& shape, int choice) {
  const int64_t staged = std::max<int64_t>(int64_t{shape.rows} * stage_pitch<float>(shape.columns),
                                           int64_t{shape.columns} * stage_pitch<float>(shape.rows));
  return 4 * (mixed_floats(needs) + staged) <= (choice + 1 == kTileChoices ? kAllSharedBytes : kMostSharedBytes);
}

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
    if (fits(geometry.needs, shape, geometry.choice)) break;
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

TileShape tile_shape(int64_t size, int choice) {
  constexpr std::array<std::pair<int32_t, int32_t>, kTileChoices> kMost = {
      {{16, 64}, {8, 64}, {8, 32}, {8, 16}, {8, 8}}};  // rows, columns
  const auto side = static_cast<int32_t>(size);
  const auto [rows, columns] = kMost[static_cast<size_t>(choice)];
  TileShape shape{};
  shape.rows = rows;
  shape.columns = piece_of(side, columns);
  shape.row_tiles = (side + shape.rows - 1) / shape.rows;
  shape.column_tiles = (side + shape.columns - 1) / shape.columns;
  return shape;
}

void pack_views(const Sample& sample, int64_t size, const InputOptions& input, Planes planes, PackedViews& to) {
  const std::vector<ViewPlan>& views = sample.plan.views;
  check(!views.empty() && !views.front().frames.empty(), "a sample has a view, and a view has a frame");
  to.size = size;
  to.clip_frames = static_cast<int64_t>(views.front().frames.size());
  to.own_planes = planes == Planes::pack;
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

namespace {

BlurShape blur_shape(int32_t size, int32_t radius) {
  constexpr std::array<std::pair<int32_t, int32_t>, 4> kMost = {{{64, 32}, {32, 32}, {32, 16}, {16, 8}}};
  for (const auto& [rows, columns] : kMost) {
    BlurShape shape{.radius = radius};
    shape.rows = piece_of(size, rows);
    shape.columns = piece_of(size, columns);
    shape.row_tiles = (size + shape.rows - 1) / shape.rows;
    shape.column_tiles = (size + shape.columns - 1) / shape.columns;
    if (blur_memory<float>(shape).bytes <= kMostSharedBytes) return shape;
  }
  throw DeviceError(cat("a blur that reaches ", radius,
                        " pixels wants more shared memory than the CUDA renderer may "
                        "use; try --set loader.render=cpu, or a smaller sigma"));
}

void move_taps(AxisTaps& taps, Address memory) {
  taps.spans += memory;
  taps.weights += memory;
}

size_t sums_bytes(const RenderLaunch& launch) {
  const size_t tiles = static_cast<size_t>(launch.tile.row_tiles) * static_cast<size_t>(launch.tile.column_tiles);
  const size_t sums = static_cast<size_t>(launch.contrast_count) * static_cast<size_t>(launch.clip_frames) * tiles * 3;
  return (sums * sizeof(float) + 15) / 16 * 16;
}

size_t means_bytes(const RenderLaunch& launch) {
  return (static_cast<size_t>(launch.contrast_count) * 3 * sizeof(float) + 15) / 16 * 16;
}

}  // namespace

ViewTable::ViewTable(std::vector<Part> samples) : samples_(std::move(samples)) {
  check(!samples_.empty(), "a table has a sample");
  const PackedViews& first = *samples_.front().views;
  views_ = std::ssize(first.views);
  const int64_t videos = std::ssize(samples_);
  int choice = 0;
  for (const Part& part : samples_) {
    check(std::ssize(part.views->views) == views_ && part.views->size == first.size &&
              part.views->clip_frames == first.clip_frames,
          "the samples of a batch have equal views, frames and size");
    for (const PackedViews::Geometry& geometry : part.views->geometries) choice = std::max(choice, geometry.choice);
  }
  launch_.view_count = static_cast<int32_t>(views_ * videos);
  launch_.clip_frames = static_cast<int32_t>(first.clip_frames);
  launch_.size = static_cast<int32_t>(first.size);
  launch_.tile = tile_shape(first.size, choice);
  size_t tiles = 0;
  for (const Part& part : samples_) {
    for (const PackedViews::Geometry& geometry : part.views->geometries) {
      geometries_.push_back(&geometry);
      needs_.emplace_back();
      if (geometry.choice != choice) needs_.back() = tile_needs(geometry.view, first.size, launch_.tile);
      const std::vector<TileNeed>& needs = needs_.back().empty() ? geometry.needs : needs_.back();
      launch_.mixed_floats = std::max(launch_.mixed_floats, mixed_floats(needs));
      tiles += needs.size();
    }
  }
  launch_.mixed_floats = (launch_.mixed_floats + 3) / 4 * 4;
  int32_t radius = 0;
  for (int64_t row = 0; row < launch_.view_count; ++row) {
    const ViewRecord& view =
        samples_[static_cast<size_t>(row % videos)].views->views[static_cast<size_t>(row / videos)];
    if (view.contrast < view.operations) contrast_views_.push_back(static_cast<int32_t>(row));
    if (view.blur_slot < 0) continue;
    blurred_views_.push_back(static_cast<int32_t>(row));
    radius = std::max(radius, view.blur_radius);
  }
  launch_.contrast_count = static_cast<int32_t>(contrast_views_.size());
  launch_.blurred_count = static_cast<int32_t>(blurred_views_.size());
  launch_.blur = blur_shape(launch_.size, radius);
  Room room;
  const auto rows = static_cast<size_t>(launch_.view_count);
  room.take(rows * sizeof(ViewRecord));
  frames_at_ = room.take(rows * static_cast<size_t>(launch_.clip_frames) * sizeof(FrameRecord));
  geometries_at_ = room.take(geometries_.size() * sizeof(GeometryRecord));
  needs_at_ = room.take(tiles * sizeof(TileNeed));
  contrast_at_ = room.take(contrast_views_.size() * sizeof(int32_t));
  blurred_at_ = room.take(blurred_views_.size() * sizeof(int32_t));
  bytes_ = room.taken();
}

RenderLaunch ViewTable::write(uint8_t* to, Address at) const {
  const auto videos = samples_.size();
  auto* views = reinterpret_cast<ViewRecord*>(to);
  auto* frames = reinterpret_cast<FrameRecord*>(to + frames_at_);
  auto* geometries = reinterpret_cast<GeometryRecord*>(to + geometries_at_);
  auto* needs = reinterpret_cast<TileNeed*>(to + needs_at_);
  int32_t contrast = 0, blurred = 0;
  const auto clip = static_cast<size_t>(launch_.clip_frames);
  std::vector<int32_t> first_geometry;  // of each sample
  int32_t counted = 0;
  for (const Part& part : samples_) {
    first_geometry.push_back(counted);
    counted += static_cast<int32_t>(part.views->geometries.size());
  }
  for (size_t v = 0; v < static_cast<size_t>(views_); ++v) {
    for (size_t b = 0; b < videos; ++b) {
      const auto& [packed, memory] = samples_[b];
      const size_t row = v * videos + b;
      ViewRecord view = packed->views[v];
      if (view.contrast < view.operations) view.contrast_slot = contrast++;
      if (view.blur_slot >= 0) view.blur_slot = blurred++;
      view.blur_weights += memory;
      views[row] = view;
      for (size_t t = 0; t < clip; ++t) {
        FrameRecord frame = packed->frames[v * clip + t];
        frame.geometry += first_geometry[b];
        if (packed->own_planes) {
          frame.y += memory;
          frame.cb += memory;
          frame.cr += memory;
        }
        frames[row * clip + t] = frame;
      }
    }
  }
  size_t tile = 0, g = 0;
  for (const auto& [packed, memory] : samples_) {
    for (const PackedViews::Geometry& geometry : packed->geometries) {
      GeometryRecord record = geometry.record;
      for (AxisTaps* axis : {&record.luma_across, &record.luma_down, &record.chroma_across, &record.chroma_down})
        move_taps(*axis, memory);
      record.tiles = at + needs_at_ + tile * sizeof(TileNeed);
      geometries[g] = record;
      const std::vector<TileNeed>& own = needs_[g].empty() ? geometry.needs : needs_[g];
      std::ranges::copy(own, needs + tile);
      tile += own.size();
      ++g;
    }
  }
  std::ranges::copy(contrast_views_, reinterpret_cast<int32_t*>(to + contrast_at_));
  std::ranges::copy(blurred_views_, reinterpret_cast<int32_t*>(to + blurred_at_));
  RenderLaunch launch = launch_;
  launch.views = reinterpret_cast<const ViewRecord*>(at);
  launch.frames = reinterpret_cast<const FrameRecord*>(at + frames_at_);
  launch.geometries = reinterpret_cast<const GeometryRecord*>(at + geometries_at_);
  launch.contrast_views = reinterpret_cast<const int32_t*>(at + contrast_at_);
  launch.blurred_views = reinterpret_cast<const int32_t*>(at + blurred_at_);
  return launch;
}

size_t work_space(const RenderLaunch& launch) {
  const auto side = static_cast<size_t>(launch.size);
  const size_t pixels =
      static_cast<size_t>(launch.blurred_count) * static_cast<size_t>(launch.clip_frames) * side * side;
  return sums_bytes(launch) + means_bytes(launch) + pixels * 3 * sizeof(uint16_t);
}

void set_work_space(RenderLaunch& launch, uint8_t* at) {
  launch.sums = reinterpret_cast<float*>(at);
  launch.means = reinterpret_cast<float*>(at + sums_bytes(launch));
  launch.unblurred = reinterpret_cast<uint16_t*>(at + sums_bytes(launch) + means_bytes(launch));
}

}  // namespace cstp
