/// The inner loops that resampling and blurring share: weighted sums of rows, and turning rows into columns and back.
#pragma once
#include <cstdint>
#include <span>
#include <vector>

namespace cstp {

/// Rows that are turned into columns together.
inline constexpr int64_t kRowBlock = 16;
/// Both turns work on squares of this side; rows that are turned into columns are padded to whole ones.
inline constexpr int64_t kTurnedSquare = 8;
constexpr int64_t padded_width(int64_t n) { return (n + kTurnedSquare - 1) / kTurnedSquare * kTurnedSquare; }

/// Floats that begin with a line of the cache: vectors as long as a line would otherwise lie on two.
class CacheLines {
 public:
  /// Room for n floats; what they were is lost. The memory stays for the next call, and always holds numbers.
  void resize(int64_t n) { memory_.resize(static_cast<size_t>(n) + kLine); }
  float* data() { return memory_.data() + to_line(); }
  const float* data() const { return memory_.data() + to_line(); }

 private:
  static constexpr size_t kLine = 16;
  size_t to_line() const {
    const auto floats = reinterpret_cast<uintptr_t>(memory_.data()) / sizeof(float);
    return (kLine - floats % kLine) % kLine;
  }
  std::vector<float> memory_;
};

/// Weighted sums of neighbouring rows: first[x] = sum over k of weights[k] * rows[k][x], and `second` the same a row
/// later, for x < n.
/// @param rows   as many as weights, and one more for `second`
/// @param second may be nullptr
void mix_row_pair(const float* const* rows, std::span<const float> weights, int64_t n, float* first, float* second);

/// out[x*kRowBlock + r] = rows[r*stride + x], for x < padded_width(n) and r < kRowBlock
void rows_to_columns(const float* rows, int64_t stride, int64_t n, float* out);

/// out[r*stride + x] = columns[x*kRowBlock + r], for x < n and r < rows
/// @param rows at most kRowBlock
void columns_to_rows(const float* columns, int64_t n, int64_t rows, int64_t stride, float* out);

/// A part of a matrix: `count` rows, at most kRowBlock, that begin `stride` floats apart.
struct FloatRows {
  float* data = nullptr;
  int64_t stride = 0;
  int64_t count = 0;
};
/// to[i][j] = from[j][i] for i < to.count and j < kRowBlock; rows that `from` lacks read as 0. Both have rows of at
/// least kRowBlock floats.
void turn_tile(const FloatRows& from, const FloatRows& to);

}  // namespace cstp
