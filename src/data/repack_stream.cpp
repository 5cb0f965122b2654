#include "repack_stream.h"

#include <algorithm>
#include <chrono>
#include <iterator>
#include <utility>

#include "cstp/core/error.h"

namespace cstp {

RepackStream::RepackStream(const PackSetup& setup, const std::vector<std::string>& paths, int64_t first)
    : setup_(setup), paths_(paths), front_(first), next_(first) {
  const int64_t cores = std::max<int64_t>(1, std::thread::hardware_concurrency());
  const int64_t threads = std::min<int64_t>(setup.workers > 0 ? setup.workers : cores, std::ssize(paths) - first);
  ahead_ = 4 * threads + 4;  // a long video holds up those behind it, which wait in memory
  for (int64_t i = 0; i < threads; ++i) workers_.emplace_back([this] { work(); });
}

RepackStream::~RepackStream() {
  {
    const std::lock_guard lock(mutex_);
    stopping_ = true;
  }
  room_.notify_all();
}

std::optional<RepackStream::Item> RepackStream::take() {
  std::unique_lock lock(mutex_);
  while (!done_.contains(front_)) {
    if (setup_.stop && setup_.stop()) return std::nullopt;
    ready_.wait_for(lock, std::chrono::milliseconds(100));
  }
  if (setup_.stop && setup_.stop()) return std::nullopt;
  Item item = std::move(done_.extract(front_++).mapped());
  room_.notify_all();
  return item;
}

void RepackStream::work() {
  std::unique_lock lock(mutex_);
  for (;;) {
    room_.wait(lock, [this] { return stopping_ || next_ >= std::ssize(paths_) || next_ < front_ + ahead_; });
    if (stopping_ || next_ >= std::ssize(paths_)) return;
    const int64_t mine = next_++;
    lock.unlock();
    Item item = repack(paths_[static_cast<size_t>(mine)]);
    lock.lock();
    done_.emplace(mine, std::move(item));
    ready_.notify_one();
  }
}

RepackStream::Item RepackStream::repack(const std::string& path) {
  Item item;
  try {
    item.video = repack_video(path, {.short_side = setup_.settings.short_side,
                                     .gop = setup_.settings.gop,
                                     .quality = setup_.settings.quality,
                                     .deadline = setup_.deadline,
                                     .stop = [this] { return stopping_.load(); }});
  } catch (const DecodeError& error) {
    item.bad = error.what();
  } catch (...) {
    item.failure = std::current_exception();
  }
  return item;
}

}  // namespace cstp
