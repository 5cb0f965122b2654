// The CPU body of the renderer: one thread, frame by frame, and in a frame block by block of kRowBlock rows, so that
// pixels stay in the nearest caches from the planes' bytes to the network's floats. The reference for every other body.
#include <algorithm>
#include <cmath>
#include <vector>

#include "block_ops.h"
#include "blur.h"
#include "cstp/augment/render.h"
#include "cstp/core/error.h"
#include "resample.h"
#include "view_geometry.h"

namespace cstp {
namespace {

/// Memory that a thread keeps from view to view.
struct Scratch {
  MixedBlock mixed_y, mixed_cb, mixed_cr;
  std::vector<uint8_t> cb, cr;  ///< chroma planes taken out of interleaved ones
  CacheLines block;             ///< the strip being made, at most a whole block
  CacheLines square;            ///< all blocks of a frame, where pixels still move between blocks
  CacheLines rows;              ///< a block's pixels as they leave
  std::vector<float> last;      ///< where the contrast waits for the clip: the last blocks of frames, if not whole
  Blur blur;
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

/// Planes and coefficients of a frame.
struct FramePlanes {
  BytePlane y, cb, cr;
  YcbcrToRgb coefficients;
};

FramePlanes planes_of(const Frame& frame, const ViewGeometry& geometry, Scratch& scratch) {
  return {{frame.y, frame.y_stride},
          chroma_plane(frame, frame.u, geometry, scratch.cb),
          chroma_plane(frame, frame.v, geometry, scratch.cr),
          ycbcr_to_rgb(frame.matrix, frame.range)};
}

/// Blocks are worked on in strips of so many columns, which the nearest cache holds beside what they come from.
constexpr int64_t kStrip = 32;

/// Gives the blocks of a frame of the view: cropped, resized, in RGB, turned, flipped and tilted.
class FrameCutter {
 public:
  /// @param tilted tilt_table() of the geometry, empty without a tilt
  FrameCutter(const Frame& frame, const ViewGeometry& geometry, std::span<const int32_t> tilted, int64_t size,
              Scratch& scratch)
      : geometry_(geometry),
        tilted_(tilted),
        size_(size),
        scratch_(scratch),
        planes_(planes_of(frame, geometry, scratch)) {
    if (!moves_pixels()) return;
    scratch.square.resize(block_place(0, column_stride(size), size));
    for (int64_t row = 0; row < size; row += kRowBlock) {
      mix(row);
      resampled(0, {scratch.square.data() + block_place(0, row, size), size});
    }
  }

  /// Columns that can be cut at once, in order.
  int64_t strip() const { return moves_pixels() ? size_ : std::min(kStrip, size_); }

  /// @param row, x where the strip begins
  void cut(int64_t row, int64_t x, const PixelBlock& strip) {
    if (geometry_.turned) {
      turn_block(scratch_.square.data(), row, strip);
    } else if (moves_pixels()) {
      pick_block(scratch_.square.data(), tilted_.data() + row * size_, strip);
    } else {
      if (x == 0) mix(row);
      resampled(x, strip);
    }
  }

 private:
  bool moves_pixels() const { return geometry_.turned || !tilted_.empty(); }

  /// The vertical pass of kRowBlock rows of the resampled square.
  void mix(int64_t row) {
    const ViewGeometry& g = geometry_;
    mix_block(planes_.y, g.luma_across, g.luma_down, planes_.coefficients.black, row, scratch_.mixed_y);
    mix_block(planes_.cb, g.chroma_across, g.chroma_down, 128, row, scratch_.mixed_cb);
    mix_block(planes_.cr, g.chroma_across, g.chroma_down, 128, row, scratch_.mixed_cr);
  }
  void resampled(int64_t x, const PixelBlock& strip) {
    mix_to_rgb(scratch_.mixed_y, scratch_.mixed_cb, scratch_.mixed_cr, geometry_.luma_across, geometry_.chroma_across,
               planes_.coefficients, x, x + strip.columns, strip.data);
  }

