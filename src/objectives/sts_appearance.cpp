#include "sts_appearance.h"

#include <algorithm>
#include <vector>

#include "cstp/core/error.h"

namespace cstp {
namespace {

/// Calls use(red, green, blue) for every pixel of the block in every frame.
template <class Use>
void for_each_pixel(std::span<const uint8_t> rgb, int64_t frames, int64_t pixels, const Block& block, const Use& use) {
  for (int64_t t = 0; t < frames; ++t) {
    const uint8_t* frame = rgb.data() + 3 * t * pixels;
    for (const PixelRun& run : block) {
      const uint8_t* end = frame + 3 * static_cast<int64_t>(run.end);
      for (const uint8_t* pixel = frame + 3 * static_cast<int64_t>(run.begin); pixel != end; pixel += 3) {
        use(pixel[0], pixel[1], pixel[2]);
      }
    }
  }
}

/// 256 bins of red, of green and of blue.
using Histogram = std::array<int32_t, 3 * 256>;

void count_colors(std::span<const uint8_t> frame, int64_t pixels, const Block& block, Histogram& histogram) {
  histogram.fill(0);
  for_each_pixel(frame, 1, pixels, block, [&histogram](uint8_t red, uint8_t green, uint8_t blue) {
    ++histogram[red];
    ++histogram[256U + green];
    ++histogram[512U + blue];
  });
}

/// The commonest colour as blue * 65536 + green * 256 + red; the smallest of equals.
uint32_t commonest_color(std::span<const uint8_t> rgb, int64_t frames, int64_t pixels, const Block& block) {
  thread_local std::vector<uint32_t> colors;
  colors.clear();
  for_each_pixel(rgb, frames, pixels, block, [](uint8_t red, uint8_t green, uint8_t blue) {
    colors.push_back(uint32_t{blue} << 16 | uint32_t{green} << 8 | red);
  });
  std::sort(colors.begin(), colors.end());
  uint32_t best = 0;
  size_t most = 0;
  for (size_t begin = 0; begin < colors.size();) {
    size_t end = begin + 1;
    while (end < colors.size() && colors[end] == colors[begin]) ++end;
    if (end - begin > most) {
      most = end - begin;
      best = colors[begin];
    }
    begin = end;
  }
  return best;
}

}  // namespace

int64_t color_octant(uint8_t red, uint8_t green, uint8_t blue) {
  return 1 + 4 * int64_t{blue < 128} + 2 * int64_t{red >= 128} + int64_t{green >= 128};
}

double color_stability(std::span<const uint8_t> rgb, int64_t frames, int64_t pixels, const Block& block) {
  check(frames >= 1 && static_cast<int64_t>(rgb.size()) == 3 * frames * pixels, "color_stability: rgb is [T,S,S,3]");
  Histogram now, least, most;
  for (int64_t t = 0; t < frames; ++t) {
    count_colors(rgb.subspan(static_cast<size_t>(3 * t * pixels)), pixels, block, now);
    if (t == 0) {
      least = most = now;
      continue;
    }
    for (size_t i = 0; i < now.size(); ++i) {
      least[i] = std::min(least[i], now[i]);
      most[i] = std::max(most[i], now[i]);
    }
  }
  double stability = 0;
  for (size_t channel = 0; channel < 3; ++channel) {
    int64_t shared = 0, all = 0;
    for (size_t i = 256 * channel; i < 256 * (channel + 1); ++i) {
      shared += least[i];
      all += most[i];
    }
    stability += static_cast<double>(shared) / static_cast<double>(all);
  }
  return stability / 3;
}

int64_t dominant_color(std::span<const uint8_t> rgb, int64_t frames, int64_t pixels, const Block& block,
                       DominantColor rule) {
  if (rule == DominantColor::mode) {
    const uint32_t color = commonest_color(rgb, frames, pixels, block);
    return color_octant(static_cast<uint8_t>(color), static_cast<uint8_t>(color >> 8),
                        static_cast<uint8_t>(color >> 16));
  }
  std::array<int64_t, 9> counts{};
  for_each_pixel(rgb, frames, pixels, block, [&counts](uint8_t red, uint8_t green, uint8_t blue) {
    ++counts[static_cast<size_t>(color_octant(red, green, blue))];
  });
  return std::max_element(counts.begin() + 1, counts.end()) - counts.begin();
}

std::array<int64_t, 13> appearance_labels(const StsPatterns& patterns, const StsParts& parts,
                                          std::span<const uint8_t> rgb, int64_t frames, DominantColor rule) {
  const int64_t pixels = patterns.size * patterns.size;
  check(frames >= 1 && static_cast<int64_t>(rgb.size()) == 3 * frames * pixels, "appearance_labels: rgb is [T,S,S,3]");
  std::array<int64_t, 13> labels{};
  for (size_t p = 0; p < patterns.blocks.size(); ++p) {
    if (!parts.pattern(p)) continue;
    std::vector<double> stability;
    for (const Block& block : patterns.blocks[p]) stability.push_back(color_stability(rgb, frames, pixels, block));
    const auto diverse = std::min_element(stability.begin(), stability.end());
    const auto stable = std::max_element(stability.begin(), stability.end());
    size_t slot = 4 * p;
    for (const auto found : {diverse, stable}) {
      const auto at = found - stability.begin();
      labels[slot++] = 1 + at;
      labels[slot++] = dominant_color(rgb, frames, pixels, patterns.blocks[p][static_cast<size_t>(at)], rule);
    }
  }
  if (parts.global) labels[12] = dominant_color(rgb, frames, pixels, patterns.whole, rule);
  return labels;
}

}  // namespace cstp
