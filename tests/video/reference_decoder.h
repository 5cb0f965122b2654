/// What a file's frames are, by definition: the plain sequential decode of every packet, written apart from the reader.
#pragma once
#include <cstdint>
#include <string>
#include <vector>

#include "cstp/video/frame.h"

namespace cstp::test {

struct ReferenceFrame {
  int64_t width = 0;
  int64_t height = 0;
  uint64_t hash = 0;     ///< of the packed 8-bit 4:2:0 planes
  std::string format{};  ///< libav's name
};

/// Empty where nothing decodes.
std::vector<ReferenceFrame> decode_plainly(const std::string& path);

/// Of a frame whose planes are packed, as VideoReader gives it.
uint64_t hash_of(const Frame& frame);

}  // namespace cstp::test