  const ViewGeometry& geometry_;
  std::span<const int32_t> tilted_;
  int64_t size_;
  Scratch& scratch_;
  FramePlanes planes_;
};

/// The jitter but for contrast, which needs the whole clip.
void apply_jitter(std::span<const ColorOp> ops, const ColorPlan& color, const PixelBlock& block) {
  for (const ColorOp op : ops) {
    switch (op) {
      case ColorOp::brightness: change_brightness(block, static_cast<float>(color.brightness)); break;
      case ColorOp::saturation:
        if (color.rule == ColorRule::tensorflow) {
          change_hsv_saturation(block, static_cast<float>(color.saturation));
        } else {
          change_saturation(block, static_cast<float>(color.saturation));
        }
        break;
      case ColorOp::hue: change_hue(block, static_cast<float>(color.hue)); break;
      case ColorOp::contrast: check(false, "contrast is applied to the clip, not to a frame");
    }
  }
}

/// What the contrast needs of the whole clip.
struct ClipSums {
  double luma = 0;
  std::array<double, 3> channels{};

  void add(const PixelBlock& block, ColorRule rule) {
    if (rule == ColorRule::torchvision) {
      luma += luma_sum(block);
      return;
    }
    const std::array<double, 3> sums = channel_sums(block);
    for (size_t c = 0; c < channels.size(); ++c) channels[c] += sums[c];
  }
  /// @param pixels of the clip
  void change_contrast_of(const PixelBlock& block, const ColorPlan& color, int64_t pixels) const {
    const auto factor = static_cast<float>(color.contrast);
    const auto mean = [pixels](double sum) { return static_cast<float>(sum / static_cast<double>(pixels)); };
    if (color.rule == ColorRule::torchvision) {
      change_contrast(block, factor, mean(luma));
    } else {
      change_channel_contrast(block, factor, {mean(channels[0]), mean(channels[1]), mean(channels[2])});
    }
  }
};

/// What follows the jitter; then blocks become rows of pixels of the network's range.
class Finisher {
 public:
  /// @param past the blocks' places were not read of late: writes go past the caches
  Finisher(const ColorPlan& color, const InputOptions& input, int64_t size, bool past, Scratch& scratch)
      : color_(color), range_(input_affine(input)), size_(size), past_(past), blur_(scratch.blur), rows_(scratch.rows) {
    rows_.resize(size * kColumnFloats);
    if (color.blur_sigma > 0) kernel_ = gaussian_kernel(color.blur_sigma, size, color.blur_taps);
  }

  /// Columns that can be finished at once: a blur sees whole rows.
  int64_t strip() const { return kernel_.empty() ? std::min(kStrip, size_) : size_; }

  /// @param row, x where the strip begins in frame t; strips come in order
  /// @param frame  [S,S,3], written when the last strip of a block has come
  void finish(const PixelBlock& strip, size_t t, int64_t row, int64_t x, float* frame) {
    if (color_.grey) make_grey(strip, color_.rule);
    if (!color_.grey_channel.empty()) copy_channel(strip, color_.grey_channel[t]);
    if (!kernel_.empty()) {
      blur(strip, row, frame);
      return;
    }
    const int64_t floats = 3 * size_;
    const int64_t rows = std::min(kRowBlock, size_ - row);
    columns_to_rows(strip.data, 3 * strip.columns, rows, floats, rows_.data() + 3 * x);
    if (x + strip.columns == size_)  // memory likes it in one go
      send({rows_.data(), static_cast<size_t>(rows * floats)}, past_, frame + row * floats);
  }

 private:
  void blur(const PixelBlock& block, int64_t row, float* frame) {
    if (row == 0) {
      blur_.begin(size_, without_tails(kernel_), color_.blur_border);
      done_ = 0;
    }
    blur_.add(block);
    const int64_t floats = 3 * size_;
    while (done_ < blur_.ready()) {
      const int64_t rows = std::min<int64_t>(2, blur_.ready() - done_);
      float* first = frame + done_ * floats;
      blur_.take(done_, first, rows == 2 ? first + floats : nullptr);
      send({first, static_cast<size_t>(rows * floats)}, /*past=*/false, first);
      done_ += rows;
    }
  }

  void send(std::span<const float> pixels, bool past, float* out) const {
    finish_pixels(pixels, static_cast<float>(color_.solarize), range_, past, out);
  }

