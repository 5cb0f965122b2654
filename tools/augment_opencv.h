/// The benchmark's views as a user of OpenCV renders them: bytes from the decoder to the last step, one thread.
#pragma once
#include <cstdint>
#include <span>
#include <vector>

#include "augment_cases.h"

namespace cstp {

/// Frames of a case's clips as RGB bytes [clips, T, H, W, 3], as OpenCV converts them (and swscale, by default: each
/// chroma sample for its four pixels): what a rival that starts from RGB is given.
std::vector<uint8_t> rgb_clips(const BenchCase& bench);

/// How OpenCV resizes where the plan says `antialias`: it has no widened filters.
enum class OpencvShrink { plain, area };

/// YUV -> RGB of the frame, crop, resize, turn, flip, tilt, colours in 8 bits, blur, then floats in the input range.
/// @param out [T,S,S,3]
void render_opencv(const BenchCase& bench, const BenchView& view, OpencvShrink shrink, std::span<float> out);

}  // namespace cstp
