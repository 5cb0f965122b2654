/// One rank's ends of what binds a world: the meeting point, the process group, and the watch over the others.
#pragma once
#include <torch/csrc/distributed/c10d/ProcessGroup.hpp>
#include <torch/csrc/distributed/c10d/Store.hpp>

#include <atomic>
#include <condition_variable>
#include <exception>
#include <mutex>
#include <string>
#include <thread>
#include <vector>

#include "cstp/distributed/ranks.h"

namespace cstp {

using StoreHandle = c10::intrusive_ptr<c10d::Store>;
using GroupHandle = c10::intrusive_ptr<c10d::ProcessGroup>;

/// Adds the backend to the group. @throws DeviceError where the build has none
void add_gloo(const GroupHandle& group, const StoreHandle& store, const LaunchPlace& place,
              std::chrono::milliseconds timeout);
void add_nccl(const GroupHandle& group, const StoreHandle& store, const LaunchPlace& place,
              std::chrono::milliseconds timeout);

class RankGroup {
 public:
  RankGroup(const LaunchPlace& place, const JoinOptions& options);
  ~RankGroup();
  RankGroup(const RankGroup&) = delete;
  RankGroup& operator=(const RankGroup&) = delete;

  const GroupHandle& process_group() const { return group_; }
  bool has_backend(c10::DeviceType device) const { return device == c10::kCUDA ? cuda_ : has_gloo(); }
  /// Where small values are exchanged.
  c10::Device home() const { return has_gloo() ? c10::Device(c10::kCPU) : c10::Device(c10::kCUDA); }

  /// An exchange broke: waits for the verdict. @return the sentence that names the lost rank, "" if nobody is lost
  std::string verdict_on_failure();
  /// Tells the others that this rank ends, and why.
  void report_failure(const std::string& message);
  /// No more signs of life; rank 0 lets the others go first. Repeating it does nothing.
  void leave();

 private:
  void open_store();
  void meet_all();
  void watch();
  std::string find_silent(int64_t first, int64_t last);
  void stop_watch();
  std::string alive_key(int64_t rank) const { return "alive/" + std::to_string(rank); }
  std::string left_key(int64_t rank) const { return "left/" + std::to_string(rank); }

  struct Pulse {
    std::string value;
    std::chrono::steady_clock::time_point seen;
  };

  LaunchPlace place_;
  JoinOptions options_;
  bool cuda_ = false;
  StoreHandle store_;  ///< of the main thread
  StoreHandle pulse_;  ///< of the watch: a connection of its own, since a store's calls wait for each other
  GroupHandle group_;
  std::vector<Pulse> pulses_;
  std::thread watcher_;
  std::mutex mutex_;
  std::condition_variable changed_;
  bool stopping_ = false;  ///< guarded by mutex_
  bool explaining_ = false;
  std::string verdict_;
  bool left_ = false;
};

/// Runs an exchange of the group. Nothing of it may be skipped by one rank.
template <class Body>
auto exchange(const World& world, const Body& body) {
  return body(*world.group->process_group());
}

}  // namespace cstp
