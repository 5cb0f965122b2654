#include "row_ops.h"

#include <algorithm>

#include "cstp/core/multiversion.h"

namespace cstp {
namespace {

typedef int32_t LaneNumbers __attribute__((vector_size(32)));
#define CSTP_INLINE inline __attribute__((always_inline))

/// out[c*out_stride + r] = in[r*in_stride + c], for r, c < 8
CSTP_INLINE void turn_square(const float* in, int64_t in_stride, float* out, int64_t out_stride) {
  const LaneNumbers low = {0, 8, 1, 9, 4, 12, 5, 13}, high = {2, 10, 3, 11, 6, 14, 7, 15};
  const LaneNumbers even = {0, 1, 8, 9, 4, 5, 12, 13}, odd = {2, 3, 10, 11, 6, 7, 14, 15};
  const LaneNumbers front = {0, 1, 2, 3, 8, 9, 10, 11}, back = {4, 5, 6, 7, 12, 13, 14, 15};
  const FullLanes r0 = *reinterpret_cast<const Lanes*>(in);
  const FullLanes r1 = *reinterpret_cast<const Lanes*>(in + 1 * in_stride);
  const FullLanes r2 = *reinterpret_cast<const Lanes*>(in + 2 * in_stride);
  const FullLanes r3 = *reinterpret_cast<const Lanes*>(in + 3 * in_stride);
  const FullLanes r4 = *reinterpret_cast<const Lanes*>(in + 4 * in_stride);
  const FullLanes r5 = *reinterpret_cast<const Lanes*>(in + 5 * in_stride);
  const FullLanes r6 = *reinterpret_cast<const Lanes*>(in + 6 * in_stride);
  const FullLanes r7 = *reinterpret_cast<const Lanes*>(in + 7 * in_stride);
  // Pairs of rows, then fours, then eights: columns c and c+4 of four rows are the halves of one vector.
  const FullLanes a0 = __builtin_shuffle(r0, r1, low), a1 = __builtin_shuffle(r0, r1, high);
  const FullLanes a2 = __builtin_shuffle(r2, r3, low), a3 = __builtin_shuffle(r2, r3, high);
  const FullLanes a4 = __builtin_shuffle(r4, r5, low), a5 = __builtin_shuffle(r4, r5, high);
  const FullLanes a6 = __builtin_shuffle(r6, r7, low), a7 = __builtin_shuffle(r6, r7, high);
  const FullLanes b0 = __builtin_shuffle(a0, a2, even), b1 = __builtin_shuffle(a0, a2, odd);
  const FullLanes b2 = __builtin_shuffle(a1, a3, even), b3 = __builtin_shuffle(a1, a3, odd);
  const FullLanes b4 = __builtin_shuffle(a4, a6, even), b5 = __builtin_shuffle(a4, a6, odd);
  const FullLanes b6 = __builtin_shuffle(a5, a7, even), b7 = __builtin_shuffle(a5, a7, odd);
  *reinterpret_cast<Lanes*>(out + 0 * out_stride) = __builtin_shuffle(b0, b4, front);
  *reinterpret_cast<Lanes*>(out + 1 * out_stride) = __builtin_shuffle(b1, b5, front);
  *reinterpret_cast<Lanes*>(out + 2 * out_stride) = __builtin_shuffle(b2, b6, front);
  *reinterpret_cast<Lanes*>(out + 3 * out_stride) = __builtin_shuffle(b3, b7, front);
  *reinterpret_cast<Lanes*>(out + 4 * out_stride) = __builtin_shuffle(b0, b4, back);
  *reinterpret_cast<Lanes*>(out + 5 * out_stride) = __builtin_shuffle(b1, b5, back);
  *reinterpret_cast<Lanes*>(out + 6 * out_stride) = __builtin_shuffle(b2, b6, back);
  *reinterpret_cast<Lanes*>(out + 7 * out_stride) = __builtin_shuffle(b3, b7, back);
}

}  // namespace

CSTP_MULTIVERSION
void mix_row_pair(const float* const* rows, std::span<const float> weights, int64_t n, float* first, float* second) {
  constexpr int64_t kPiece = 3 * sizeof(Lanes) / sizeof(float);  // half a column of a PixelBlock
  const size_t taps = weights.size();
  int64_t x = 0;
  for (; x + kPiece <= n; x += kPiece) {
    FullLanes a0{}, a1{}, a2{}, b0{}, b1{}, b2{};
    float before = 0;  // the second sum begins a row later
    for (size_t k = 0; k < taps; ++k) {
      const Lanes* row = reinterpret_cast<const Lanes*>(rows[k] + x);
      const float now = weights[k];
      a0 += now * row[0];
      a1 += now * row[1];
      a2 += now * row[2];
      b0 += before * row[0];
      b1 += before * row[1];
      b2 += before * row[2];
      before = now;
    }
    Lanes* upper = reinterpret_cast<Lanes*>(first + x);
    upper[0] = a0;
    upper[1] = a1;
    upper[2] = a2;
    if (second == nullptr) continue;
    const Lanes* last = reinterpret_cast<const Lanes*>(rows[taps] + x);
    Lanes* lower = reinterpret_cast<Lanes*>(second + x);
    lower[0] = b0 + before * last[0];
    lower[1] = b1 + before * last[1];
    lower[2] = b2 + before * last[2];
  }
  for (; x < n; ++x) {
    float sums[2] = {};
    for (size_t k = 0; k < taps; ++k) {
      sums[0] += weights[k] * rows[k][x];
      if (second != nullptr) sums[1] += weights[k] * rows[k + 1][x];
    }
    first[x] = sums[0];
    if (second != nullptr) second[x] = sums[1];
  }
}

CSTP_MULTIVERSION
void rows_to_columns(const float* rows, int64_t stride, int64_t n, float* out) {
  for (int64_t x = 0; x < n; x += kTurnedSquare) {
    turn_square(rows + x, stride, out + x * kRowBlock, kRowBlock);
    turn_square(rows + 8 * stride + x, stride, out + x * kRowBlock + 8, kRowBlock);
  }
}

CSTP_MULTIVERSION
void turn_tile(const FloatRows& from, const FloatRows& to) {
  if (from.count < kRowBlock || to.count < kRowBlock) {
    for (int64_t i = 0; i < to.count; ++i) {
      for (int64_t j = 0; j < kRowBlock; ++j)
        to.data[i * to.stride + j] = j < from.count ? from.data[j * from.stride + i] : 0.0F;
    }
    return;
  }
  for (int64_t i = 0; i < kRowBlock; i += kTurnedSquare) {
    for (int64_t j = 0; j < kRowBlock; j += kTurnedSquare)
      turn_square(from.data + j * from.stride + i, from.stride, to.data + i * to.stride + j, to.stride);
  }
}

CSTP_MULTIVERSION
void columns_to_rows(const float* columns, int64_t n, int64_t rows, int64_t stride, float* out) {
  for (int64_t row = 0; row < rows; row += kTurnedSquare, columns += kTurnedSquare, out += kTurnedSquare * stride) {
    const int64_t height = std::min(kTurnedSquare, rows - row);
    int64_t x = 0;
    for (; height == kTurnedSquare && x + kTurnedSquare <= n; x += kTurnedSquare)
      turn_square(columns + x * kRowBlock, kRowBlock, out + x, stride);
    for (; x < n; ++x) {
      for (int64_t r = 0; r < height; ++r) out[r * stride + x] = columns[x * kRowBlock + r];
    }
  }
}

}  // namespace cstp
