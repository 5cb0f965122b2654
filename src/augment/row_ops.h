/// The three inner loops that resampling, blurring and placing share: bytes to floats, weighted sums of rows, and
/// turning rows into columns.
#pragma once
#include <cstdint>
#include <span>

namespace cstp {

/// Rows are worked on in pieces whose sums stay in registers; rows that are mixed are padded to whole pieces.
inline constexpr int64_t kRowPiece = 32;
constexpr int64_t padded_width(int64_t n) { return (n + kRowPiece - 1) / kRowPiece * kRowPiece; }
/// Rows that are turned into columns together.
inline constexpr int64_t kRowBlock = 16;

/// out[x] = bytes[x] - black
void bytes_to_floats(const uint8_t* bytes, int64_t n, float black, float* out);

/// out[x] = sum over k of weights[k] * rows[k][x], for x < n; n is a multiple of kRowPiece.
void mix_rows(const float* const* rows, std::span<const float> weights, int64_t n, float* out);

/// out[x*kRowBlock + r] = rows[r*stride + x], for x < n and r < kRowBlock
void rows_to_columns(const float* rows, int64_t stride, int64_t n, float* out);

}  // namespace cstp
