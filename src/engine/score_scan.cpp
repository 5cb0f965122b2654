#include "score_scan.h"

#include <bit>
#include <cmath>
#include <limits>

#include "cstp/core/multiversion.h"

namespace cstp {
namespace {

// Memory is reached through types that need no alignment, which must be written out: `auto` forgets that. Comparisons
// have 32 bytes: GCC 12 takes those of 64 apart into single elements.
typedef float Floats __attribute__((vector_size(64), aligned(4), may_alias));
typedef int32_t Words __attribute__((vector_size(64), aligned(4), may_alias));
typedef float HalfFloats __attribute__((vector_size(32), aligned(4), may_alias));
typedef int32_t HalfWords __attribute__((vector_size(32), aligned(4), may_alias));
typedef int16_t Shorts __attribute__((vector_size(32), aligned(2), may_alias));
typedef uint16_t UnsignedShorts __attribute__((vector_size(32), aligned(2), may_alias));
typedef int64_t Longs __attribute__((vector_size(32), aligned(4), may_alias));
typedef double Doubles __attribute__((vector_size(64)));

/// The bits of a bfloat16 as a number that is ordered as the values are.
constexpr int16_t ordered(int16_t bits) { return static_cast<int16_t>(bits ^ ((bits >> 15) & 0x7fff)); }

/// The largest bfloat16 that is not above `value`.
int16_t round_down(float value) {
  const auto bits = std::bit_cast<uint32_t>(value);
  auto upper = static_cast<uint16_t>(bits >> 16);                           // towards zero
  if (value < 0 && (bits & 0xffffU) != 0 && std::isfinite(value)) ++upper;  // away from it
  return static_cast<int16_t>(upper);
}

float at_least(double squares, int64_t dim) {
  // 1e-4 covers the rounding of the sums (f32, at most 2^16 terms a lane); the rest covers squares below f32's range.
  const double length = std::sqrt(squares) * (1 + 1e-4) + std::sqrt(static_cast<double>(dim)) * 1e-18;
  return std::isfinite(length) ? static_cast<float>(length) : std::numeric_limits<float>::infinity();
}

double sum_of(const float* lanes) {
  double sum = 0;
  for (int i = 0; i < 16; ++i) sum += lanes[i];
  return sum;
}

uint16_t rounded_bits(float value) {
  const auto bits = std::bit_cast<uint32_t>(value);
  return static_cast<uint16_t>((bits + 0x7fffU + ((bits >> 16) & 1U)) >> 16);
}

}  // namespace

CSTP_MULTIVERSION RowLength round_row(const float* row, int64_t dim, uint16_t* rounded) {
  Floats squares = {}, lost = {};
  int64_t i = 0;
  for (; i + 16 <= dim; i += 16) {
    const Floats values = *reinterpret_cast<const Floats*>(row + i);
    const Words bits = reinterpret_cast<const Words&>(values);
    const Words near = (bits + 0x7fff + ((bits >> 16) & 1)) >> 16;
    const Words kept_bits = near << 16;
    const Floats rest = values - reinterpret_cast<const Floats&>(kept_bits);
    squares += values * values;
    lost += rest * rest;
    *reinterpret_cast<UnsignedShorts*>(rounded + i) = __builtin_convertvector(near, UnsignedShorts);
  }
  double tail = 0, lost_tail = 0;
  for (; i < dim; ++i) {
    rounded[i] = rounded_bits(row[i]);
    const double rest = row[i] - std::bit_cast<float>(static_cast<uint32_t>(rounded[i]) << 16);
    tail += static_cast<double>(row[i]) * row[i];
    lost_tail += rest * rest;
  }
  return {at_least(sum_of(reinterpret_cast<const float*>(&squares)) + tail, dim),
          at_least(sum_of(reinterpret_cast<const float*>(&lost)) + lost_tail, dim)};
}

CSTP_MULTIVERSION RowLength measure_row(const float* row, int64_t dim) {
  Floats squares = {};
  int64_t i = 0;
  for (; i + 16 <= dim; i += 16) {
    const Floats values = *reinterpret_cast<const Floats*>(row + i);
    squares += values * values;
  }
  double tail = 0;
  for (; i < dim; ++i) tail += static_cast<double>(row[i]) * row[i];
  return {at_least(sum_of(reinterpret_cast<const float*>(&squares)) + tail, dim), 0};
}

CSTP_MULTIVERSION int64_t next_at_least(const float* scores, int64_t from, int64_t count, float threshold) {
  int64_t i = from;
  for (; i + 32 <= count; i += 32) {
    const HalfFloats* block = reinterpret_cast<const HalfFloats*>(scores + i);
    const HalfWords above =
        (block[0] >= threshold) | (block[1] >= threshold) | (block[2] >= threshold) | (block[3] >= threshold);
    const Longs pairs = reinterpret_cast<const Longs&>(above);
    if ((pairs[0] | pairs[1] | pairs[2] | pairs[3]) != 0) break;
  }
  while (i < count && !(scores[i] >= threshold)) ++i;
  return i;
}

CSTP_MULTIVERSION int64_t next_at_least(const uint16_t* scores, int64_t from, int64_t count, float threshold) {
  const int16_t wanted = ordered(round_down(threshold));
  int64_t i = from;
  const auto below = static_cast<int16_t>(wanted - 1);
  for (; i + 32 <= count; i += 32) {
    const Shorts* block = reinterpret_cast<const Shorts*>(scores + i);
    const Shorts first = block[0] ^ ((block[0] >> 15) & 0x7fff);  // ordered()
    const Shorts second = block[1] ^ ((block[1] >> 15) & 0x7fff);
    const Shorts above = (first > below) | (second > below);
    const Longs parts = reinterpret_cast<const Longs&>(above);
    if ((parts[0] | parts[1] | parts[2] | parts[3]) != 0) break;
  }
  while (i < count && ordered(static_cast<int16_t>(scores[i])) < wanted) ++i;
  return i;
}

CSTP_MULTIVERSION double exact_dot(const float* a, const float* b, int64_t dim) {
  Doubles even = {}, odd = {};
  int64_t i = 0;
  for (; i + 16 <= dim; i += 16) {
    const HalfFloats a0 = *reinterpret_cast<const HalfFloats*>(a + i);
    const HalfFloats b0 = *reinterpret_cast<const HalfFloats*>(b + i);
    const HalfFloats a1 = *reinterpret_cast<const HalfFloats*>(a + i + 8);
    const HalfFloats b1 = *reinterpret_cast<const HalfFloats*>(b + i + 8);
    even += __builtin_convertvector(a0, Doubles) * __builtin_convertvector(b0, Doubles);
    odd += __builtin_convertvector(a1, Doubles) * __builtin_convertvector(b1, Doubles);
  }
  const Doubles sums = even + odd;
  double total = ((sums[0] + sums[4]) + (sums[2] + sums[6])) + ((sums[1] + sums[5]) + (sums[3] + sums[7]));
  for (; i < dim; ++i) total += static_cast<double>(a[i]) * b[i];
  return total;
}

double product_error(double length, double other, int64_t dim) {
  const double lengths = length * other;
  if (!(lengths < 1e30)) return std::numeric_limits<double>::infinity();
  return lengths * static_cast<double>(dim + 8) * 0x1p-23 + 1e-30;
}

}  // namespace cstp
