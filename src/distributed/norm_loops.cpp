#include "norm_loops.h"

#include <algorithm>
#include <bit>
#include <numeric>
#include <type_traits>
#include <vector>

#include "cstp/core/multiversion.h"

namespace cstp {
namespace {

// One pass over `count` values; the arrays beside x hold what belongs to each of them.

CSTP_MULTIVERSION
void widen(const BrainFloat* __restrict from, int64_t count, float* __restrict to) {
  for (int64_t i = 0; i < count; ++i) to[i] = std::bit_cast<float>(uint32_t{from[i].bits} << 16);
}

CSTP_MULTIVERSION
void narrow(const float* __restrict from, int64_t count, BrainFloat* __restrict to) {
  for (int64_t i = 0; i < count; ++i) {  // to the nearest, ties to even
    const auto bits = std::bit_cast<uint32_t>(from[i]);
    const uint32_t rounded = (bits + 0x7FFF + (bits >> 16 & 1)) >> 16;
    to[i].bits = static_cast<uint16_t>(from[i] != from[i] ? 0x7FC0 : rounded);
  }
}

CSTP_MULTIVERSION
void add_moments(const float* __restrict x, const float* __restrict around, int64_t count, float* __restrict sum,
                 float* __restrict square) {
  for (int64_t i = 0; i < count; ++i) {
    const float d = x[i] - around[i];
    sum[i] += d;
    square[i] += d * d;
  }
}

CSTP_MULTIVERSION
void map_values(const float* __restrict x, const float* __restrict addend, const float* __restrict scale,
                const float* __restrict shift, bool relu, int64_t count, float* __restrict y) {
  // NaN passes the ReLU: it must not be hidden.
  if (addend != nullptr && relu) {
    for (int64_t i = 0; i < count; ++i) {
      const float v = x[i] * scale[i] + shift[i] + addend[i];
      y[i] = v < 0 ? 0 : v;
    }
  } else if (addend != nullptr) {
    for (int64_t i = 0; i < count; ++i) y[i] = x[i] * scale[i] + shift[i] + addend[i];
  } else if (relu) {
    for (int64_t i = 0; i < count; ++i) {
      const float v = x[i] * scale[i] + shift[i];
      y[i] = v < 0 ? 0 : v;
    }
  } else {
    for (int64_t i = 0; i < count; ++i) y[i] = x[i] * scale[i] + shift[i];
  }
}

CSTP_MULTIVERSION
void gate_by_output(const float* __restrict dy, const float* __restrict y, int64_t count, float* __restrict g) {
  for (int64_t i = 0; i < count; ++i) g[i] = y[i] <= 0 ? 0 : dy[i];
}

CSTP_MULTIVERSION
void gate_by_input(const float* __restrict dy, const float* __restrict x, const float* __restrict scale,
                   const float* __restrict shift, int64_t count, float* __restrict g) {
  for (int64_t i = 0; i < count; ++i) g[i] = x[i] * scale[i] + shift[i] <= 0 ? 0 : dy[i];
}

CSTP_MULTIVERSION
void add_gradients(const float* __restrict g, const float* __restrict x, const float* __restrict mean, int64_t count,
                   float* __restrict sum, float* __restrict dot) {
  for (int64_t i = 0; i < count; ++i) {
    sum[i] += g[i];
    dot[i] += g[i] * (x[i] - mean[i]);
  }
}

CSTP_MULTIVERSION
void map_gradients(const float* __restrict g, const float* __restrict x, const float* __restrict mean,
                   const float* __restrict slope, const float* __restrict bend, const float* __restrict offset,
                   int64_t count, float* __restrict dx) {
  for (int64_t i = 0; i < count; ++i) dx[i] = slope[i] * g[i] + bend[i] * (x[i] - mean[i]) + offset[i];
}

/// Values of a channel repeated over several rows, to whole vectors and a length that is worth a call: 45 channels are
/// as fast as 48. Fits into the nearest cache beside its neighbours.
class Period {
 public:
  explicit Period(int64_t channels) : channels_(channels) {
    constexpr int64_t kLanes = 16, kWorthIt = 1024;
    const int64_t whole = kLanes / std::gcd(channels, kLanes);
    rows_ = whole * std::max<int64_t>(1, kWorthIt / (whole * channels));
  }
  int64_t size() const { return rows_ * channels_; }
  std::vector<float> repeated(const float* values) const {
    std::vector<float> result(static_cast<size_t>(size()));
    for (int64_t r = 0; r < rows_; ++r) std::copy_n(values, channels_, result.begin() + r * channels_);
    return result;
  }
  void fold(const std::vector<double>& sums, double* result) const {
    std::fill_n(result, channels_, 0.0);
    for (int64_t i = 0; i < size(); ++i) result[i % channels_] += sums[static_cast<size_t>(i)];
  }

