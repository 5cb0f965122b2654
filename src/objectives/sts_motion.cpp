#include "sts_motion.h"

#include <algorithm>
#include <cmath>
#include <numbers>
#include <vector>

#include "cstp/core/error.h"

namespace cstp {
namespace {

/// A field with a mirrored border of one pixel: [height+2, width+2].
void add_border(std::span<const float> field, int64_t height, int64_t width, std::vector<float>& out) {
  const int64_t stride = width + 2;
  out.resize(static_cast<size_t>((height + 2) * stride));
  for (int64_t y = -1; y <= height; ++y) {
    const float* from = field.data() + std::clamp<int64_t>(y, 0, height - 1) * width;
    float* to = out.data() + (y + 1) * stride;
    std::copy_n(from, width, to + 1);
    to[0] = from[0];
    to[width + 1] = from[width - 1];
  }
}

struct Answer {
  int64_t location = 1, orientation = 1;
};

/// Sums of the fields, their gradient and its length; the memory of a thread.
struct Scratch {
  std::vector<float> sum, gx, gy, length, bordered;
};
Scratch& scratch() {
  thread_local Scratch memory;
  return memory;
}

double sum_over(const std::vector<float>& values, const Block& block) {
  double sum = 0;
  for (const PixelRun& run : block) {
    for (int32_t i = run.begin; i < run.end; ++i) sum += values[static_cast<size_t>(i)];
  }
  return sum;
}

/// Of the pattern, the block with most motion: by its sum, or by its mean where blocks differ in area.
Answer largest_motion(const std::vector<Block>& blocks, bool by_mean, bool zero_without_motion, const Scratch& motion) {
  std::vector<double> amounts;
  for (const Block& block : blocks) {
    const double sum = sum_over(motion.length, block);
    amounts.push_back(by_mean ? sum / static_cast<double>(pixel_count(block)) : sum);
  }
  const auto largest = std::max_element(amounts.begin(), amounts.end());
  if (*largest == 0 && zero_without_motion) return {0, 0};
  const auto at = largest - amounts.begin();
  const std::array<double, 8> bins = orientation_histogram(motion.gx, motion.gy, blocks[static_cast<size_t>(at)]);
  return {1 + at, 1 + (std::max_element(bins.begin(), bins.end()) - bins.begin())};
}

}  // namespace

void prewitt(std::span<const float> field, int64_t height, int64_t width, std::span<float> gx, std::span<float> gy) {
  check(static_cast<int64_t>(field.size()) == height * width && gx.size() == field.size() && gy.size() == field.size(),
        "prewitt: the fields differ in size");
  std::vector<float>& bordered = scratch().bordered;
  add_border(field, height, width, bordered);
  for (int64_t y = 0; y < height; ++y) {
    const float* above = bordered.data() + y * (width + 2);
    const float* here = above + width + 2;
    const float* below = here + width + 2;
    float* x_out = gx.data() + y * width;
    float* y_out = gy.data() + y * width;
    for (int64_t x = 0; x < width; ++x) {
      x_out[x] = (above[x] + here[x] + below[x]) - (above[x + 2] + here[x + 2] + below[x + 2]);
      y_out[x] = (above[x] + above[x + 1] + above[x + 2]) - (below[x] + below[x + 1] + below[x + 2]);
    }
  }
}

double boundary_sum(std::span<const float> field, int64_t height, int64_t width) {
  Scratch& memory = scratch();
  memory.gx.resize(field.size());
  memory.gy.resize(field.size());
  prewitt(field, height, width, memory.gx, memory.gy);
  double sum = 0;
  for (int64_t y = 0; y < height; ++y) {
    float* gx = memory.gx.data() + y * width;
    const float* gy = memory.gy.data() + y * width;
    for (int64_t x = 0; x < width; ++x) gx[x] = std::sqrt(gx[x] * gx[x] + gy[x] * gy[x]);
    for (int64_t x = 0; x < width; ++x) sum += gx[x];
  }
  return sum;
}

void add_orientation(float gx, float gy, std::array<double, 8>& histogram) {
  if (gx == 0 && gy == 0) return;
  const double x = gx, y = gy;
  const double length = std::sqrt(x * x + y * y);
  double turns = std::atan2(y, x) / (2 * std::numbers::pi);
  if (turns < 0) turns += 1;
  const double place = 8 * turns;
  const double below = std::floor(place);
  const auto bin = static_cast<size_t>(below) % 8;
  histogram[bin] += length * (1 - (place - below));
  histogram[(bin + 1) % 8] += length * (place - below);
}

std::array<double, 8> orientation_histogram(std::span<const float> gx, std::span<const float> gy, const Block& block) {
  std::array<double, 8> histogram{};
  for (const PixelRun& run : block) {
    for (auto i = static_cast<size_t>(run.begin); i < static_cast<size_t>(run.end); ++i) {
      add_orientation(gx[i], gy[i], histogram);
    }
  }
  return histogram;
}

std::array<int64_t, 14> motion_labels(const StsPatterns& patterns, const StsParts& parts, std::span<const float> u,
                                      std::span<const float> v, int64_t fields, int64_t asked) {
  const int64_t size = patterns.size;
  const auto pixels = static_cast<size_t>(size * size);
  check(fields >= 1 && asked >= 1 && asked <= fields && u.size() == static_cast<size_t>(fields) * pixels &&
            v.size() == u.size(),
        "motion_labels: fields are [fields,S,S]");
  std::array<int64_t, 14> labels{};
  for (size_t component = 0; component < 2; ++component) {
    const std::span<const float> flow = component == 0 ? u : v;
    const auto field = [&](int64_t t) { return flow.subspan(static_cast<size_t>(t) * pixels, pixels); };
    if (parts.global) {
      std::vector<double> amounts;
      for (int64_t t = 0; t < asked; ++t) amounts.push_back(boundary_sum(field(t), size, size));
      labels[12 + component] = 1 + (std::max_element(amounts.begin(), amounts.end()) - amounts.begin());
    }
    // The gradient is linear: that of the sum is the sum of those of the fields.
    Scratch& motion = scratch();
    motion.sum.assign(pixels, 0);
    for (int64_t t = 0; t < fields; ++t) {
      const float* values = field(t).data();
      for (size_t i = 0; i < pixels; ++i) motion.sum[i] += values[i];
    }
    motion.gx.resize(pixels);
    motion.gy.resize(pixels);
    motion.length.resize(pixels);
    prewitt(motion.sum, size, size, motion.gx, motion.gy);
    for (size_t i = 0; i < pixels; ++i) {
      motion.length[i] = std::sqrt(motion.gx[i] * motion.gx[i] + motion.gy[i] * motion.gy[i]);
    }
    for (size_t p = 0; p < patterns.blocks.size(); ++p) {
      if (!parts.pattern(p)) continue;
      const Answer answer =
          largest_motion(patterns.blocks[p], /*by_mean=*/p == 1, /*zero_without_motion=*/p == 0, motion);
      labels[4 * p + 2 * component] = answer.location;
      labels[4 * p + 2 * component + 1] = answer.orientation;
    }
  }
  return labels;
}

}  // namespace cstp
