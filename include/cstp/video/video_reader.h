/// Random access to the frames of a video file by number, on libav.
///
/// Frame k is the k-th frame that a plain sequential decode of the file gives, whatever the container says: B-frames,
/// packed B-frames, field coding, open groups of pictures, edit lists and wrong headers included. Frames are matched by
/// time stamp, never by counting after a seek.
#pragma once
#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include "cstp/video/frame.h"
#include "cstp/video/gpu_decoder.h"

namespace cstp {

struct ReaderOptions {
  double deadline = 20.0;  ///< seconds allowed for one open or one read; past it the video counts as bad
  int64_t threads = 1;     ///< FFmpeg threads; 1 is right where many readers run side by side
};

/// Gives memory for the planes of one frame; the reader fills it. Called once per distinct frame, after it was decoded.
using FrameMemory = std::function<uint8_t*(size_t bytes)>;

/// Not thread-safe; use one per thread.
class VideoReader {
 public:
  /// Opens the file and finds out which frames it has.
  /// @throws DecodeError (path, cause) if there is no video stream, no decodable frame, or the deadline passes.
  explicit VideoReader(const std::string& path, const ReaderOptions& options = {});
  ~VideoReader();
  VideoReader(VideoReader&&) noexcept;
  VideoReader& operator=(VideoReader&&) noexcept;

  const VideoInfo& info() const;

  /// Decodes the given frames in one pass.
  /// @param frames ascending frame numbers, each in [0, info().frames); repeats are allowed and share their planes
  /// @return one Frame per number, whose planes lie in memory given by `memory`
  /// @throws DecodeError naming path, frame and cause; the deadline counts from this call
  std::vector<Frame> read(std::span<const int64_t> frames, const FrameMemory& memory);

  /// The same by the GPU's decoder, into its memory. Done when it returns.
  /// @param wait for a decoder to be free
  /// @return nothing where read() is to be asked: the video is of a kind that the GPU does not take, its decoder
  /// complained, its memory for frames is full, or (without `wait`) all decoders are at work
  /// @throws DecodeError if the deadline passes; DeviceError
  std::optional<GpuFrames> read_on_gpu(std::span<const int64_t> frames, GpuDecoders& gpu, bool wait);

 private:
  struct Impl;
  std::unique_ptr<Impl> impl_;
};

}  // namespace cstp
