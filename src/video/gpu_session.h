/// One decoder of a GPU with a stream of its own.
#pragma once
#include <atomic>
#include <memory>
#include <string>

#include "cstp/video/frame.h"
#include "ffmpeg.h"
#include "packet_source.h"

namespace cstp {

/// Where frames go: shared by the sessions of a GPU.
struct GpuOutput {
  int device = 0;
  void* used_on = nullptr;                      ///< cudaStream_t
  int64_t budget = 0;                           ///< bytes of frames at once
  std::shared_ptr<std::atomic<int64_t>> taken;  ///< of it
};
/// @throws DeviceError if there is no such GPU, or its driver has no decoder
GpuOutput gpu_output(int device, void* used_on);

class GpuSession {
 public:
  /// @throws DeviceError
  explicit GpuSession(const GpuOutput& output);
  ~GpuSession();
  GpuSession(const GpuSession&) = delete;
  GpuSession& operator=(const GpuSession&) = delete;

  /// As new, for streams of this header.
  StreamDecoder& decoder_for(const std::string& path, const std::shared_ptr<const StreamHeader>& header);
  bool is_for(const StreamHeader& header) const { return header_ && *header_ == header; }

  enum class Copied { done, not_taken, no_room };
  /// Enqueues a copy of the picture's planes into memory of their own.
  /// @return not_taken: the picture does not lie on the GPU as 8-bit 4:2:0. no_room: others hold the budget, or the
  /// GPU's memory
  Copied copy(const AVFrame& picture, Frame& frame, std::shared_ptr<uint8_t[]>& memory);
  /// Waits for the copies. @throws DeviceError
  void finish();

 private:
  struct Gpu;
  std::unique_ptr<Gpu> gpu_;  ///< before the decoder, which goes first
  std::shared_ptr<const StreamHeader> header_;
  std::unique_ptr<StreamDecoder> decoder_;
};

}  // namespace cstp
