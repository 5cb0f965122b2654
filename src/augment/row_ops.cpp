#include "row_ops.h"

#include "multiversion.h"

namespace cstp {

CSTP_MULTIVERSION
void bytes_to_floats(const uint8_t* __restrict bytes, int64_t n, float black, float* __restrict out) {
  for (int64_t x = 0; x < n; ++x) out[x] = static_cast<float>(bytes[x]) - black;
}

CSTP_MULTIVERSION
void mix_rows(const float* const* rows, std::span<const float> weights, int64_t n, float* out) {
  static_assert(kRowPiece * sizeof(float) == 4 * sizeof(Lanes));
  for (int64_t start = 0; start < n; start += kRowPiece) {
    Lanes a{};
    Lanes b{};
    Lanes c{};
    Lanes d{};
    for (size_t k = 0; k < weights.size(); ++k) {
      const Lanes* row = reinterpret_cast<const Lanes*>(rows[k] + start);
      const float w = weights[k];
      a += w * row[0];
      b += w * row[1];
      c += w * row[2];
      d += w * row[3];
    }
    Lanes* target = reinterpret_cast<Lanes*>(out + start);
    target[0] = a;
    target[1] = b;
    target[2] = c;
    target[3] = d;
  }
}

CSTP_MULTIVERSION
void rows_to_columns(const float* __restrict rows, int64_t stride, int64_t n, float* __restrict out) {
  for (int64_t x = 0; x < n; ++x) {
    for (int64_t r = 0; r < kRowBlock; ++r) out[x * kRowBlock + r] = rows[r * stride + x];
  }
}

}  // namespace cstp
