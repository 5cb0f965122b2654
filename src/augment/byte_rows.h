/// The vertical pass of resampling: weighted sums of rows of bytes. The only loop written in the processor's own
/// instructions, because compilers take three times as many to turn bytes into floats.
#pragma once
#include <cstdint>

namespace cstp {

/// What is mixed: output r is the sum over k < count[r] of weights[r*taps + k] * (row first[r] + k, less black).
struct ByteMix {
  const uint8_t* bytes = nullptr;
  int64_t stride = 0;  ///< from row to row
  const int64_t* first = nullptr;
  const int64_t* count = nullptr;
  const float* weights = nullptr;
  int64_t taps = 0;
  float black = 0;
};

/// @param n   values of a row; nothing past them is read
/// @param out receives value x of output r at r*out_stride + x, for r < outputs
void mix_byte_rows(const ByteMix& mix, int64_t outputs, int64_t n, float* out, int64_t out_stride);

}  // namespace cstp
