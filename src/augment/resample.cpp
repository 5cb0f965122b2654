#include "resample.h"

#include <algorithm>
#include <cmath>

#include "byte_rows.h"
#include "cstp/core/error.h"
#include "cstp/core/multiversion.h"
#include "pixel_math.h"
#include "row_ops.h"

namespace cstp {
namespace {

/// Taps of the plain bilinear filter. Filters with as few, or twice as many, have loops of their own.
constexpr int64_t kFewTaps = 2;

constexpr double kTie = 1e-9;  // positions are products of doubles: ties are decided with this much tolerance

/// Half the width of a filter at scale 1.
double filter_support(Filter filter) { return filter == Filter::bicubic ? 2.0 : 1.0; }

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

/// Samples from `first` on, one per weight. The weights' memory is used again for every output.
struct WeightedSamples {
  int64_t first = 0;
  std::vector<double> weights;

  void take_one(int64_t sample) {
    first = sample;
    weights.assign(1, 1.0);
  }
};

void nearest_sample(const AxisBox& axis, double centre, SampleRange box, WeightedSamples& taps) {
  // The view's own direction decides ties, so that a turned or mirrored picture gives a turned or mirrored view.
  const auto sample = static_cast<int64_t>(axis.mirrored ? std::ceil(centre - kTie) - 1 : std::floor(centre + kTie));
  taps.take_one(std::clamp(sample, box.first, box.last));
}

void widened_filter(double centre, double scale, Filter filter, SampleRange box, WeightedSamples& taps) {
  const double widening = std::max(scale, 1.0);
  const double support = filter_support(filter) * widening;
  taps.first = std::max(static_cast<int64_t>(std::floor(centre - support + 0.5)), box.first);
  const auto end = std::min(static_cast<int64_t>(std::floor(centre + support + 0.5)), box.last + 1);
  taps.weights.clear();
  double sum = 0;
  for (int64_t j = taps.first; j < end; ++j) {
    const double distance = (static_cast<double>(j) + 0.5 - centre) / widening;
    taps.weights.push_back(filter == Filter::bicubic ? cubic_weight(distance, -0.5) : triangle_weight(distance));
    sum += taps.weights.back();
  }
  if (sum <= 0) {
    taps.take_one(std::clamp(static_cast<int64_t>(std::floor(centre)), box.first, box.last));
    return;
  }
  for (double& weight : taps.weights) weight /= sum;
}

void neighbours(double centre, Filter filter, SampleRange box, WeightedSamples& taps) {
  const auto reach = static_cast<int64_t>(filter_support(filter));
  const auto left = static_cast<int64_t>(std::floor(centre - 0.5));  // the last sample whose centre is not past it
  const int64_t first = std::clamp(left - reach + 1, box.first, box.last);
  const int64_t last = std::clamp(left + reach, box.first, box.last);
  taps.first = first;
  taps.weights.assign(static_cast<size_t>(last - first + 1), 0.0);
  for (int64_t j = left - reach + 1; j <= left + reach; ++j) {
    const double distance = static_cast<double>(j) + 0.5 - centre;
    const double weight = filter == Filter::bicubic ? cubic_weight(distance, -0.75) : triangle_weight(distance);
    taps.weights[static_cast<size_t>(std::clamp(j, first, last) - first)] += weight;
  }
}

/// Samples of an output that exist. What lies off the plane is left out: it is black, which is zero.
SampleRange existing_part(const WeightedSamples& taps, int64_t length) {
  const int64_t end = taps.first + static_cast<int64_t>(taps.weights.size());
  const int64_t first = std::clamp<int64_t>(taps.first, 0, length);
  return {first, std::clamp<int64_t>(end, first, length) - 1};
}

/// What the horizontal pass reads of one axis, and where.
struct ColumnMix {
  const float* columns;
  const int64_t* first;
  const int64_t* count;
  const float* weights;
  int64_t begin, width;

