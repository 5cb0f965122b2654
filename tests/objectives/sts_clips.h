/// Clips whose statistics are known: those of the specification of STS, section 12.
#pragma once
#include <array>
#include <cmath>
#include <cstdint>
#include <functional>
#include <numbers>
#include <random>
#include <vector>

namespace cstp {

constexpr int64_t kSide = 112;

/// [fields,112,112] each.
struct MadeFlow {
  int64_t fields = 0;
  std::vector<float> u, v;
};

/// A bump of one sign beside one of the other, along `degrees` from its centre (cy, cx).
inline double dipole(double y, double x, double cy, double cx, double degrees) {
  const double angle = degrees * std::numbers::pi / 180;
  const double along = (x - cx) * std::cos(angle) + (y - cy) * std::sin(angle);
  return along * std::exp(-((y - cy) * (y - cy) + (x - cx) * (x - cx)) / 72);
}

/// Fact 6: u moves at (42,70) and most in field 8, v at (98,12) and most in field 3 (from zero).
inline MadeFlow dipole_flow(int64_t fields) {
  MadeFlow flow{.fields = fields};
  for (int64_t t = 0; t < fields; ++t) {
    for (int64_t y = 0; y < kSide; ++y) {
      for (int64_t x = 0; x < kSide; ++x) {
        const auto at = [&](double cy, double cx, double degrees) {
          return dipole(static_cast<double>(y), static_cast<double>(x), cy, cx, degrees);
        };
        flow.u.push_back(static_cast<float>((t == 8 ? 3 : 1) * at(42, 70, 0)));
        flow.v.push_back(static_cast<float>((t == 3 ? 2 : 1) * at(98, 12, 100)));
      }
    }
  }
  return flow;
}

/// [frames,112,112,3] with the colour of every pixel.
using PixelColor = std::function<std::array<uint8_t, 3>(int64_t t, int64_t y, int64_t x)>;
inline std::vector<uint8_t> made_clip(int64_t frames, const PixelColor& color) {
  std::vector<uint8_t> clip;
  for (int64_t t = 0; t < frames; ++t) {
    for (int64_t y = 0; y < kSide; ++y) {
      for (int64_t x = 0; x < kSide; ++x) {
        for (const uint8_t channel : color(t, y, x)) clip.push_back(channel);
      }
    }
  }
  return clip;
}

/// Fact 11: grey; rows 28-55, columns 84-111 pure red from frame 6 on.
inline std::vector<uint8_t> reddening_clip() {
  return made_clip(16, [](int64_t t, int64_t y, int64_t x) -> std::array<uint8_t, 3> {
    if (t >= 6 && y >= 28 && y < 56 && x >= 84) return {200, 0, 0};
    return {40, 40, 40};
  });
}

}  // namespace cstp
