/// Pictures made in memory for the renderer's tests.
#pragma once
#include <algorithm>
#include <cmath>
#include <cstdint>
#include <functional>
#include <memory>
#include <random>
#include <vector>

#include "cstp/augment/render.h"
#include "cstp/data/sample.h"

namespace cstp {

/// Planes that own their bytes; rows may be longer than the picture and chroma interleaved.
struct Picture {
  int64_t width = 0, height = 0;
  std::vector<uint8_t> y, u, v;  ///< dense: [height,width], [ceil(height/2), ceil(width/2)]
  ColorMatrix matrix = ColorMatrix::bt601;
  ColorRange range = ColorRange::limited;
  int quarter_turns = 0;

  int64_t chroma_width() const { return (width + 1) / 2; }
  int64_t chroma_height() const { return (height + 1) / 2; }
};

using PixelValue = std::function<int(int64_t x, int64_t y)>;

inline std::vector<uint8_t> filled_plane(int64_t width, int64_t height, const PixelValue& value) {
  std::vector<uint8_t> plane;
  for (int64_t y = 0; y < height; ++y) {
    for (int64_t x = 0; x < width; ++x) plane.push_back(static_cast<uint8_t>(value(x, y)));
  }
  return plane;
}

/// @param chroma_u, chroma_v in chroma samples
inline Picture made_picture(int64_t width, int64_t height, const PixelValue& luma, const PixelValue& chroma_u,
                            const PixelValue& chroma_v) {
  Picture picture{.width = width, .height = height, .y = {}, .u = {}, .v = {}};
  picture.y = filled_plane(width, height, luma);
  picture.u = filled_plane(picture.chroma_width(), picture.chroma_height(), chroma_u);
  picture.v = filled_plane(picture.chroma_width(), picture.chroma_height(), chroma_v);
  return picture;
}

inline int grey_chroma(int64_t, int64_t) { return 128; }

inline Picture grey_picture(int64_t width, int64_t height, const PixelValue& luma) {
  return made_picture(width, height, luma, grey_chroma, grey_chroma);
}

/// Smooth waves in all planes, inside the limited range.
inline Picture wavy_picture(int64_t width, int64_t height, double phase = 0) {
  const auto wave = [phase](double x, double y, double a, double b) {
    return std::sin(a * x + b * y + phase) * std::cos(b * x - 0.5 * a * y);
  };
  return made_picture(
      width, height,
      [&](int64_t x, int64_t y) {
        return static_cast<int>(std::lround(125 + 60 * wave(double(x), double(y), 0.11, 0.07)));
      },
      [&](int64_t x, int64_t y) {
        return static_cast<int>(std::lround(128 + 40 * wave(2 * double(x), 2 * double(y), 0.05, 0.08)));
      },
      [&](int64_t x, int64_t y) {
        return static_cast<int>(std::lround(128 + 40 * wave(2 * double(x), 2 * double(y), -0.06, 0.04)));
      });
}

inline Picture noisy_picture(int64_t width, int64_t height, uint32_t seed = 1) {
  std::mt19937 random(seed);
  const auto any = [&random](int64_t, int64_t) { return static_cast<int>(16 + random() % 220); };
  return made_picture(width, height, any, any, any);
}

/// Plane turned counter-clockwise, as numpy's rot90.
template <class Value>
std::vector<Value> turned_plane(const std::vector<Value>& plane, int64_t width, int64_t height) {
  std::vector<Value> turned;
  for (int64_t y = 0; y < width; ++y) {
    for (int64_t x = 0; x < height; ++x) turned.push_back(plane[static_cast<size_t>(x * width + width - 1 - y)]);
  }
  return turned;
}

inline Picture turned_picture(Picture picture, int turns) {
  for (int turn = 0; turn < turns; ++turn) {
    picture.y = turned_plane(picture.y, picture.width, picture.height);
    picture.u = turned_plane(picture.u, picture.chroma_width(), picture.chroma_height());
    picture.v = turned_plane(picture.v, picture.chroma_width(), picture.chroma_height());
    std::swap(picture.width, picture.height);
  }
  return picture;
}

struct Layout {
  int64_t padding = 0;       ///< bytes after each row
  bool interleaved = false;  ///< NV12
};

/// Pictures as a decoded sample; frame numbers are 0, 1, ...
inline Sample made_sample(const std::vector<Picture>& pictures, const Layout& layout = {}) {
  Sample sample;
  for (const Picture& picture : pictures) {
    Frame frame{.y_stride = picture.width + layout.padding,
                .uv_stride = picture.chroma_width() * (layout.interleaved ? 2 : 1) + layout.padding,
                .uv_step = layout.interleaved ? 2 : 1,
                .width = picture.width,
                .height = picture.height,
                .quarter_turns = picture.quarter_turns,
                .matrix = picture.matrix,
                .range = picture.range};
    const int64_t luma_bytes = frame.y_stride * picture.height;
    const int64_t chroma_bytes = frame.uv_stride * picture.chroma_height();
    std::shared_ptr<uint8_t[]> memory(new uint8_t[static_cast<size_t>(luma_bytes + 2 * chroma_bytes)]);
    std::fill_n(memory.get(), luma_bytes + 2 * chroma_bytes, uint8_t{77});  // what lies in the padding must not be seen
    uint8_t* y = memory.get();
    uint8_t* u = y + luma_bytes;
    uint8_t* v = layout.interleaved ? u + 1 : u + chroma_bytes;
    const auto fill = [](uint8_t* to, int64_t stride, int64_t step, const std::vector<uint8_t>& from, int64_t width) {
      for (size_t i = 0; i < from.size(); ++i) {
        to[static_cast<int64_t>(i) / width * stride + static_cast<int64_t>(i) % width * step] = from[i];
      }
    };
    fill(y, frame.y_stride, 1, picture.y, picture.width);
    fill(u, frame.uv_stride, frame.uv_step, picture.u, picture.chroma_width());
    fill(v, frame.uv_stride, frame.uv_step, picture.v, picture.chroma_width());
    frame.y = y;
    frame.u = u;
    frame.v = v;
    sample.frame_numbers.push_back(static_cast<int64_t>(sample.frames.size()));
    sample.frames.push_back(frame);
    sample.memory.push_back(memory);
  }
  return sample;
}

/// A view of all frames of a sample.
inline ViewPlan view_of(const Sample& sample, const CropBox& crop = {}) {
  ViewPlan view;
  view.frames = sample.frame_numbers;
  view.crop = crop;
  return view;
}

inline CropBox pixel_box(const Picture& shown, double x, double y, double w, double h) {
  const auto width = static_cast<double>(shown.width);
  const auto height = static_cast<double>(shown.height);
  return {x / width, y / height, w / width, h / height};
}

inline std::vector<float> rendered(const Sample& sample, const ViewPlan& view, int64_t size,
                                   const std::string& range = "unit") {
  std::vector<float> out(view.frames.size() * static_cast<size_t>(size * size * 3), -9.0F);
  InputOptions input;
  input.range = range;
  render_cpu(sample, view, size, input, out);
  return out;
}

/// Channel c of pixel (x, y) in frame t of a view of side `size`.
inline float pixel(const std::vector<float>& view, int64_t size, int64_t x, int64_t y, int64_t c = 0, int64_t t = 0) {
  return view[static_cast<size_t>(((t * size + y) * size + x) * 3 + c)];
}

/// The view whose pixel (x, y) is pixel source(x, y) of `view`.
template <class Source>
std::vector<float> rearranged(const std::vector<float>& view, int64_t size, Source source) {
  std::vector<float> result;
  for (int64_t t = 0; t < static_cast<int64_t>(view.size()) / (3 * size * size); ++t) {
    for (int64_t y = 0; y < size; ++y) {
      for (int64_t x = 0; x < size; ++x) {
        const auto [from_x, from_y] = source(x, y);
        for (int64_t c = 0; c < 3; ++c) result.push_back(pixel(view, size, from_x, from_y, c, t));
      }
    }
  }
  return result;
}

inline std::vector<float> mirrored_view(const std::vector<float>& view, int64_t size) {
  return rearranged(view, size, [size](int64_t x, int64_t y) { return std::pair(size - 1 - x, y); });
}

/// numpy's rot90.
inline std::vector<float> turned_view(std::vector<float> view, int64_t size, int turns) {
  for (int turn = 0; turn < turns; ++turn) {
    view = rearranged(view, size, [size](int64_t x, int64_t y) { return std::pair(size - 1 - y, x); });
  }
  return view;
}

inline double largest_difference(const std::vector<float>& a, const std::vector<float>& b) {
  double largest = a.size() == b.size() ? 0 : 1e9;
  for (size_t i = 0; i < std::min(a.size(), b.size()); ++i) {
    largest = std::max(largest, std::abs(static_cast<double>(a[i]) - static_cast<double>(b[i])));
  }
  return largest;
}

}  // namespace cstp
