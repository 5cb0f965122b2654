#include "cstp/video/gpu_decoder.h"

#include <algorithm>
#include <condition_variable>
#include <mutex>
#include <utility>

#include "gpu_lease.h"

namespace cstp {

/// Which sessions there are: idle ones, the one used last at the back, and how many are made in all.
struct GpuDecoders::Impl {
  GpuOutput output;
  std::mutex mutex;
  std::condition_variable returned;
  std::vector<std::unique_ptr<GpuSession>> idle;
  int64_t made = 0;
  std::vector<std::shared_ptr<const StreamHeader>> refused;

  void one_less() {
    {
      const std::lock_guard lock(mutex);
      --made;
    }
    returned.notify_one();
  }
};

GpuDecoders::GpuDecoders(int device, void* used_on) : impl_(new Impl{}) {
  impl_->output = gpu_output(device, used_on);
  impl_->idle.push_back(std::make_unique<GpuSession>(impl_->output));
  impl_->made = 1;
}
GpuDecoders::~GpuDecoders() = default;

GpuDecoders::Lease::Lease(GpuDecoders& home, std::shared_ptr<const StreamHeader> header, bool wait)
    : home_(home), header_(std::move(header)) {
  Impl& pool = *home_.impl_;
  {
    std::unique_lock lock(pool.mutex);
    if (std::ranges::any_of(pool.refused, [this](const auto& refused) { return *refused == *header_; })) return;
    const auto free = [&pool] { return !pool.idle.empty() || pool.made < kMost; };
    if (wait) pool.returned.wait(lock, free);
    if (!free()) return;
    auto found = std::ranges::find_if(pool.idle, [this](const auto& session) { return session->is_for(*header_); });
    if (found == pool.idle.end() && pool.made == kMost) found = pool.idle.begin();  // the one unused for longest
    if (found != pool.idle.end()) {
      session_ = std::move(*found);
      pool.idle.erase(found);
      return;
    }
    ++pool.made;
  }
  try {
    session_ = std::make_unique<GpuSession>(pool.output);
  } catch (...) {
    pool.one_less();
    throw;
  }
}

GpuDecoders::Lease::~Lease() {
  if (!session_) return;
  Impl& pool = *home_.impl_;
  if (spoilt_) {
    session_.reset();
    pool.one_less();
    return;
  }
  {
    const std::lock_guard lock(pool.mutex);
    pool.idle.push_back(std::move(session_));
  }
  pool.returned.notify_one();
}

bool GpuDecoders::Lease::refuse() {
  spoilt_ = true;
  constexpr size_t kMostKept = 256;  // past it they are asked again
  Impl& pool = *home_.impl_;
  const std::lock_guard lock(pool.mutex);
  if (pool.refused.size() < kMostKept) pool.refused.push_back(header_);
  return pool.refused.size() == 1;
}

}  // namespace cstp
