#include "rank_group.h"

#include <c10/util/Exception.h>
#include <torch/csrc/distributed/c10d/PrefixStore.hpp>
#include <torch/csrc/distributed/c10d/TCPStore.hpp>

#include <cstdlib>

#include "cstp/core/error.h"
#include "cstp/core/log.h"
#include "cstp/core/text.h"

namespace cstp {
namespace {

using Clock = std::chrono::steady_clock;
using std::chrono::milliseconds;
constexpr milliseconds kBeat{1000};
constexpr milliseconds kPoll{100};

std::vector<uint8_t> bytes_of(const std::string& text) { return {text.begin(), text.end()}; }
std::string text_of(const std::vector<uint8_t>& bytes) { return {bytes.begin(), bytes.end()}; }

StoreHandle connect(const LaunchPlace& place, bool serve, milliseconds timeout) {
  c10d::TCPStoreOptions options;
  options.port = static_cast<uint16_t>(place.port);
  options.isServer = serve;
  options.waitWorkers = false;
  options.timeout = timeout;
  // torchrun runs one meeting point for all attempts and world sizes, so the keys of each are its own.
  return c10::make_intrusive<c10d::PrefixStore>(cat("cstp/", place.attempt, "/", place.size, "/"),
                                                c10::make_intrusive<c10d::TCPStore>(place.host, options));
}

/// LibTorch appends a trace of its own; people want the first line.
std::string first_line(const char* what) {
  const std::string_view text(what);
  return std::string(text.substr(0, text.find('\n')));
}

}  // namespace

RankGroup::RankGroup(const LaunchPlace& place, const JoinOptions& options) : place_(place), options_(options) {
  if (!options.cuda && !has_gloo()) add_gloo({}, {}, place, {});
  if (options.cuda && !has_nccl()) add_nccl({}, {}, place, {});
  open_store();
  meet_all();
  watcher_ = std::thread([this] { watch(); });
  try {
    group_ =
        c10::make_intrusive<c10d::ProcessGroup>(store_, static_cast<int>(place.rank), static_cast<int>(place.size));
    if (has_gloo()) add_gloo(group_, store_, place, options.exchange);
    if (options.cuda) add_nccl(group_, store_, place, options.exchange);
    cuda_ = options.cuda;
    group_->setGroupName("cstp");
  } catch (const std::exception& error) {
    const std::string verdict = verdict_on_failure();
    stop_watch();
    throw DeviceError(cat("rank ", place.rank, " of ", place.size, " could not be connected with the others: ",
                          verdict.empty() ? first_line(error.what()) : verdict));
  }
}

RankGroup::~RankGroup() { leave(); }

void RankGroup::open_store() {
  const bool serve = place_.rank == 0 && !place_.hosted;
  try {
    store_ = connect(place_, serve, options_.join);
    pulse_ = connect(place_, false, options_.silence);
  } catch (const std::exception& error) {
    const std::string where = cat(place_.host, ":", place_.port);
    throw DeviceError(
        serve ? cat("rank 0 cannot keep the ranks' meeting point at ", where, " (", first_line(error.what()),
                    "); is the port taken? set MASTER_PORT to a free one for all ranks")
              : cat("rank ", place_.rank, " of ", place_.size, " did not reach the ranks' meeting point at ", where,
                    " (", first_line(error.what()), "); is rank 0 running, and MASTER_ADDR right?"));
  }
}

void RankGroup::meet_all() {
  const auto end = Clock::now() + options_.join;
  store_->set(alive_key(place_.rank), bytes_of("0"));
  std::vector<std::string> keys;
  for (int64_t rank = 0; rank < place_.size; ++rank) keys.push_back(alive_key(rank));
  if (place_.rank == 0) {
    while (!store_->check(keys)) {
      if (Clock::now() > end) {
        std::vector<std::string> missing;
        for (int64_t rank = 0; rank < place_.size && missing.size() < 20; ++rank) {
          if (!store_->check({keys[static_cast<size_t>(rank)]})) missing.push_back(std::to_string(rank));
        }
        throw DeviceError(cat("rank ", join(missing, ", "), " of ", place_.size, " did not come within ",
                              options_.join.count(), " s; did the launcher start all of them?"));
      }
      std::this_thread::sleep_for(kPoll);
    }
    store_->set("met", bytes_of("yes"));
  } else {
    while (!store_->check({"met"})) {
      if (Clock::now() > end) {
        throw DeviceError(cat("rank ", place_.rank, " waited ", options_.join.count(), " s for the other ranks of ",
                              place_.size, "; rank 0 says which did not come"));
      }
      std::this_thread::sleep_for(kPoll);
    }
  }
  pulses_.assign(static_cast<size_t>(place_.size), {"0", Clock::now()});
}

/// Ranks [first, last) that were silent for too long, as a sentence; "" if there are none.
std::string RankGroup::find_silent(int64_t first, int64_t last) {
  std::vector<std::string> keys;
  for (int64_t rank = first; rank < last; ++rank) keys.push_back(alive_key(rank));
  const auto values = pulse_->multiGet(keys);
  const auto now = Clock::now();
  std::vector<std::string> silent;
  for (int64_t rank = first; rank < last; ++rank) {
    Pulse& pulse = pulses_[static_cast<size_t>(rank)];
    const std::string value = text_of(values[static_cast<size_t>(rank - first)]);
    if (value != pulse.value) pulse = {value, now};
    if (rank != place_.rank && now - pulse.seen > options_.silence && !pulse_->check({left_key(rank)})) {
      silent.push_back(std::to_string(rank));
    }
  }
  if (silent.empty()) return "";
  return cat(silent.size() > 1 ? "ranks " : "rank ", join(silent, ", "), " of ", place_.size,
             silent.size() > 1 ? " are" : " is", " lost: no sign of life for ", options_.silence.count(),
             " s (killed, or the machine is gone)");
}

void RankGroup::watch() {
  std::unique_lock lock(mutex_);
  int64_t beat = 0;
  while (!stopping_) {
    lock.unlock();
    std::string verdict;
    try {
      pulse_->set(alive_key(place_.rank), bytes_of(std::to_string(++beat)));
      std::string silent = place_.rank == 0 ? find_silent(0, place_.size) : find_silent(0, 1);
      if (!silent.empty()) pulse_->compareSet("verdict", bytes_of(""), bytes_of(silent));
      if (pulse_->check({"verdict"})) verdict = text_of(pulse_->get("verdict"));
    } catch (const std::exception&) {
      verdict = cat("rank 0 of ", place_.size, " is lost: the ranks' meeting point at ", place_.host, ":", place_.port,
                    " does not answer any more");
    }
    lock.lock();
    if (!verdict.empty()) {
      verdict_ = verdict;
      changed_.notify_all();
      // The training thread finds out by itself if its exchange breaks; one that is stuck in it does not.
      changed_.wait_for(lock, options_.grace, [this] { return stopping_ || explaining_; });
      if (stopping_ || explaining_) return;
      lock.unlock();
      log::status_line("");
      log::error(verdict, "; the same command continues from the last checkpoint");
      if (place_.rank == 0 && !place_.hosted) std::this_thread::sleep_for(3 * kBeat);  // others read the verdict here
      std::_Exit(static_cast<int>(ExitCode::device));
    }
    changed_.wait_for(lock, kBeat, [this] { return stopping_; });
  }
}

std::string RankGroup::verdict_on_failure() {
  std::unique_lock lock(mutex_);
  explaining_ = !verdict_.empty();
  changed_.wait_for(lock, options_.silence + 5 * kBeat, [this] { return stopping_ || !verdict_.empty(); });
  explaining_ = true;
  changed_.notify_all();
  return verdict_;
}

void RankGroup::report_failure(const std::string& message) {
  try {
    store_->compareSet("verdict", bytes_of(""),
                       bytes_of(cat("rank ", place_.rank, " of ", place_.size, " ended with an error: ", message)));
  } catch (const std::exception&) {
    // The meeting point is gone: nobody is left to be told, and the rank's own error is on its way.
  }
}

void RankGroup::stop_watch() {
  {
    const std::lock_guard lock(mutex_);
    stopping_ = true;
  }
  changed_.notify_all();
  if (watcher_.joinable()) watcher_.join();
}

void RankGroup::leave() {
  if (left_) return;
  left_ = true;
  try {
    store_->set(left_key(place_.rank), bytes_of("yes"));
    if (place_.rank == 0 && !place_.hosted) {
      // The meeting point lives in this process: whoever is still alive reads the end of the run from it.
      std::vector<std::string> keys;
      for (int64_t rank = 0; rank < place_.size; ++rank) keys.push_back(left_key(rank));
      const auto broken = [this] {
        const std::lock_guard lock(mutex_);
        return !verdict_.empty();
      };
      auto end = Clock::now() + std::chrono::minutes(30);
      for (bool known = false; Clock::now() < end && !store_->check(keys); std::this_thread::sleep_for(kPoll)) {
        if (!known && (known = broken())) end = Clock::now() + 5 * kBeat;  // the lost never leave
      }
    }
  } catch (const std::exception&) {
    // As above: without a meeting point there is nobody to take leave of.
  }
  stop_watch();
  group_.reset();
}

World join_world(const LaunchPlace& place, const JoinOptions& options) {
  World world;
  if (place.size == 1) return world;
  world.rank = place.rank;
  world.size = place.size;
  world.local_rank = place.local_rank;
  world.local_size = place.local_size;
  world.group = std::make_shared<RankGroup>(place, options);
  return world;
}

void run_as_rank(const World& world, const std::function<void()>& body) {
  if (world.size == 1) return body();
  RankGroup& group = *world.group;
  const auto fail = [&group](const std::string& message) {
    group.report_failure(message);
    group.leave();
  };
  try {
    body();
  } catch (const Error& error) {
    fail(error.what());
    throw;
  } catch (const std::exception& error) {
    // LibTorch's own errors are this rank's, but for those of its exchanges; Gloo's are no errors of LibTorch.
    const bool own =
        dynamic_cast<const c10::Error*>(&error) != nullptr && dynamic_cast<const c10::DistError*>(&error) == nullptr;
    const bool bug = dynamic_cast<const std::logic_error*>(&error) != nullptr;
    const std::string verdict = own || bug ? "" : group.verdict_on_failure();
    if (verdict.empty()) {
      fail(first_line(error.what()));
      throw;
    }
    group.leave();
    throw DeviceError(cat(verdict, "; the same command continues from the last checkpoint"));
  }
  group.leave();
}

}  // namespace cstp