  ColumnMix(const MixedBlock& block, const Taps& across, int64_t from = 0)
      : columns(block.columns.data()),
        first(across.first.data() + from),
        count(across.count.data() + from),
        weights(across.weight.data() + from * across.width),
        begin(across.begin),
        width(across.width) {}
};

/// Sums of kRowBlock rows for output x: of weight[x][k] * column first[x] + k.
CSTP_HD void mix_column(const ColumnMix& mix, int64_t x, FullLanes& upper, FullLanes& lower) {
  static_assert(kRowBlock * sizeof(float) == 2 * sizeof(Lanes));
  const Lanes* source = reinterpret_cast<const Lanes*>(mix.columns + (mix.first[x] - mix.begin) * kRowBlock);
  const float* weight = mix.weights + x * mix.width;
  FullLanes a{}, b{};
  for (int64_t k = 0; k < mix.count[x]; ++k) {
    a += weight[k] * source[2 * k];
    b += weight[k] * source[2 * k + 1];
  }
  upper = a;
  lower = b;
}

CSTP_MULTIVERSION
void mix_columns(const ColumnMix& mix, int64_t size, int64_t stride, float* out) {
  for (int64_t x = 0; x < size; ++x) {
    FullLanes upper, lower;
    mix_column(mix, x, upper, lower);
    Lanes* target = reinterpret_cast<Lanes*>(out + x * stride);
    target[0] = upper;
    target[1] = lower;
  }
}

/// As many taps for every output, so that nothing is counted: taps that are not there weigh 0.
template <int64_t kTaps>
CSTP_HD float mix_lane(const float* column, const float* weight) {
  float sum = weight[0] * column[0];
  for (int64_t k = 1; k < kTaps; ++k) sum += weight[k] * column[k * kRowBlock];
  return sum;
}

template <int64_t kLuma, int64_t kChroma>
CSTP_HD void mix_few_to_rgb(const ColumnMix& y, const ColumnMix& cb, const ColumnMix& cr, const YcbcrToRgb& k,
                            int64_t size, float* __restrict out) {
  for (int64_t x = 0; x < size; ++x) {
    const float* luma = y.columns + (y.first[x] - y.begin) * kRowBlock;
    const float* blue = cb.columns + (cb.first[x] - cb.begin) * kRowBlock;
    const float* red = cr.columns + (cr.first[x] - cr.begin) * kRowBlock;
    const float* luma_weight = y.weights + x * y.width;
    const float* chroma_weight = cb.weights + x * cb.width;
    float* target = out + x * 3 * kRowBlock;
    for (int64_t r = 0; r < kRowBlock; ++r) {
      to_rgb(k, mix_lane<kLuma>(luma + r, luma_weight), mix_lane<kChroma>(blue + r, chroma_weight),
             mix_lane<kChroma>(red + r, chroma_weight), target[r], target[kRowBlock + r], target[2 * kRowBlock + r]);
    }
  }
}

CSTP_MULTIVERSION
void mix_columns_to_rgb(const ColumnMix& y, const ColumnMix& cb, const ColumnMix& cr, const YcbcrToRgb& coefficients,
                        int64_t size, float* out) {
  const YcbcrToRgb k = coefficients;
  constexpr int64_t kTwice = 2 * kFewTaps;
  if (y.width == kFewTaps && cb.width == kFewTaps) return mix_few_to_rgb<kFewTaps, kFewTaps>(y, cb, cr, k, size, out);
  if (y.width == kTwice && cb.width == kFewTaps) return mix_few_to_rgb<kTwice, kFewTaps>(y, cb, cr, k, size, out);
  if (y.width == kTwice && cb.width == kTwice) return mix_few_to_rgb<kTwice, kTwice>(y, cb, cr, k, size, out);
  for (int64_t x = 0; x < size; ++x) {
    FullLanes y0, y1, b0, b1, r0, r1, red, green, blue;
    mix_column(y, x, y0, y1);
    mix_column(cb, x, b0, b1);
    mix_column(cr, x, r0, r1);
    Lanes* target = reinterpret_cast<Lanes*>(out + x * 3 * kRowBlock);
    to_rgb(k, y0, b0, r0, red, green, blue);
    target[0] = red;
    target[2] = green;
    target[4] = blue;
    to_rgb(k, y1, b1, r1, red, green, blue);
    target[1] = red;
    target[3] = green;
    target[5] = blue;
  }
}

/// Leaves as many places for weights as the widest output needs, and no fewer than a loop of its own reads.
void narrow(Taps& taps) {
  const int64_t widest = std::ranges::max(taps.count);
  const int64_t width = widest <= kFewTaps ? kFewTaps : std::max(widest, 2 * kFewTaps);
  std::vector<float> weights(taps.count.size() * static_cast<size_t>(width), 0.0F);
  for (size_t i = 0; i < taps.count.size(); ++i) {
    const auto from = taps.weight.begin() + static_cast<int64_t>(i) * taps.width;
    std::copy_n(from, taps.count[i], weights.begin() + static_cast<int64_t>(i) * width);
  }
  taps.weight = std::move(weights);
  taps.width = width;
}

}  // namespace

Taps make_taps(const AxisBox& axis, int64_t size, Filter filter, bool antialias) {
  check(axis.length > 0 && axis.extent > 0 && size > 0,
        "resampling needs a plane, a box and an output that are not empty");
  const SampleRange box = samples_in_box(axis);
  const double scale = axis.extent / static_cast<double>(size);
  const double widest = 2 * filter_support(filter) * (antialias ? std::max(scale, 1.0) : 1.0) + 2;
  Taps result;
  result.width = std::min(static_cast<int64_t>(widest), box.last - box.first + 1);
  result.weight.assign(static_cast<size_t>(size * result.width), 0.0F);
  result.first.resize(static_cast<size_t>(size));
  result.count.resize(static_cast<size_t>(size));
  result.begin = axis.length;
  WeightedSamples taps;
  for (int64_t i = 0; i < size; ++i) {
    const double centre = axis.start + (static_cast<double>(i) + 0.5) * scale;
    if (filter == Filter::nearest) {
      nearest_sample(axis, centre, box, taps);
    } else if (antialias) {
      widened_filter(centre, scale, filter, box, taps);
    } else {
      neighbours(centre, filter, box, taps);
    }
    const auto [first, last] = existing_part(taps, axis.length);
    check(last - first < result.width, "an output has no more taps than there is room for");
    const auto output = static_cast<size_t>(i);
    result.first[output] = first;
    result.count[output] = std::max<int64_t>(last - first + 1, 0);
    for (int64_t j = first; j <= last; ++j) {
      result.weight[static_cast<size_t>(i * result.width + j - first)] =
          static_cast<float>(taps.weights[static_cast<size_t>(j - taps.first)]);
    }
    if (first <= last) {
      result.begin = std::min(result.begin, first);
      result.end = std::max(result.end, last + 1);
    }
  }
  narrow(result);
  result.begin = std::min(result.begin, result.end);  // all black: nothing is read
  for (size_t i = 0; i < result.first.size(); ++i) {
    if (result.count[i] == 0) result.first[i] = result.begin;
  }
  return result;
}

Taps mirrored(const Taps& taps) {
  Taps result = taps;
  std::ranges::reverse(result.first);
  std::ranges::reverse(result.count);
  const auto outputs = static_cast<int64_t>(taps.first.size());
  for (int64_t i = 0; i < outputs; ++i) {
    std::copy_n(taps.weight.begin() + i * taps.width, taps.width,
                result.weight.begin() + (outputs - 1 - i) * taps.width);
  }
  return result;
}

void mix_block(const BytePlane& plane, const Taps& across, const Taps& down, float black, int64_t row,
               MixedBlock& block) {
  const auto size = static_cast<int64_t>(down.first.size());
  const int64_t width = across.end - across.begin;
  const int64_t padded = padded_width(width);
  block.rows.resize(padded * kRowBlock);
  block.columns.resize((padded + 2 * kFewTaps) * kRowBlock);  // taps of weight 0 may lie past the last column
  const int64_t outputs = std::min(kRowBlock, size - row);
  const ByteMix mix{.bytes = plane.data + across.begin,
                    .stride = plane.stride,
                    .first = down.first.data() + row,
                    .count = down.count.data() + row,
                    .weights = down.weight.data() + row * down.width,
                    .taps = down.width,
                    .black = black};
  mix_byte_rows(mix, outputs, width, block.rows.data(), padded);
  std::fill_n(block.rows.data() + outputs * padded, (kRowBlock - outputs) * padded, 0.0F);
  rows_to_columns(block.rows.data(), padded, width, block.columns.data());
}

void mix_to_rgb(const MixedBlock& y, const MixedBlock& cb, const MixedBlock& cr, const Taps& luma, const Taps& chroma,
                const YcbcrToRgb& coefficients, int64_t from, int64_t end, float* out) {
  mix_columns_to_rgb({y, luma, from}, {cb, chroma, from}, {cr, chroma, from}, coefficients, end - from, out);
}

void resample_plane(const BytePlane& plane, const Taps& across, const Taps& down, float black, MixedBlock& scratch,
                    float* out) {
  const int64_t stride = column_stride(static_cast<int64_t>(down.first.size()));
  for (int64_t row = 0; row < stride; row += kRowBlock) {
    mix_block(plane, across, down, black, row, scratch);
    mix_columns({scratch, across}, static_cast<int64_t>(across.first.size()), stride, out + row);
  }
}

}  // namespace cstp
