/// Grey planes: a frame's luma as optical flow wants it, and planes in compressed form.
#pragma once
#include <cstdint>
#include <span>
#include <string>
#include <utility>

#include "cstp/video/frame.h"

namespace cstp {

/// Width and height of a displayed video whose shorter side becomes `short_side`; the longer one is rounded down to an
/// even number (320x240 -> 340x256, as the published flow of UCF101 has it).
std::pair<int64_t, int64_t> size_with_short_side(const VideoInfo& video, int64_t short_side);

/// The frame's luma, upright, as bytes of full range, scaled to width x height (bilinear where it grows, area averages
/// where it shrinks). @param grey receives width*height bytes, row-major
void grey_frame(const Frame& frame, int64_t width, int64_t height, std::span<uint8_t> grey);

/// How a plane of bytes is kept: exactly ("png"), or as JPEG of a quality from 1 to 100 ("jpeg").
struct PlaneCodec {
  std::string name = "png";
  int64_t quality = 95;  ///< of jpeg
  bool operator==(const PlaneCodec&) const = default;
};
/// @param plane width*height bytes @return a PNG or JPEG file. @throws ConfigError if there is no such codec
std::string compress_plane(std::span<const uint8_t> plane, int64_t width, int64_t height, const PlaneCodec& codec);
/// @param plane receives width*height bytes @return false if the file is damaged or has another size
bool decompress_plane(std::span<const char> file, int64_t width, int64_t height, std::span<uint8_t> plane);

}  // namespace cstp
