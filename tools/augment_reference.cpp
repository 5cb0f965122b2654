#include "augment_reference.h"

#include <algorithm>
#include <cmath>
#include <numbers>

namespace cstp {
namespace {

/// Weights of the inputs of one output, from `first` on.
struct WeightRow {
  int64_t first = 0;
  std::vector<double> weights;
};

double triangle(double x) { return std::max(0.0, 1 - std::abs(x)); }

double keys(double x, double a) {
  x = std::abs(x);
  if (x < 1) return (a + 2) * x * x * x - (a + 3) * x * x + 1;
  return x < 2 ? a * (x * x * x - 5 * x * x + 8 * x - 4) : 0;
}

/// One axis of a resize of `length` inputs to `size` outputs.
std::vector<WeightRow> weight_rows(int64_t length, int64_t size, const ViewPlan& plan, bool area) {
  std::vector<WeightRow> rows;
  const double scale = static_cast<double>(length) / static_cast<double>(size);
  const double widening = plan.antialias ? std::max(1.0, scale) : 1.0;
  const bool cubic = plan.filter == Filter::bicubic;
  const double a = plan.antialias ? -0.5 : -0.75;
  for (int64_t i = 0; i < size; ++i) {
    const double centre = (static_cast<double>(i) + 0.5) * scale;
    const double low = static_cast<double>(i) * scale, high = low + scale;
    std::vector<double> all(static_cast<size_t>(length), 0.0);
    double sum = 0;
    for (int64_t j = -4; j < length + 4; ++j) {
      const double distance = (static_cast<double>(j) + 0.5 - centre) / widening;
      double weight = cubic ? keys(distance, a) : triangle(distance);
      if (area && scale > 1) weight = std::max(0.0, std::min(high, double(j) + 1) - std::max(low, double(j)));
      const bool inside = j >= 0 && j < length;
      if (!inside && (plan.antialias || area)) continue;  // weights renormalised at the edge, else pixels repeated
      all[static_cast<size_t>(std::clamp<int64_t>(j, 0, length - 1))] += weight;
      sum += weight;
    }
    const auto used = [](double weight) { return weight != 0; };
    const auto first = std::ranges::find_if(all, used) - all.begin();
    const auto end = std::find_if(all.rbegin(), all.rend(), used).base() - all.begin();
    WeightRow row{first, {all.begin() + first, all.begin() + end}};
    for (double& weight : row.weights) weight /= sum;
    rows.push_back(std::move(row));
  }
  return rows;
}

std::vector<double> resized(const std::vector<double>& image, int64_t width, const std::vector<WeightRow>& across,
                            const std::vector<WeightRow>& down) {
  std::vector<double> out, row(static_cast<size_t>(width));
  for (const WeightRow& y : down) {
    std::ranges::fill(row, 0.0);
    for (size_t k = 0; k < y.weights.size(); ++k) {
      const double* source = image.data() + (y.first + static_cast<int64_t>(k)) * width;
      for (size_t x = 0; x < row.size(); ++x) row[x] += y.weights[k] * source[x];
    }
    for (const WeightRow& x : across) {
      double sum = 0;
      for (size_t k = 0; k < x.weights.size(); ++k) sum += x.weights[k] * row[static_cast<size_t>(x.first) + k];
      out.push_back(std::clamp(sum, 0.0, 1.0));
    }
  }
  return out;
}

using Colour = std::array<double, 3>;
using Square = std::vector<Colour>;  ///< [S,S]

double clamped(double value) { return std::clamp(value, 0.0, 1.0); }
double grey_of(const Colour& p) { return 0.299 * p[0] + 0.587 * p[1] + 0.114 * p[2]; }

Colour blended(const Colour& p, double other, double factor) {
  Colour result{};
  for (size_t c = 0; c < 3; ++c) result[c] = clamped(factor * p[c] + (1 - factor) * other);
  return result;
}

/// HSV -> RGB by the formula f(n) = v - v s max(0, min(k, 4-k, 1)), k = (n + 6h) mod 6.
Colour hue_turned(const Colour& p, double shift) {
  const double high = std::max({p[0], p[1], p[2]}), chroma = high - std::min({p[0], p[1], p[2]});
  double hue = 0;
  if (chroma > 0) {
    hue = high == p[0]   ? (p[1] - p[2]) / chroma
          : high == p[1] ? 2 + (p[2] - p[0]) / chroma
                         : 4 + (p[0] - p[1]) / chroma;
  }
  hue += 6 * shift;
  Colour result{};
  const double offsets[] = {5, 3, 1};
  for (size_t c = 0; c < 3; ++c) {
    const double k = std::fmod(offsets[c] + hue + 12, 6);
    result[c] = high - chroma * std::max(0.0, std::min({k, 4 - k, 1.0}));
  }
  return result;
}

Square turned(const Square& square, int64_t size) {  // a quarter, counter-clockwise
  Square result;
  for (int64_t y = 0; y < size; ++y) {
    for (int64_t x = 0; x < size; ++x) result.push_back(square[static_cast<size_t>(x * size + size - 1 - y)]);
  }
  return result;
}

Square mirrored(Square square, int64_t size) {
  for (int64_t y = 0; y < size; ++y) std::reverse(square.begin() + y * size, square.begin() + (y + 1) * size);
  return square;
}

Square tilted(const Square& square, int64_t size, double degrees) {
  const double angle = degrees * std::numbers::pi / 180, centre = double(size - 1) / 2;
  Square result;
  for (int64_t y = 0; y < size; ++y) {
    for (int64_t x = 0; x < size; ++x) {
      const double right = double(x) - centre, below = double(y) - centre;
      const auto from_x =
          static_cast<int64_t>(std::nearbyint(std::cos(angle) * right - std::sin(angle) * below + centre));
      const auto from_y =
          static_cast<int64_t>(std::nearbyint(std::sin(angle) * right + std::cos(angle) * below + centre));
      const bool inside = from_x >= 0 && from_x < size && from_y >= 0 && from_y < size;
      result.push_back(inside ? square[static_cast<size_t>(from_y * size + from_x)] : Colour{});
    }
  }
  return result;
}

Square blurred(const Square& square, int64_t size, const ColorPlan& color) {
  const int64_t radius = blur_taps(color) / 2;
  std::vector<double> kernel;
  double norm = 0;
  for (int64_t k = -radius; k <= radius; ++k) {
    kernel.push_back(std::exp(-0.5 * double(k * k) / color.blur_sigma / color.blur_sigma));
    norm += kernel.back();
  }
  const auto reflected = [size](int64_t i) { return i < 0 ? -i : (i >= size ? 2 * size - 2 - i : i); };
  const auto along = [&](const Square& from, int64_t step_x, int64_t step_y) {
    Square to(from.size());
    for (int64_t y = 0; y < size; ++y) {
      for (int64_t x = 0; x < size; ++x) {
        for (int64_t k = -radius; k <= radius; ++k) {
          const Colour& p = from[static_cast<size_t>(reflected(y + k * step_y) * size + reflected(x + k * step_x))];
          for (size_t c = 0; c < 3; ++c)
            to[static_cast<size_t>(y * size + x)][c] += kernel[static_cast<size_t>(k + radius)] / norm * p[c];
        }
      }
    }
    return to;
  };
  return along(along(square, 1, 0), 0, 1);
}

void change_colours(std::vector<Square>& clip, int64_t size, const ColorPlan& color, const ReferenceRules& rules) {
  for (const ColorOp op : color.jitter) {
    std::vector<double> means;
    for (const Square& square : clip) {
      double sum = 0;
      for (const Colour& p : square) sum += grey_of(p);
      means.push_back(sum / static_cast<double>(square.size()));
    }
    double clip_mean = 0;
    for (const double mean : means) clip_mean += mean / static_cast<double>(means.size());
    for (size_t t = 0; t < clip.size(); ++t) {
      for (Colour& p : clip[t]) {
        switch (op) {
          case ColorOp::brightness: p = blended(p, 0, color.brightness); break;
          case ColorOp::contrast: p = blended(p, rules.clip_contrast ? clip_mean : means[t], color.contrast); break;
          case ColorOp::saturation: p = blended(p, grey_of(p), color.saturation); break;
          case ColorOp::hue: p = hue_turned(p, color.hue); break;
        }
      }
    }
  }
  for (size_t t = 0; t < clip.size(); ++t) {
    for (Colour& p : clip[t]) {
      if (color.grey) p.fill(grey_of(p));
      if (!color.grey_channel.empty()) p.fill(Colour(p)[static_cast<size_t>(color.grey_channel[t])]);
    }
    if (color.blur_sigma > 0) clip[t] = blurred(clip[t], size, color);
    for (Colour& p : clip[t]) {
      for (double& value : p) value = value >= color.solarize ? 1 - value : value;
    }
  }
}

}  // namespace

RgbImage full_rgb(const Frame& frame, const PixelCrop& box) {
  RgbImage rgb{box.w, box.h, {}};
  const auto chroma = [&](const uint8_t* plane, int64_t x, int64_t y) {
    const auto place = [](int64_t i, int64_t length) {
      const double position = (static_cast<double>(i) + 0.5) / 2 - 0.5, whole = std::floor(position);
      const auto at = [&](double j) { return std::clamp<int64_t>(static_cast<int64_t>(j), 0, length - 1); };
      return std::tuple(at(whole), at(whole + 1), position - whole);
    };
    const auto [x0, x1, fx] = place(x, frame.chroma_width());
    const auto [y0, y1, fy] = place(y, frame.chroma_height());
    const auto value = [&](int64_t i, int64_t j) { return double(plane[j * frame.uv_stride + i]) - 128; };
    return (1 - fy) * ((1 - fx) * value(x0, y0) + fx * value(x1, y0)) +
           fy * ((1 - fx) * value(x0, y1) + fx * value(x1, y1));
  };
  for (int64_t y = box.y; y < box.y + box.h; ++y) {
    for (int64_t x = box.x; x < box.x + box.w; ++x) {  // ITU-R BT.601, limited range
      const double luma = (double(frame.y[y * frame.y_stride + x]) - 16) / 219;
      const double cb = chroma(frame.u, x, y) / 224, cr = chroma(frame.v, x, y) / 224;
      rgb.channels[0].push_back(clamped(luma + 1.402 * cr));
      rgb.channels[1].push_back(clamped(luma - 1.772 * 0.114 / 0.587 * cb - 1.402 * 0.299 / 0.587 * cr));
      rgb.channels[2].push_back(clamped(luma + 1.772 * cb));
    }
  }
  return rgb;
}

std::vector<double> reference_view(const BenchCase& bench, const BenchView& view, const ReferenceRules& rules) {
  const PixelCrop box = pixel_crop(bench, view.plan);
  const std::vector<WeightRow> across = weight_rows(box.w, bench.size, view.plan, rules.area);
  const std::vector<WeightRow> down = weight_rows(box.h, bench.size, view.plan, rules.area);
  std::vector<Square> clip;
  for (const Frame& frame : bench.clips[view.clip].frames) {
    const RgbImage rgb = full_rgb(frame, box);
    Square square(static_cast<size_t>(bench.size * bench.size));
    for (size_t c = 0; c < 3; ++c) {
      const std::vector<double> channel = resized(rgb.channels[c], box.w, across, down);
      for (size_t i = 0; i < square.size(); ++i) square[i][c] = channel[i];
    }
    for (int turn = 0; turn < view.plan.quarter_turns; ++turn) square = turned(square, bench.size);
    if (view.plan.flip) square = mirrored(std::move(square), bench.size);
    if (view.plan.tilt_degrees != 0) square = tilted(square, bench.size, view.plan.tilt_degrees);
    clip.push_back(std::move(square));
  }
  change_colours(clip, bench.size, view.plan.color, rules);
  std::vector<double> out;
  for (const Square& square : clip) {
    for (const Colour& p : square) out.insert(out.end(), p.begin(), p.end());
  }
  return out;
}

double psnr(const BenchCase& bench, const std::vector<float>& view, const std::vector<double>& reference) {
  const double scale = bench.input.range == "signed" ? 2 : 1, bias = bench.input.range == "signed" ? -1 : 0;
  double squares = 0;
  for (size_t i = 0; i < reference.size(); ++i) {
    const double difference = (static_cast<double>(view[i]) - bias) / scale - reference[i];
    squares += difference * difference;
  }
  return -10 * std::log10(squares / static_cast<double>(reference.size()));
}

}  // namespace cstp
