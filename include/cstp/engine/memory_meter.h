/// Peak memory of tensors on the CPU, measured while it lives: what a step needs, for the estimate of --dry-run.
#pragma once
#include <cstdint>
#include <memory>

namespace cstp {

class MemoryMeter {
 public:
  MemoryMeter();
  ~MemoryMeter();
  int64_t peak_bytes() const;  ///< most bytes held at once, of those taken since the meter was made

 private:
  struct Impl;
  std::unique_ptr<Impl> impl_;
};

}  // namespace cstp
