/// Writes a video anew: small, and quick to decode from anywhere. What `cstp data pack` does to each video.
///
/// Frame k of the result shows what frame k of VideoReader shows, upright (a display rotation is carried out, not
/// carried along), scaled by area averages, with its YCbCr matrix and range as they were. H.264 in MP4: libx264, preset
/// medium, tune fastdecode (no CABAC, no in-loop deblocking), no B-frames, a key frame every so many frames and nowhere
/// else, the index in front. The sound is left out.
#pragma once
#include <cstdint>
#include <functional>
#include <string>
#include <utility>

#include "cstp/video/frame.h"

namespace cstp {

struct RepackOptions {
  int64_t short_side = 128;                   ///< pixels, even; a smaller video keeps its size
  int64_t gop = 8;                            ///< frames from key frame to key frame; 1: every frame is one
  int64_t quality = 18;                       ///< x264's crf
  double deadline = 60;                       ///< seconds for decoding a stretch of the video
  int64_t stretch_bytes = int64_t{64} << 20;  ///< of planes decoded at once
  std::function<bool()> stop;                 ///< asked between stretches; true throws RepackStopped
};

struct RepackStopped {};

struct RepackedVideo {
  std::string bytes;  ///< of the MP4 file
  VideoInfo source;
  int64_t width = 0, height = 0;
};

/// The size of the result: the shorter side becomes `short_side` if it is longer than that, the other one follows; both
/// are even.
std::pair<int64_t, int64_t> repacked_size(const VideoInfo& source, int64_t short_side);

/// The same bytes on every call, for the same libraries. Thread-safe.
/// @throws DecodeError if the video cannot be read or written; DataError if this FFmpeg has no libx264
RepackedVideo repack_video(const std::string& path, const RepackOptions& options);

}  // namespace cstp
