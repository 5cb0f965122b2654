#include "resample.h"

#include <algorithm>
#include <cmath>

#include "cstp/core/error.h"
#include "multiversion.h"
#include "pixel_math.h"
#include "row_ops.h"

namespace cstp {
namespace {

constexpr double kTie = 1e-9;  // positions are products of doubles: ties are decided with this much tolerance

/// Samples whose centres lie in the box; at least one.
struct SampleRange {
  int64_t first, last;
};
SampleRange samples_in_box(const AxisBox& axis) {
  const auto first = static_cast<int64_t>(std::ceil(axis.start - 0.5 - kTie));
  const auto last = static_cast<int64_t>(std::floor(axis.start + axis.extent - 0.5 + kTie));
  if (first <= last) return {first, last};
  const auto centre = static_cast<int64_t>(std::floor(axis.start + axis.extent / 2));
  return {centre, centre};
}

struct WeightedSamples {
  int64_t first = 0;
  std::vector<double> weights;
};

WeightedSamples nearest_sample(const AxisBox& axis, double centre, SampleRange box) {
  // The view's own direction decides ties, so that a turned or mirrored picture gives a turned or mirrored view.
  const auto sample = static_cast<int64_t>(axis.mirrored ? std::ceil(centre - kTie) - 1 : std::floor(centre + kTie));
  return {std::clamp(sample, box.first, box.last), {1.0}};
}

WeightedSamples widened_filter(double centre, double scale, Filter filter, SampleRange box) {
  const double widening = std::max(scale, 1.0);
  const double support = filter_support(filter) * widening;
  const auto first = std::max(static_cast<int64_t>(std::floor(centre - support + 0.5)), box.first);
  const auto end = std::min(static_cast<int64_t>(std::floor(centre + support + 0.5)), box.last + 1);
  WeightedSamples result{first, {}};
  double sum = 0;
  for (int64_t j = first; j < end; ++j) {
    const double distance = (static_cast<double>(j) + 0.5 - centre) / widening;
    result.weights.push_back(filter == Filter::bicubic ? cubic_weight(distance, -0.5) : triangle_weight(distance));
    sum += result.weights.back();
  }
  if (sum <= 0) return {std::clamp(static_cast<int64_t>(std::floor(centre)), box.first, box.last), {1.0}};
  for (double& weight : result.weights) weight /= sum;
  return result;
}

WeightedSamples neighbours(double centre, Filter filter, SampleRange box) {
  const auto reach = static_cast<int64_t>(filter_support(filter));
  const auto left = static_cast<int64_t>(std::floor(centre - 0.5));  // the last sample whose centre is not past it
  const int64_t first = std::clamp(left - reach + 1, box.first, box.last);
  const int64_t last = std::clamp(left + reach, box.first, box.last);
  WeightedSamples result{first, std::vector<double>(static_cast<size_t>(last - first + 1), 0.0)};
  for (int64_t j = left - reach + 1; j <= left + reach; ++j) {
    const double distance = static_cast<double>(j) + 0.5 - centre;
    const double weight = filter == Filter::bicubic ? cubic_weight(distance, -0.75) : triangle_weight(distance);
    result.weights[static_cast<size_t>(std::clamp(j, first, last) - first)] += weight;
  }
  return result;
}

/// Leaves out what lies off the plane: it is black, which is zero.
WeightedSamples existing_part(const WeightedSamples& taps, int64_t length) {
  const int64_t end = taps.first + static_cast<int64_t>(taps.weights.size());
  const int64_t first = std::clamp<int64_t>(taps.first, 0, length);
  const int64_t last = std::clamp<int64_t>(end, first, length);
  if (first >= last) return {};
  return {first, {taps.weights.begin() + (first - taps.first), taps.weights.begin() + (last - taps.first)}};
}

/// The horizontal pass of kRowBlock rows: out[x*stride + r] = sum over k of weight[x][k] * columns[first[x] + k][r].
CSTP_MULTIVERSION
void mix_columns(const float* columns, const int64_t* first, const int64_t* count, const float* weight, int64_t taps,
                 int64_t size, int64_t stride, float* out) {
  static_assert(kRowBlock * sizeof(float) == 2 * sizeof(Lanes));
  for (int64_t x = 0; x < size; ++x) {
    Lanes upper{};
    Lanes lower{};
    const Lanes* source = reinterpret_cast<const Lanes*>(columns + first[x] * kRowBlock);
    for (int64_t k = 0; k < count[x]; ++k) {
      const float w = weight[x * taps + k];
      upper += w * source[2 * k];
      lower += w * source[2 * k + 1];
    }
    Lanes* target = reinterpret_cast<Lanes*>(out + x * stride);
    target[0] = upper;
    target[1] = lower;
  }
}

}  // namespace

Taps make_taps(const AxisBox& axis, int64_t size, Filter filter, bool antialias) {
  check(axis.length > 0 && axis.extent > 0 && size > 0,
        "resampling needs a plane, a box and an output that are not empty");
  const SampleRange box = samples_in_box(axis);
  const double scale = axis.extent / static_cast<double>(size);
  std::vector<WeightedSamples> outputs;
  size_t widest = 1;
  for (int64_t i = 0; i < size; ++i) {
    const double centre = axis.start + (static_cast<double>(i) + 0.5) * scale;
    WeightedSamples taps;
    if (filter == Filter::nearest) {
      taps = nearest_sample(axis, centre, box);
    } else if (antialias) {
      taps = widened_filter(centre, scale, filter, box);
    } else {
      taps = neighbours(centre, filter, box);
    }
    outputs.push_back(existing_part(taps, axis.length));
    widest = std::max(widest, outputs.back().weights.size());
  }

  Taps result;
  result.width = static_cast<int64_t>(widest);
  result.weight.assign(static_cast<size_t>(size * result.width), 0.0F);
  result.begin = axis.length;
  for (size_t i = 0; i < outputs.size(); ++i) {
    const WeightedSamples& taps = outputs[i];
    const auto count = static_cast<int64_t>(taps.weights.size());
    for (size_t k = 0; k < taps.weights.size(); ++k) {
      result.weight[i * static_cast<size_t>(result.width) + k] = static_cast<float>(taps.weights[k]);
    }
    result.first.push_back(taps.first);
    result.count.push_back(count);
    if (count > 0) {
      result.begin = std::min(result.begin, taps.first);
      result.end = std::max(result.end, taps.first + count);
    }
  }
  result.begin = std::min(result.begin, result.end);  // all black: nothing is read
  for (size_t i = 0; i < outputs.size(); ++i) {
    if (result.count[i] == 0) result.first[i] = result.begin;
  }
  return result;
}

void resample_plane(const BytePlane& plane, const Taps& across, const Taps& down, float black, ResampleScratch& scratch,
                    float* out) {
  const auto size = static_cast<int64_t>(down.first.size());
  const int64_t stride = column_stride(size);
  const int64_t width = across.end - across.begin;
  const int64_t padded = padded_width(width);
  scratch.mixed.resize(static_cast<size_t>(padded * kRowBlock));
  scratch.columns.resize(static_cast<size_t>(width * kRowBlock));
  std::vector<const float*> rows;
  std::vector<int64_t> first(across.first);
  for (int64_t& x : first) x -= across.begin;

  for (int64_t block = 0; block < stride; block += kRowBlock) {
    // The source rows of these output rows, as floats: few enough to stay in the nearest cache, and used several times.
    const int64_t block_end = std::min(block + kRowBlock, size);
    int64_t begin = down.end;
    int64_t end = down.begin;
    for (int64_t y = block; y < block_end; ++y) {
      const auto i = static_cast<size_t>(y);
      if (down.count[i] == 0) continue;
      begin = std::min(begin, down.first[i]);
      end = std::max(end, down.first[i] + down.count[i]);
    }
    scratch.floats.resize(
        std::max(scratch.floats.size(), static_cast<size_t>(std::max<int64_t>(end - begin, 0) * padded)));
    for (int64_t y = begin; y < end; ++y) {
      bytes_to_floats(plane.data + y * plane.stride + across.begin, width, black,
                      scratch.floats.data() + (y - begin) * padded);
    }
    for (int64_t y = block; y < block + kRowBlock; ++y) {
      const auto i = static_cast<size_t>(y);
      rows.clear();
      for (int64_t k = 0; y < size && k < down.count[i]; ++k) {
        rows.push_back(scratch.floats.data() + (down.first[i] + k - begin) * padded);
      }
      const float* weights = down.weight.data() + std::min(y, size - 1) * down.width;
      mix_rows(rows.data(), {weights, rows.size()}, padded, scratch.mixed.data() + (y - block) * padded);
    }
    rows_to_columns(scratch.mixed.data(), padded, width, scratch.columns.data());
    mix_columns(scratch.columns.data(), first.data(), across.count.data(), across.weight.data(), across.width, size,
                stride, out + block);
  }
}

}  // namespace cstp
