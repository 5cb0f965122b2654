#include "byte_rows.h"

#include <algorithm>

#include "cstp/core/multiversion.h"

#if defined(CSTP_MULTIVERSIONED)
#define CSTP_ONLY(machine) __attribute__((target(machine)))
#else
#define CSTP_ONLY(machine)
#endif
#if defined(__AVX2__) && defined(__FMA__)
#define CSTP_WHOLLY_AVX2  // there is one version, and it is compiled for such machines
#endif
#if defined(CSTP_MULTIVERSIONED) || defined(CSTP_WHOLLY_AVX2)
#include <immintrin.h>
#pragma GCC diagnostic ignored "-Wmaybe-uninitialized"  // GCC 12 sees it in its own header (GCC bug 105593)
#endif

namespace cstp {
namespace {

/// One output.
struct OneMix {
  const uint8_t* bytes;
  const float* weights;
  int64_t count;
  float start;  ///< minus black times the weights, which are fewer than 1 in all where the plane ends

  OneMix(const ByteMix& mix, int64_t output)
      : bytes(mix.bytes + mix.first[output] * mix.stride),
        weights(mix.weights + output * mix.taps),
        count(mix.count[output]),
        start(0) {
    for (int64_t k = 0; k < count; ++k) start -= mix.black * weights[k];
  }
};

inline __attribute__((always_inline)) void mix_plainly(const OneMix& mix, int64_t stride, int64_t n,
                                                       float* __restrict out) {
  std::fill_n(out, n, mix.start);
  for (int64_t k = 0; k < mix.count; ++k) {
    const uint8_t* __restrict row = mix.bytes + k * stride;
    for (int64_t x = 0; x < n; ++x) out[x] += mix.weights[k] * static_cast<float>(row[x]);
  }
}

// One function for each kind of machine, chosen as CSTP_MULTIVERSION chooses; where there is one version, the one for
// which the whole is compiled. Pieces of a row whose sums stay in registers; the last piece begins earlier and repeats
// a part of the one before.

constexpr int64_t kPiece = 32;

#if defined(CSTP_MULTIVERSIONED) || !defined(CSTP_WHOLLY_AVX2)
CSTP_ONLY("default")
void mix_on_machine(const ByteMix& mix, int64_t outputs, int64_t n, float* out, int64_t out_stride) {
  for (int64_t r = 0; r < outputs; ++r) mix_plainly(OneMix(mix, r), mix.stride, n, out + r * out_stride);
}
#endif

#if defined(CSTP_MULTIVERSIONED) || defined(CSTP_WHOLLY_AVX2)
CSTP_ONLY("arch=x86-64-v3")
void mix_on_machine(const ByteMix& mix, int64_t outputs, int64_t n, float* out, int64_t out_stride) {
  for (int64_t r = 0; r < outputs; ++r) {
    const OneMix one(mix, r);
    if (n < kPiece) {
      mix_plainly(one, mix.stride, n, out + r * out_stride);
      continue;
    }
    for (int64_t piece = 0; piece < n; piece += kPiece) {
      const int64_t x = std::min(piece, n - kPiece);
      __m256 a = _mm256_set1_ps(one.start), b = a, c = a, d = a;
      const uint8_t* row = one.bytes + x;
      for (int64_t k = 0; k < one.count; ++k, row += mix.stride) {
        const __m256 w = _mm256_set1_ps(one.weights[k]);
        const __m256i first = _mm256_cvtepu8_epi32(_mm_loadl_epi64(reinterpret_cast<const __m128i*>(row)));
        const __m256i second = _mm256_cvtepu8_epi32(_mm_loadl_epi64(reinterpret_cast<const __m128i*>(row + 8)));
        const __m256i third = _mm256_cvtepu8_epi32(_mm_loadl_epi64(reinterpret_cast<const __m128i*>(row + 16)));
        const __m256i fourth = _mm256_cvtepu8_epi32(_mm_loadl_epi64(reinterpret_cast<const __m128i*>(row + 24)));
        a = _mm256_fmadd_ps(w, _mm256_cvtepi32_ps(first), a);
        b = _mm256_fmadd_ps(w, _mm256_cvtepi32_ps(second), b);
        c = _mm256_fmadd_ps(w, _mm256_cvtepi32_ps(third), c);
        d = _mm256_fmadd_ps(w, _mm256_cvtepi32_ps(fourth), d);
      }
      float* to = out + r * out_stride + x;
      _mm256_storeu_ps(to, a);
      _mm256_storeu_ps(to + 8, b);
      _mm256_storeu_ps(to + 16, c);
      _mm256_storeu_ps(to + 24, d);
    }
  }
}
#endif

#if defined(CSTP_MULTIVERSIONED)
CSTP_ONLY("arch=x86-64-v4")
void mix_on_machine(const ByteMix& mix, int64_t outputs, int64_t n, float* out, int64_t out_stride) {
  for (int64_t r = 0; r < outputs; ++r) {
    const OneMix one(mix, r);
    if (n < kPiece) {
      mix_plainly(one, mix.stride, n, out + r * out_stride);
      continue;
    }
    for (int64_t piece = 0; piece < n; piece += kPiece) {
      const int64_t x = std::min(piece, n - kPiece);
      __m512 a = _mm512_set1_ps(one.start), b = a;
      const uint8_t* row = one.bytes + x;
      for (int64_t k = 0; k < one.count; ++k, row += mix.stride) {
        const __m512 w = _mm512_set1_ps(one.weights[k]);
        const __m512i first = _mm512_cvtepu8_epi32(_mm_loadu_si128(reinterpret_cast<const __m128i*>(row)));
        const __m512i second = _mm512_cvtepu8_epi32(_mm_loadu_si128(reinterpret_cast<const __m128i*>(row + 16)));
        a = _mm512_fmadd_ps(w, _mm512_cvtepi32_ps(first), a);
        b = _mm512_fmadd_ps(w, _mm512_cvtepi32_ps(second), b);
      }
      float* to = out + r * out_stride + x;
      _mm512_storeu_ps(to, a);
      _mm512_storeu_ps(to + 16, b);
    }
  }
}
#endif

}  // namespace

void mix_byte_rows(const ByteMix& mix, int64_t outputs, int64_t n, float* out, int64_t out_stride) {
  mix_on_machine(mix, outputs, n, out, out_stride);  // callers in other files do not see that there are several
}

}  // namespace cstp
