/// The loops of a batch norm and what surrounds it, over rows of C channels that lie side by side (channels-last). Each
/// reads its inputs once. No LibTorch.
#pragma once
#include <cstdint>

namespace cstp {

/// The upper half of a float.
struct BrainFloat {
  uint16_t bits;
};

/// What the norm does to a channel: scale * x + shift. [C] each.
struct ChannelMap {
  const float* scale;
  const float* shift;
};

// T is float or BrainFloat; sums and channel values are wide in either case.

/// Sums over rows of x - around and of its square. @param sum, square [C], written
template <class T>
void sum_moments(const T* x, int64_t rows, int64_t channels, const float* around, double* sum, double* square);

/// y = scale * x + shift (+ addend), then ReLU where wanted. @param addend as x, or null
template <class T>
void map_rows(const T* x, const T* addend, int64_t rows, int64_t channels, const ChannelMap& map, bool relu, T* y);

/// How a gradient gets from behind the ReLU to before it: where the output was above 0.
template <class T>
struct Gate {
  bool relu = true;      ///< false: it passes everywhere
  const T* y = nullptr;  ///< the output; null: scale * x + shift tells, and need not be read
};

/// Sums over rows of g and of g * (x - mean), g being dy through the gate. @param sum, dot [C], written
template <class T>
void sum_gradients(const T* dy, const T* x, const Gate<T>& gate, int64_t rows, int64_t channels, const ChannelMap& map,
                   const float* mean, double* sum, double* dot);

/// dx = slope * g + bend * (x - mean) + offset; and g itself, where d_addend is not null.
struct GradientMap {
  const float* slope;
  const float* bend;
  const float* offset;
};
template <class T>
void gradient_rows(const T* dy, const T* x, const Gate<T>& gate, int64_t rows, int64_t channels, const ChannelMap& map,
                   const float* mean, const GradientMap& gradient, T* dx, T* d_addend);

}  // namespace cstp
