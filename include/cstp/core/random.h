/// Counter-based random numbers: every sample owns a generator keyed by (seed, epoch, position, attempt), so what is
/// drawn never depends on threads, ranks or interruptions, and is the same on every platform.
///
/// The generator is Philox-4x32-10 (Salmon et al., "Parallel Random Numbers: As Easy as 1, 2, 3", SC 2011). The
/// distributions are our own, because those of <random> differ between standard libraries.
#pragma once
#include <array>
#include <cstdint>
#include <span>
#include <utility>

namespace cstp {

class Rng {
 public:
  /// @param seed the run's seed; @param epoch, @param position, @param attempt name the sample (attempt > 0 after a
  /// bad video was replaced). Position may use 48 bits, attempt 16.
  explicit Rng(uint64_t seed, uint64_t epoch = 0, uint64_t position = 0, uint64_t attempt = 0);

  uint32_t bits();
  /// Uniform in [0, 1) with 53 random bits.
  double uniform();
  /// Uniform in [low, high).
  double uniform(double low, double high) { return low + (high - low) * uniform(); }
  /// Uniform integer in [low, high], without modulo bias. Requires low <= high.
  int64_t integer(int64_t low, int64_t high);
  /// True with probability p.
  bool chance(double p) { return uniform() < p; }
  /// Standard normal (Box-Muller, the second value is dropped so that every call draws the same amount).
  double normal();
  /// Fisher-Yates.
  template <class T>
  void shuffle(std::span<T> items) {
    for (size_t i = items.size(); i > 1; --i) {
      std::swap(items[i - 1], items[static_cast<size_t>(integer(0, static_cast<int64_t>(i) - 1))]);
    }
  }

 private:
  std::array<uint32_t, 4> counter_;
  std::array<uint32_t, 2> key_;
  std::array<uint32_t, 4> block_{};
  unsigned used_ = 4;  ///< words of block_ already given out
};

}  // namespace cstp
