/// Writes frames as an H.264 MP4 file (libx264 where FFmpeg has it, else MPEG-4 part 2).
#pragma once
#include <cstdint>
#include <memory>
#include <span>
#include <string>

namespace cstp {

struct WriterOptions {
  int64_t width = 0;   ///< even
  int64_t height = 0;  ///< even
  double fps = 25;
  int64_t quality = 18;  ///< x264's crf: 0 (lossless) to 51
  int64_t gop = 12;      ///< frames between key frames
  int64_t b_frames = 2;
  int64_t threads = 1;  ///< 1 makes the file's bytes the same on every run
};

/// Not thread-safe. The file is complete only after finish(); the destructor of an unfinished writer removes it.
class VideoWriter {
 public:
  /// @throws DataError if the file cannot be made
  VideoWriter(const std::string& path, const WriterOptions& options);
  ~VideoWriter();
  VideoWriter(const VideoWriter&) = delete;
  VideoWriter& operator=(const VideoWriter&) = delete;

  /// @param rgb [height, width, 3] bytes, row-major
  void write(std::span<const uint8_t> rgb);
  void finish();

 private:
  struct Impl;
  std::unique_ptr<Impl> impl_;
};

}  // namespace cstp
