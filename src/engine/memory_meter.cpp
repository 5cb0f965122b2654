#include "cstp/engine/memory_meter.h"

#include <c10/core/Allocator.h>
#include <c10/util/ThreadLocalDebugInfo.h>

#include <algorithm>
#include <atomic>

namespace cstp {
namespace {

class Recorder final : public c10::MemoryReportingInfoBase {
 public:
  void reportMemoryUsage(void*, int64_t size, size_t, size_t, c10::Device device) override {
    if (!device.is_cpu()) return;
    const int64_t now = held_ += size;
    int64_t peak = peak_.load();
    while (now > peak && !peak_.compare_exchange_weak(peak, now)) {}
  }
  bool memoryProfilingEnabled() const override { return true; }
  int64_t peak() const { return peak_; }

 private:
  std::atomic<int64_t> held_{0}, peak_{0};
};

}  // namespace

struct MemoryMeter::Impl {
  std::shared_ptr<Recorder> recorder = std::make_shared<Recorder>();
  c10::DebugInfoGuard guard{c10::DebugInfoKind::PROFILER_STATE, recorder};
};

MemoryMeter::MemoryMeter() : impl_(std::make_unique<Impl>()) {}
MemoryMeter::~MemoryMeter() = default;
int64_t MemoryMeter::peak_bytes() const { return impl_->recorder->peak(); }

}  // namespace cstp
