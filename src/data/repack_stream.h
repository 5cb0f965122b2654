/// Workers that repack videos side by side and give them back in order.
#pragma once
#include <atomic>
#include <condition_variable>
#include <cstdint>
#include <exception>
#include <map>
#include <mutex>
#include <optional>
#include <string>
#include <thread>
#include <vector>

#include "cstp/data/pack.h"
#include "cstp/video/repack.h"

namespace cstp {

class RepackStream {
 public:
  struct Item {
    std::optional<RepackedVideo> video;
    std::string bad;             ///< else why there is none
    std::exception_ptr failure;  ///< else what ends the call
  };

  /// @param setup, @param paths outlive this object; @param first number of the first video
  RepackStream(const PackSetup& setup, const std::vector<std::string>& paths, int64_t first);
  ~RepackStream();  ///< waits for the videos under way, up to a stretch of each
  RepackStream(const RepackStream&) = delete;
  RepackStream& operator=(const RepackStream&) = delete;

  /// The next video in order; nothing once the caller's stop() says so. Requires that there is one.
  std::optional<Item> take();

 private:
  void work();
  Item repack(const std::string& path);

  const PackSetup& setup_;
  const std::vector<std::string>& paths_;
  std::mutex mutex_;
  std::condition_variable room_, ready_;
  std::map<int64_t, Item> done_;  ///< by number, until it is taken
  int64_t front_, next_, ahead_ = 0;
  std::atomic<bool> stopping_ = false;
  std::vector<std::jthread> workers_;  ///< last: joined before the rest goes
};

}  // namespace cstp