  const ColorPlan& color_;
  InputAffine range_;
  int64_t size_;
  bool past_;
  std::vector<float> kernel_;  ///< empty: no blur
  Blur& blur_;
  CacheLines& rows_;
  int64_t done_ = 0;  ///< rows of the frame that were taken from the blur
};

/// Blocks that wait for the clip's mean: where their pixels will be, and elsewhere if a block has more rows than the
/// view.
class WaitingBlocks {
 public:
  WaitingBlocks(size_t frames, int64_t size, std::span<float> out, std::vector<float>& last)
      : size_(size), out_(out), last_(last) {
    last.resize(size % kRowBlock == 0 ? 0 : frames * static_cast<size_t>(size * kColumnFloats));
  }
  float* at(size_t t, int64_t row, int64_t x) {
    const auto frame = static_cast<int64_t>(t);
    if (row + kRowBlock > size_) return last_.data() + (frame * size_ + x) * kColumnFloats;
    return out_.data() + (frame * size_ + row) * size_ * 3 + x * kColumnFloats;
  }

 private:
  int64_t size_;
  std::span<float> out_;
  std::vector<float>& last_;
};

/// function(row, x, columns) for the strips of a view, block by block.
template <class Function>
void for_each_strip(int64_t size, int64_t width, Function&& function) {
  for (int64_t row = 0; row < size; row += kRowBlock) {
    for (int64_t x = 0; x < size; x += width) function(row, x, std::min(width, size - x));
  }
}

}  // namespace

void render_cpu(const Sample& sample, const ViewPlan& view, int64_t size, const InputOptions& input,
                std::span<float> out) {
  check_view(view, size);
  check(out.size() == view.frames.size() * static_cast<size_t>(size * size * 3), "a view is rendered into [T,S,S,3]");
  thread_local Scratch scratch;
  const ColorPlan& color = view.color;
  const std::span<const ColorOp> jitter(color.jitter);
  const auto contrast = static_cast<size_t>(std::ranges::find(jitter, ColorOp::contrast) - jitter.begin());
  const bool has_contrast = contrast < jitter.size();
  const int64_t pixels = size * size;
  const auto frame_of = [&](size_t t) { return out.data() + t * static_cast<size_t>(3 * pixels); };
  scratch.block.resize(size * kColumnFloats);
  Finisher finisher(color, input, size, /*past=*/!has_contrast, scratch);

  // A strip is finished at once unless the contrast must first see the clip.
  ViewGeometry geometry;
  std::vector<int32_t> tilted;
  ClipSums clip;
  WaitingBlocks waiting(has_contrast ? view.frames.size() : 0, size, out, scratch.last);
  for (size_t t = 0; t < view.frames.size(); ++t) {
    const Frame& frame = sample.frame(view.frames[t]);
    if (!geometry.fits(frame)) {
      geometry = make_geometry(frame, view, size);
      if (geometry.tilt) tilted = tilt_table(geometry, size);
    }
    FrameCutter cutter(frame, geometry, tilted, size, scratch);
    const int64_t width = has_contrast ? cutter.strip() : std::max(cutter.strip(), finisher.strip());
    for_each_strip(size, width, [&](int64_t row, int64_t x, int64_t columns) {
      const PixelBlock strip{scratch.block.data(), columns};
      cutter.cut(row, x, strip);
      apply_jitter(jitter.first(contrast), color, strip);
      if (has_contrast) {
        clip.add(strip, color.rule);
        std::copy_n(strip.data, columns * kColumnFloats, waiting.at(t, row, x));
      } else {
        finisher.finish(strip, t, row, x, frame_of(t));
      }
    });
  }
  end_of_writes();
  if (!has_contrast) return;
  const int64_t clip_pixels = pixels * static_cast<int64_t>(view.frames.size());
  for (size_t t = 0; t < view.frames.size(); ++t) {
    for_each_strip(size, finisher.strip(), [&](int64_t row, int64_t x, int64_t columns) {
      const PixelBlock strip{scratch.block.data(), columns};
      std::copy_n(waiting.at(t, row, x), columns * kColumnFloats, strip.data);  // its place is where pixels go
      clip.change_contrast_of(strip, color, clip_pixels);
      apply_jitter(jitter.subspan(contrast + 1), color, strip);
      finisher.finish(strip, t, row, x, frame_of(t));
    });
  }
}

}  // namespace cstp
