/// A video as a page shows it: a few seconds of it as a small H.264 file, and a still.
#pragma once
#include <cstdint>
#include <string>

#include "cstp/video/video_reader.h"

namespace cstp {

struct PreviewOptions {
  int64_t short_side = 112;  ///< pixels; smaller videos are not enlarged
  int64_t long_side = 256;   ///< no more than this, however long and thin the video
  double seconds = 4;        ///< from the middle of the video
  double fps = 15;           ///< about this: every n-th frame of the video is taken
  ReaderOptions reader;
};

/// Which frames a preview shows, and how fast. It lasts as long as those frames do in the video.
struct PreviewFrames {
  int64_t first = 0, step = 1, count = 1;
  double fps = 25;
};
PreviewFrames preview_frames(const VideoInfo& video, const PreviewOptions& options);

/// Width and height of a preview: even, in the video's proportion.
std::pair<int64_t, int64_t> preview_size(const VideoInfo& video, const PreviewOptions& options);

/// A file name without extension that changes whenever the preview would: 16 hexadecimal digits of the path, of the
/// file's size and time, and of the options.
std::string preview_name(const std::string& path, const PreviewOptions& options);

/// Writes BASE.mp4, then BASE.jpg; each appears when it is complete.
/// @throws DecodeError if the video cannot be read, DataError if a file cannot be written
void write_preview(const std::string& path, const std::string& base, const PreviewOptions& options);

}  // namespace cstp
