/// One decoder of a GPU with a stream of its own, lent to a read.
#pragma once
#include <memory>
#include <string>

#include "cstp/video/gpu_decoder.h"
#include "ffmpeg.h"
#include "packet_source.h"

namespace cstp {

class GpuSession {
 public:
  /// @throws DeviceError
  GpuSession(int device, void* used_on);
  ~GpuSession();
  GpuSession(const GpuSession&) = delete;
  GpuSession& operator=(const GpuSession&) = delete;

  /// As new, for streams of this header.
  StreamDecoder& decoder_for(const std::string& path, const std::shared_ptr<const StreamHeader>& header);
  bool is_for(const StreamHeader& header) const { return header_ && *header_ == header; }

  /// Enqueues a copy of the picture's planes into memory of their own.
  /// @return false if the picture does not lie on the GPU as 8-bit 4:2:0. @throws DeviceError if memory ran out
  bool copy(const AVFrame& picture, Frame& frame, std::shared_ptr<uint8_t[]>& memory);
  /// Waits for the copies. @throws DeviceError
  void finish();

 private:
  struct Gpu;
  std::unique_ptr<Gpu> gpu_;  ///< before the decoder, which goes first
  std::shared_ptr<const StreamHeader> header_;
  std::unique_ptr<StreamDecoder> decoder_;
};

/// A session while a read uses it.
class GpuDecoders::Lease {
 public:
  /// One that was for this header before, if any is idle. @param wait for one to be free; else there may be none
  Lease(GpuDecoders& home, const StreamHeader& header, bool wait);
  ~Lease();
  Lease(const Lease&) = delete;
  Lease& operator=(const Lease&) = delete;

  explicit operator bool() const { return session_ != nullptr; }
  GpuSession& operator*() const { return *session_; }
  GpuSession* operator->() const { return session_.get(); }
  /// It complained: it is not used again.
  void spoil() { spoilt_ = true; }

 private:
  GpuDecoders& home_;
  std::unique_ptr<GpuSession> session_;
  bool spoilt_ = false;
};

}  // namespace cstp
