/// The vector code under the exact neighbour search: rows to bfloat16 with what that loses, a block of scores against
/// a threshold, and the one score that the order of neighbours is defined by.
#pragma once
#include <cstdint>

namespace cstp {

/// Upper bounds of a row's Euclidean length and of the length of what rounding to bfloat16 took from it. Infinite where
/// the row holds a number that is none, or squares that leave f32.
struct RowLength {
  float length = 0, lost = 0;
};
/// Rounds a row to bfloat16, to the nearest and ties to even.
RowLength round_row(const float* row, int64_t dim, uint16_t* rounded);
/// The length alone; nothing is lost.
RowLength measure_row(const float* row, int64_t dim);

/// First of scores[from, count) at or above the threshold; count if there is none. A score that is no number is not.
int64_t next_at_least(const float* scores, int64_t from, int64_t count, float threshold);
/// The same of bfloat16 scores, none of which is NaN.
int64_t next_at_least(const uint16_t* scores, int64_t from, int64_t count, float threshold);

/// a·b in double precision, summed in one order on every machine: products of two floats are exact in double, so
/// neither fused multiply-adds nor the width of the vectors change a bit.
double exact_dot(const float* a, const float* b, int64_t dim);

/// How far a product of f32 matrices may be from the true one, for rows of these lengths. (Higham, "Accuracy and
/// Stability of Numerical Algorithms", section 3.1: n products summed in any order are off by at most nu/(1-nu) of the
/// lengths' product; twice that here, for matrix units that flush the smallest numbers.) Infinite where a product may
/// leave f32.
double product_error(double length, double other, int64_t dim);

}  // namespace cstp
