// The CPU body of the renderer: one thread, frame by frame; the reference for every other body.
#include <algorithm>
#include <cmath>
#include <vector>

#include "cstp/augment/render.h"
#include "cstp/core/error.h"
#include "plane_ops.h"
#include "resample.h"
#include "view_geometry.h"

namespace cstp {
namespace {

/// Memory that a thread keeps from view to view.
struct Scratch {
  ResampleScratch resample;
  std::vector<float> squares;   ///< resampled Y, Cb, Cr; then R, G, B
  std::vector<uint8_t> chroma;  ///< one chroma plane taken out of interleaved ones
  std::vector<float> blur;
  std::vector<float> frame;  ///< finished planes of one frame, on their way to interleaved pixels
};

/// The part of a chroma plane that the taps read, as consecutive samples; interleaved planes (NV12) are taken apart.
BytePlane chroma_plane(const Frame& frame, const uint8_t* samples, const ViewGeometry& geometry,
                       std::vector<uint8_t>& copy) {
  if (frame.uv_step == 1) return {samples, frame.uv_stride};
  const int64_t stride = frame.chroma_width();
  copy.resize(static_cast<size_t>(stride * frame.chroma_height()));
  for (int64_t y = geometry.chroma_down.begin; y < geometry.chroma_down.end; ++y) {
    const uint8_t* row = samples + y * frame.uv_stride;
    for (int64_t x = geometry.chroma_across.begin; x < geometry.chroma_across.end; ++x) {
      copy[static_cast<size_t>(y * stride + x)] = row[x * frame.uv_step];
    }
  }
  return {copy.data(), stride};
}

/// Crop, resize, colour conversion, turns, flip and tilt of one frame.
void cut_frame(const Frame& frame, const ViewGeometry& geometry, int64_t size, Scratch& scratch, const RgbPlanes& out) {
  const YcbcrToRgb coefficients = ycbcr_to_rgb(frame.matrix, frame.range);
  const int64_t square = size * column_stride(size);
  scratch.squares.resize(static_cast<size_t>(3 * square));
  float* luma = scratch.squares.data();
  float* cb = luma + square;
  float* cr = cb + square;
  resample_plane({frame.y, frame.y_stride}, geometry.luma_across, geometry.luma_down, coefficients.black,
                 scratch.resample, luma);
  resample_plane(chroma_plane(frame, frame.u, geometry, scratch.chroma), geometry.chroma_across, geometry.chroma_down,
                 128.0F, scratch.resample, cb);
  resample_plane(chroma_plane(frame, frame.v, geometry, scratch.chroma), geometry.chroma_across, geometry.chroma_down,
                 128.0F, scratch.resample, cr);
  convert_to_rgb(coefficients, luma, cb, cr, square);
  for (int channel = 0; channel < 3; ++channel) {
    const float* resampled = scratch.squares.data() + channel * square;
    if (geometry.tilted.empty()) {
      place(resampled, geometry.placement, size, out.plane(channel));
    } else {
      place(resampled, geometry.tilted, out.plane(channel));
    }
  }
}

/// The jitter but for contrast, which needs the whole clip.
void apply_jitter(std::span<const ColorOp> ops, const ColorPlan& color, const RgbPlanes& rgb) {
  for (const ColorOp op : ops) {
    switch (op) {
      case ColorOp::brightness: change_brightness(rgb, static_cast<float>(color.brightness)); break;
      case ColorOp::saturation:
        if (color.rule == ColorRule::tensorflow) {
          change_hsv_saturation(rgb, static_cast<float>(color.saturation));
        } else {
          change_saturation(rgb, static_cast<float>(color.saturation));
        }
        break;
      case ColorOp::hue: change_hue(rgb, static_cast<float>(color.hue)); break;
      case ColorOp::contrast: check(false, "contrast is applied to the clip, not to a frame");
    }
  }
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

/// What follows the jitter; then the planes become pixels of the network's range, in their own memory.
void finish_frame(const ColorPlan& color, size_t t, std::span<const float> kernel, const InputAffine& range,
                  int64_t size, Scratch& scratch, const RgbPlanes& rgb) {
  if (color.grey) make_grey(rgb, color.rule);
  if (!color.grey_channel.empty()) copy_channel(rgb, color.grey_channel[t]);
  if (!kernel.empty()) {
    for (int channel = 0; channel < 3; ++channel)
      blur(rgb.plane(channel), size, kernel, color.blur_border, scratch.blur);
  }
  if (color.solarize <= 1) solarize(rgb, static_cast<float>(color.solarize));
  scratch.frame.assign(rgb.data, rgb.data + 3 * rgb.n);
  interleave({scratch.frame.data(), rgb.n}, range, rgb.data);
}

void check_plan(const ViewPlan& view, int64_t size, size_t out_size) {
  const ColorPlan& color = view.color;
  check(size > 0 && out_size == view.frames.size() * static_cast<size_t>(size * size * 3),
        "a view is rendered into [T,S,S,3]");
  check(std::ranges::count(color.jitter, ColorOp::contrast) <= 1, "a view changes its contrast once");
  check(color.grey_channel.empty() || color.grey_channel.size() == view.frames.size(), "one grey channel per frame");
  check(std::ranges::all_of(color.grey_channel, [](int8_t c) { return c >= 0 && c < 3; }),
        "a grey channel is 0, 1 or 2");
  check(color.blur_taps == 0 || color.blur_taps % 2 == 1, "a blur has a middle: an odd number of taps");
}

/// What the contrast needs of the whole clip.
struct ClipSums {
  double luma = 0;
  std::array<double, 3> channels{};

  void add(const RgbPlanes& rgb, ColorRule rule) {
    if (rule == ColorRule::torchvision) {
      luma += luma_sum(rgb);
      return;
    }
    const std::array<double, 3> sums = channel_sums(rgb);
    for (size_t c = 0; c < channels.size(); ++c) channels[c] += sums[c];
  }
  /// @param pixels of a frame
  void change_contrast_of(const RgbPlanes& rgb, const ColorPlan& color, int64_t pixels, size_t frames) const {
    const auto factor = static_cast<float>(color.contrast);
    const auto mean = [&](double sum) {
      return static_cast<float>(sum / static_cast<double>(pixels) / static_cast<double>(frames));
    };
    if (color.rule == ColorRule::torchvision) {
      change_contrast(rgb, factor, mean(luma));
    } else {
      change_channel_contrast(rgb, factor, {mean(channels[0]), mean(channels[1]), mean(channels[2])});
    }
  }
};

}  // namespace

void render_cpu(const Sample& sample, const ViewPlan& view, int64_t size, const InputOptions& input,
                std::span<float> out) {
  check_plan(view, size, out.size());
  thread_local Scratch scratch;
  const ColorPlan& color = view.color;
  const std::span<const ColorOp> jitter(color.jitter);
  const auto contrast = static_cast<size_t>(std::ranges::find(jitter, ColorOp::contrast) - jitter.begin());
  const bool has_contrast = contrast < jitter.size();
  const InputAffine range = input_affine(input);
  const std::vector<float> kernel =
      color.blur_sigma > 0 ? gaussian_kernel(color.blur_sigma, size, color.blur_taps) : std::vector<float>{};
  const int64_t pixels = size * size;
  const auto planes_of = [&](size_t t) { return RgbPlanes{out.data() + t * static_cast<size_t>(3 * pixels), pixels}; };

  // A frame is finished at once unless the contrast must first see the clip; its planes then wait in `out`.
  ViewGeometry geometry;
  ClipSums clip;
  for (size_t t = 0; t < view.frames.size(); ++t) {
    const Frame& frame = sample.frame(view.frames[t]);
    if (!geometry.fits(frame)) geometry = make_geometry(frame, view, size);
    const RgbPlanes rgb = planes_of(t);
    cut_frame(frame, geometry, size, scratch, rgb);
    apply_jitter(jitter.first(contrast), color, rgb);
    if (has_contrast) {
      clip.add(rgb, color.rule);
    } else {
      finish_frame(color, t, kernel, range, size, scratch, rgb);
    }
  }
  if (!has_contrast) return;
  for (size_t t = 0; t < view.frames.size(); ++t) {
    const RgbPlanes rgb = planes_of(t);
    clip.change_contrast_of(rgb, color, pixels, view.frames.size());
    apply_jitter(jitter.subspan(contrast + 1), color, rgb);
    finish_frame(color, t, kernel, range, size, scratch, rgb);
  }
}

}  // namespace cstp
