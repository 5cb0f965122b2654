/// A GPU's decoder while a read uses it.
#pragma once
#include <memory>

#include "cstp/video/gpu_decoder.h"
#include "gpu_session.h"

namespace cstp {

class GpuDecoders::Lease {
 public:
  /// One that was for this header before, if any is idle; none if the header was refused before.
  /// @param wait for one to be free; else there may be none
  Lease(GpuDecoders& home, std::shared_ptr<const StreamHeader> header, bool wait);
  ~Lease();
  Lease(const Lease&) = delete;
  Lease& operator=(const Lease&) = delete;

  explicit operator bool() const { return session_ != nullptr; }
  GpuSession* operator->() const { return session_.get(); }
  /// What it did is not to be trusted: it is not used again.
  void spoil() { spoilt_ = true; }
  /// And no other is asked for this header. @return whether it is the first header that was refused
  bool refuse();

 private:
  GpuDecoders& home_;
  std::shared_ptr<const StreamHeader> header_;
  std::unique_ptr<GpuSession> session_;
  bool spoilt_ = false;
};

}  // namespace cstp
