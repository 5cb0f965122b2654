#include "cstp/augment/view_flow.h"

#include <algorithm>
#include <cmath>
#include <optional>
#include <vector>

#include "cstp/augment/render.h"
#include "cstp/core/error.h"
#include "resample.h"

namespace cstp {
namespace {

/// The thread's solver for these options; making one costs more than a field.
FlowSolver& solver_of(const FlowOptions& options) {
  thread_local FlowOptions made_for;
  thread_local std::optional<FlowSolver> solver;
  if (!solver || made_for.method != options.method || made_for.preset != options.preset) {
    solver.emplace(options);
    made_for = options;
  }
  return *solver;
}

/// Luma of RGB in [0,1], as bytes.
void make_grey_bytes(const std::vector<float>& rgb, std::vector<uint8_t>& grey) {
  grey.resize(rgb.size() / 3);
  for (size_t i = 0; i < grey.size(); ++i) {
    const float luma = 0.299F * rgb[3 * i] + 0.587F * rgb[3 * i + 1] + 0.114F * rgb[3 * i + 2];
    grey[i] = static_cast<uint8_t>(255 * luma + 0.5F);
  }
}

/// The view's part of a field over the grown square.
void cut(const std::vector<float>& grown, const GrownCrop& crop, int64_t size, float* out) {
  for (int64_t y = 0; y < size; ++y) {
    std::copy_n(grown.begin() + (crop.top + y) * crop.side + crop.left, size, out + y * size);
  }
}

std::vector<int64_t> frames_of_flow(const ViewPlan& view, int64_t frame_after) {
  std::vector<int64_t> frames = view.frames;
  if (frame_after >= 0) frames.push_back(frame_after);
  check(frames.size() >= 2, "stored flow: flow wants two frames");
  return frames;
}

/// One component of a stored field on the grid of a view: bytes of the same scale.
class StoredPlaneCut {
 public:
  StoredPlaneCut(const FlowFields& stored, const CropBox& crop, int64_t size)
      : size_(size),
        stride_(stored.width),
        across_(taps(stored.width, crop.x, crop.w, size)),
        down_(taps(stored.height, crop.y, crop.h, size)),
        columns_(static_cast<size_t>(size * column_stride(size))) {}

  void decode(std::span<const uint8_t> plane, float* out) {
    resample_plane({plane.data(), stride_}, across_, down_, 0, scratch_, columns_.data());
    for (int64_t y = 0; y < size_; ++y) {
      for (int64_t x = 0; x < size_; ++x) {
        const float byte = columns_[static_cast<size_t>(x * column_stride(size_) + y)];
        out[y * size_ + x] = flow_pixels(static_cast<uint8_t>(byte + 0.5F));
      }
    }
  }

 private:
  static Taps taps(int64_t samples, double start, double share, int64_t size) {
    const auto extent = static_cast<double>(samples);
    return make_taps({samples, start * extent, share * extent, false}, size, Filter::bilinear, /*antialias=*/false);
  }

