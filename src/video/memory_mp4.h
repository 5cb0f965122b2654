/// An MP4 file with one H.264 stream, made in memory from planes, its index in front of its pictures.
#pragma once
#include <cstdint>
#include <memory>
#include <string>

#include "cstp/video/frame.h"
#include "plane_scale.h"

namespace cstp {

struct MemoryMp4Options {
  int64_t width = 0, height = 0;  ///< even
  double fps = 25;
  int64_t gop = 8;
  int64_t quality = 18;
  ColorMatrix matrix = ColorMatrix::bt601;
  ColorRange range = ColorRange::limited;
};

/// Not thread-safe.
class MemoryMp4 {
 public:
  /// @param path of the video that it is made from, for messages. @throws DataError if this FFmpeg has no libx264,
  /// DecodeError if it cannot encode such pictures
  MemoryMp4(std::string path, const MemoryMp4Options& options);
  ~MemoryMp4();
  MemoryMp4(const MemoryMp4&) = delete;
  MemoryMp4& operator=(const MemoryMp4&) = delete;

  /// Where the planes of the next frame go; then write().
  PlaneTargets picture();
  void write();
  /// After the last frame. @return the file's bytes
  std::string finish();

 private:
  struct Impl;
  std::unique_ptr<Impl> impl_;
};

}  // namespace cstp
