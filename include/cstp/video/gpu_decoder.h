/// Decoding on a GPU: its decoder (NVDEC) behind libavcodec, frames as NV12 in the GPU's memory.
///
/// H.264 decodes to the same bytes wherever it is decoded, so which side decodes a video changes nothing but the time.
/// What the GPU's decoder does not take, or complains about, is left to the CPU (VideoReader::read), which is also what
/// tells a damaged video.
#pragma once
#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "cstp/video/frame.h"

namespace cstp {

struct GpuFrames {
  std::vector<Frame> frames;                       ///< one per number that was asked for; equal numbers share planes
  std::vector<std::shared_ptr<uint8_t[]>> memory;  ///< of the planes
};

/// The decoders of one GPU, shared by all threads. Setting one up costs more than decoding a clip, so they are kept,
/// each with the stream's header that it is for.
class GpuDecoders {
 public:
  static constexpr int64_t kMost = 8;  ///< at once: seven serve best, and dozens exhaust the GPU's memory

  /// @param device CUDA's number of the GPU
  /// @param used_on the stream (cudaStream_t) whose work reads the frames: when their owner lets go of them, their
  /// memory is given back in that stream's order. It outlives the frames.
  /// @throws DeviceError if this build, the driver or this FFmpeg cannot decode there
  GpuDecoders(int device, void* used_on);
  ~GpuDecoders();

  class Lease;  ///< src/video/gpu_session.h

 private:
  friend class Lease;
  struct Impl;
  std::unique_ptr<Impl> impl_;
};

}  // namespace cstp
