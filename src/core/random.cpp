#include "cstp/core/random.h"

#include <cmath>
#include <numbers>

#include "cstp/core/error.h"

namespace cstp {
namespace {

std::array<uint32_t, 4> philox(std::array<uint32_t, 4> c, std::array<uint32_t, 2> k) {
  for (int round = 0; round < 10; ++round) {
    const uint64_t a = 0xD2511F53ULL * c[0];
    const uint64_t b = 0xCD9E8D57ULL * c[2];
    c = {static_cast<uint32_t>(b >> 32) ^ c[1] ^ k[0], static_cast<uint32_t>(b),
         static_cast<uint32_t>(a >> 32) ^ c[3] ^ k[1], static_cast<uint32_t>(a)};
    k[0] += 0x9E3779B9U;
    k[1] += 0xBB67AE85U;
  }
  return c;
}

/// Mixes a 64-bit word thoroughly (the finaliser of SplitMix64), so that near seeds give unrelated keys.
uint64_t mix(uint64_t x) {
  x += 0x9E3779B97F4A7C15ULL;
  x = (x ^ (x >> 30)) * 0xBF58476D1CE4E5B9ULL;
  x = (x ^ (x >> 27)) * 0x94D049BB133111EBULL;
  return x ^ (x >> 31);
}

}  // namespace

Rng::Rng(uint64_t seed, uint64_t epoch, uint64_t position, uint64_t attempt) {
  check(position < (1ULL << 48) && attempt < (1ULL << 16), "Rng: position or attempt out of range");
  const uint64_t key = mix(mix(seed) ^ epoch);
  const uint64_t name = position | attempt << 48;
  key_ = {static_cast<uint32_t>(key), static_cast<uint32_t>(key >> 32)};
  counter_ = {0, 0, static_cast<uint32_t>(name), static_cast<uint32_t>(name >> 32)};
}

uint32_t Rng::bits() {
  if (used_ == block_.size()) {
    block_ = philox(counter_, key_);
    if (++counter_[0] == 0) ++counter_[1];
    used_ = 0;
  }
  return block_[used_++];
}

double Rng::uniform() {
  const uint64_t high = bits() >> 5;  // 27 bits
  const uint64_t low = bits() >> 6;   // 26 bits
  return static_cast<double>(high << 26 | low) * 0x1p-53;
}

int64_t Rng::integer(int64_t low, int64_t high) {
  check(low <= high, "Rng::integer: empty range");
  const uint64_t span = static_cast<uint64_t>(high) - static_cast<uint64_t>(low);  // inclusive
  const auto word = [this] { return static_cast<uint64_t>(bits()) << 32 | bits(); };
  if (span == UINT64_MAX) return static_cast<int64_t>(word());
  const uint64_t count = span + 1;
  const uint64_t limit = UINT64_MAX - UINT64_MAX % count;  // rejects the unfair tail
  uint64_t value = word();
  while (value >= limit) value = word();
  return static_cast<int64_t>(static_cast<uint64_t>(low) + value % count);
}

double Rng::normal() {
  const double radius = std::sqrt(-2.0 * std::log1p(-uniform()));
  return radius * std::cos(2.0 * std::numbers::pi * uniform());
}

}  // namespace cstp
