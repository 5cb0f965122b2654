#include "view_table.h"

#include <algorithm>
#include <array>

#include "blur_body.h"
#include "cstp/core/error.h"
#include "cstp/core/text.h"
#include "tile_needs.h"

namespace cstp {
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