  int64_t size_, stride_;
  Taps across_, down_;
  std::vector<float> columns_;
  MixedBlock scratch_;
};

}  // namespace

GrownCrop grow_crop(const CropBox& crop, int64_t size, int64_t margin) {
  check(size > 0 && crop.w > 0 && crop.h > 0 && margin >= 0, "grow_crop: an empty view");
  const double across = crop.w / static_cast<double>(size);  // of an output pixel
  const double down = crop.h / static_cast<double>(size);
  const auto pixels = [](double room, double pixel) {  // whole ones; rounding must not lose one
    return std::max<int64_t>(0, static_cast<int64_t>(std::floor(room / pixel + 1e-6)));
  };
  const int64_t left = pixels(crop.x, across), right = pixels(1 - crop.x - crop.w, across);
  const int64_t above = pixels(crop.y, down), below = pixels(1 - crop.y - crop.h, down);
  const int64_t extra = std::min({2 * margin, left + right, above + below});
  GrownCrop grown;
  grown.side = size + extra;
  grown.left = std::min(left, std::max(extra / 2, extra - right));
  grown.top = std::min(above, std::max(extra / 2, extra - below));
  grown.box = {crop.x - static_cast<double>(grown.left) * across, crop.y - static_cast<double>(grown.top) * down,
               static_cast<double>(grown.side) * across, static_cast<double>(grown.side) * down};
  return grown;
}

ViewFlow view_flow(const Sample& sample, const ViewPlan& view, int64_t frame_after, int64_t size,
                   const ViewFlowOptions& options) {
  check(view.quarter_turns == 0 && view.tilt_degrees == 0, "view_flow: of upright views only");
  const GrownCrop grown = grow_crop(view.crop, size, options.margin);
  ViewPlan plain = view;
  plain.crop = grown.box;
  plain.flip = false;
  plain.color = {};
  if (frame_after >= 0) plain.frames.push_back(frame_after);
  check(plain.frames.size() >= 2, "view_flow: flow wants two frames");

  thread_local std::vector<float> rgb, u, v;
  thread_local std::vector<uint8_t> grey;
  const auto square = static_cast<size_t>(grown.side * grown.side);
  rgb.resize(plain.frames.size() * 3 * square);
  InputOptions unit;
  unit.range = "unit";
  render_cpu(sample, plain, grown.side, unit, rgb);
  make_grey_bytes(rgb, grey);

  ViewFlow flow;
  flow.fields = static_cast<int64_t>(plain.frames.size()) - 1;
  const auto values = static_cast<size_t>(size * size);
  flow.u.resize(static_cast<size_t>(flow.fields) * values);
  flow.v.resize(flow.u.size());
  u.resize(square);
  v.resize(square);
  FlowSolver& solver = solver_of(options.solver);
  for (size_t t = 0; t < static_cast<size_t>(flow.fields); ++t) {
    solver.solve(grey.data() + t * square, grey.data() + (t + 1) * square, grown.side, grown.side, u.data(), v.data());
    cut(u, grown, size, flow.u.data() + t * values);
    cut(v, grown, size, flow.v.data() + t * values);
  }
  if (view.flip) mirror_flow(flow, size);
  return flow;
}

ViewFlow cut_view_flow(const FlowFields& stored, const ViewPlan& view, int64_t frame_after, int64_t size) {
  check(view.quarter_turns == 0 && view.tilt_degrees == 0, "cut_view_flow: of upright views only");
  const std::vector<int64_t> frames = frames_of_flow(view, frame_after);
  ViewFlow flow;
  flow.fields = std::ssize(frames) - 1;
  const auto values = static_cast<size_t>(size * size);
  flow.u.resize(static_cast<size_t>(flow.fields) * values, 0);
  flow.v.resize(flow.u.size(), 0);
  const int64_t first = frames.front();
  if (frames.back() == first) return flow;
  StoredPlaneCut cutter(stored, view.crop, size);
  for (size_t t = 0; t + 1 < frames.size(); ++t) {
    if (frames[t + 1] == frames[t]) continue;
    check(frames[t + 1] == frames[t] + 1, "cut_view_flow: the frames of the view are neighbours");
    cutter.decode(stored.plane(frames[t] - first, 0), flow.u.data() + t * values);
    cutter.decode(stored.plane(frames[t] - first, 1), flow.v.data() + t * values);
  }
  if (view.flip) mirror_flow(flow, size);
  return flow;
}

ViewFlow stored_view_flow(const FlowStore& store, const std::string& video, const ViewPlan& view, int64_t frame_after,
                          int64_t size) {
  const std::vector<int64_t> frames = frames_of_flow(view, frame_after);
  FlowFields stored;  // a clip of one repeated frame needs none
  if (frames.back() > frames.front()) stored = store.read(video, frames.front(), frames.back() - frames.front());
  return cut_view_flow(stored, view, frame_after, size);
}

void mirror_flow(ViewFlow& flow, int64_t size) {
  for (std::vector<float>* component : {&flow.u, &flow.v}) {
    for (auto row = component->begin(); row != component->end(); row += size) std::reverse(row, row + size);
  }
  for (float& u : flow.u) u = -u;
}

}  // namespace cstp
