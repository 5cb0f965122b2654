/// Decoding on a GPU: its decoder (NVDEC) behind libavcodec, frames as NV12 in the GPU's memory.
///
/// It is asked for H.264 of 8 bits and 4:2:0 in MP4 or Matroska alone, whose intact streams decode to the same bytes
/// wherever they are decoded: then which side decodes a video changes nothing but the time. A damaged stream may look
/// otherwise there: its decoder does not say what it made up.
#pragma once
#include <cstdint>
#include <memory>
#include <vector>

#include "cstp/video/frame.h"

namespace cstp {

struct GpuFrames {
  std::vector<Frame> frames;                       ///< one per number that was asked for; equal numbers share planes
  std::vector<std::shared_ptr<uint8_t[]>> memory;  ///< of the planes
};

/// Decoders of one GPU, shared by the threads of a loader. They are kept, each with the stream's header that it is for,
/// since others found that setting one up costs more than decoding a clip. Kept so is which headers were refused.
class GpuDecoders {
 public:
  /// At once. Not measured here: others found seven best, and that dozens exhaust a GPU's memory.
  static constexpr int64_t kMost = 8;

  /// @param device CUDA's number of the GPU
  /// @param used_on the stream (cudaStream_t) whose work reads the frames: when their owner lets go of them, their
  /// memory is given back in that stream's order. It outlives the frames. All frames together take a quarter of the
  /// GPU's memory at most, and half of what is free now.
  /// @throws DeviceError if this build, the driver or this FFmpeg cannot decode there
  GpuDecoders(int device, void* used_on);
  ~GpuDecoders();

  class Lease;  ///< src/video/gpu_lease.h

 private:
  struct Impl;
  std::unique_ptr<Impl> impl_;
};

}  // namespace cstp