 private:
  int64_t channels_, rows_ = 1;
};

/// Floats of a stretch of values: the values themselves, or a copy.
template <class T>
class Widened {
 public:
  explicit Widened(const Period& period) {
    if constexpr (!std::is_same_v<T, float>) copy_.resize(static_cast<size_t>(period.size()));
  }
  const float* operator()(const T* values, int64_t count) {
    if constexpr (std::is_same_v<T, float>) {
      return values;
    } else {
      if (values == nullptr) return nullptr;
      widen(values, count, copy_.data());
      return copy_.data();
    }
  }

 private:
  std::vector<float> copy_;
};

/// Where floats are written that end as values.
template <class T>
class Narrowed {
 public:
  explicit Narrowed(const Period& period) {
    if constexpr (!std::is_same_v<T, float>) copy_.resize(static_cast<size_t>(period.size()));
  }
  float* room(T* values) {
    if constexpr (std::is_same_v<T, float>) {
      return values;
    } else {
      return copy_.data();
    }
  }
  void store(T* values, int64_t count) {
    if constexpr (!std::is_same_v<T, float>) narrow(copy_.data(), count, values);
  }

 private:
  std::vector<float> copy_;
};

/// Two sums a channel: in floats over some stretches, then in doubles.
class Sums {
 public:
  explicit Sums(const Period& period)
      : period_(period),
        first(static_cast<size_t>(period.size())),
        second(first.size()),
        wide_first_(first.size()),
        wide_second_(first.size()) {}
  void next_stretch() {
    constexpr int64_t kStretches = 16;
    if (++stretches_ % kStretches == 0) widen_all();
  }
  void fold(double* first_sums, double* second_sums) {
    widen_all();
    period_.fold(wide_first_, first_sums);
    period_.fold(wide_second_, second_sums);
  }

 private:
  const Period& period_;

 public:
  std::vector<float> first, second;

 private:
  void widen_all() {
    for (size_t i = 0; i < first.size(); ++i) {
      wide_first_[i] += static_cast<double>(first[i]);
      wide_second_[i] += static_cast<double>(second[i]);
    }
    std::fill(first.begin(), first.end(), 0.0F);
    std::fill(second.begin(), second.end(), 0.0F);
  }
  std::vector<double> wide_first_, wide_second_;
  int64_t stretches_ = 0;
};

template <class Use>
void for_each_stretch(const Period& period, int64_t values, const Use& use) {
  for (int64_t at = 0; at < values; at += period.size()) use(at, std::min(period.size(), values - at));
}

/// Gradients before the ReLU, stretch by stretch.
template <class T>
class Gated {
 public:
  Gated(const Period& period, const Gate<T>& gate, const ChannelMap& map)
      : gate_(gate), dy_(period), y_(period), g_(static_cast<size_t>(gate.relu ? period.size() : 0)) {
    if (!gate.relu || gate.y != nullptr) return;
    scale_ = period.repeated(map.scale);
    shift_ = period.repeated(map.shift);
  }
  const float* operator()(const T* dy, const float* x, int64_t at, int64_t count) {
    const float* gradient = dy_(dy + at, count);
    if (!gate_.relu) return gradient;
    if (gate_.y != nullptr) {
      gate_by_output(gradient, y_(gate_.y + at, count), count, g_.data());
    } else {
      gate_by_input(gradient, x, scale_.data(), shift_.data(), count, g_.data());
    }
    return g_.data();
  }

