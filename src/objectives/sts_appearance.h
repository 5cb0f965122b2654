/// The 13 appearance statistics of STS: which blocks of a clip change their colours most and least, and what colour
/// they have.
///
/// Source: as of sts_motion.h, sections 5 and 6. Always from the unscaled bytes, red first.
#pragma once
#include <array>
#include <cstdint>
#include <span>

#include "cstp/objectives/sts_patterns.h"

namespace cstp {

/// How a block's dominant colour is found. count: the eighth of the RGB cube that most of its pixels lie in. mode: the
/// eighth that its commonest exact colour lies in (the released code; a few pixels decide).
enum class DominantColor : uint8_t { count, mode };

/// Eighth of the RGB cube, cut at 128: 1 blue, 2 cyan, 3 magenta, 4 white, 5 black, 6 green, 7 red, 8 yellow.
int64_t color_octant(uint8_t red, uint8_t green, uint8_t blue);

/// How alike the frames of a block are in colour, in [0,1]: per channel the intersection over the union of the
/// histograms of all frames, and of that the mean of the channels.
/// @param rgb [T,S,S,3], of any size: a frame is `pixels` pixels
double color_stability(std::span<const uint8_t> rgb, int64_t frames, int64_t pixels, const Block& block);

/// The octant (1..8) of a block over all frames; of equals the smallest number (mode: the colour that comes first by
/// blue, green, red).
int64_t dominant_color(std::span<const uint8_t> rgb, int64_t frames, int64_t pixels, const Block& block,
                       DominantColor rule);

/// Labels from 1: {most diverse block, its colour, most stable block, its colour} for P1, P2 and P3; then the colour of
/// the clip. Questions that are not asked are answered 0.
/// @param rgb [T,S,S,3], S = patterns.size
std::array<int64_t, 13> appearance_labels(const StsPatterns& patterns, const StsParts& parts,
                                          std::span<const uint8_t> rgb, int64_t frames, DominantColor rule);

}  // namespace cstp