 private:
  const Gate<T>& gate_;
  Widened<T> dy_, y_;
  std::vector<float> g_, scale_, shift_;
};

}  // namespace

template <class T>
void sum_moments(const T* x, int64_t rows, int64_t channels, const float* around, double* sum, double* square) {
  const Period period(channels);
  const std::vector<float> centre = period.repeated(around);
  Sums sums(period);
  Widened<T> floats(period);
  for_each_stretch(period, rows * channels, [&](int64_t at, int64_t count) {
    add_moments(floats(x + at, count), centre.data(), count, sums.first.data(), sums.second.data());
    sums.next_stretch();
  });
  sums.fold(sum, square);
}

template <class T>
void map_rows(const T* x, const T* addend, int64_t rows, int64_t channels, const ChannelMap& map, bool relu, T* y) {
  const Period period(channels);
  const std::vector<float> scale = period.repeated(map.scale), shift = period.repeated(map.shift);
  Widened<T> floats(period), more(period);
  Narrowed<T> out(period);
  for_each_stretch(period, rows * channels, [&](int64_t at, int64_t count) {
    const float* added = more(addend == nullptr ? nullptr : addend + at, count);
    map_values(floats(x + at, count), added, scale.data(), shift.data(), relu, count, out.room(y + at));
    out.store(y + at, count);
  });
}

template <class T>
void sum_gradients(const T* dy, const T* x, const Gate<T>& gate, int64_t rows, int64_t channels, const ChannelMap& map,
                   const float* mean, double* sum, double* dot) {
  const Period period(channels);
  const std::vector<float> centre = period.repeated(mean);
  Sums sums(period);
  Widened<T> floats(period);
  Gated<T> gated(period, gate, map);
  for_each_stretch(period, rows * channels, [&](int64_t at, int64_t count) {
    const float* values = floats(x + at, count);
    const float* g = gated(dy, values, at, count);
    add_gradients(g, values, centre.data(), count, sums.first.data(), sums.second.data());
    sums.next_stretch();
  });
  sums.fold(sum, dot);
}

template <class T>
void gradient_rows(const T* dy, const T* x, const Gate<T>& gate, int64_t rows, int64_t channels, const ChannelMap& map,
                   const float* mean, const GradientMap& gradient, T* dx, T* d_addend) {
  const Period period(channels);
  const std::vector<float> centre = period.repeated(mean), slope = period.repeated(gradient.slope),
                           bend = period.repeated(gradient.bend), offset = period.repeated(gradient.offset);
  Widened<T> floats(period);
  Gated<T> gated(period, gate, map);
  Narrowed<T> out(period);
  for_each_stretch(period, rows * channels, [&](int64_t at, int64_t count) {
    const float* values = floats(x + at, count);
    const float* g = gated(dy, values, at, count);
    if (d_addend != nullptr) {
      std::copy_n(g, count, out.room(d_addend + at));
      out.store(d_addend + at, count);
    }
    map_gradients(g, values, centre.data(), slope.data(), bend.data(), offset.data(), count, out.room(dx + at));
    out.store(dx + at, count);
  });
}

#define CSTP_NORM_LOOPS(T)                                                                                           \
  template void sum_moments(const T*, int64_t, int64_t, const float*, double*, double*);                             \
  template void map_rows(const T*, const T*, int64_t, int64_t, const ChannelMap&, bool, T*);                         \
  template void sum_gradients(const T*, const T*, const Gate<T>&, int64_t, int64_t, const ChannelMap&, const float*, \
                              double*, double*);                                                                     \
  template void gradient_rows(const T*, const T*, const Gate<T>&, int64_t, int64_t, const ChannelMap&, const float*, \
                              const GradientMap&, T*, T*)
CSTP_NORM_LOOPS(float);
CSTP_NORM_LOOPS(BrainFloat);
#undef CSTP_NORM_LOOPS

}  // namespace cstp
