#include "cstp/cli/launcher.h"

#include <fcntl.h>
#include <signal.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <charconv>
#include <chrono>
#include <cstdlib>
#include <cstring>
#include <map>
#include <optional>

#include "cstp/core/error.h"
#include "cstp/core/log.h"
#include "cstp/core/text.h"
#include "cstp/distributed/ranks.h"

namespace cstp {
namespace {

using Clock = std::chrono::steady_clock;
constexpr const char* kMark = "CSTP_LAUNCHED";
/// The others of a dead rank find out by themselves, or are ended after this long.
constexpr std::chrono::seconds kPatience{30};
constexpr std::array kForwarded = {SIGINT, SIGTERM, SIGUSR1};

std::optional<int64_t> whole(std::string_view digits) {
  int64_t value = 0;
  const auto read = std::from_chars(digits.data(), digits.data() + digits.size(), value);
  if (digits.empty() || read.ec != std::errc() || read.ptr != digits.data() + digits.size()) return std::nullopt;
  return value;
}

/// The arguments of this process, as they were given.
std::vector<std::string> own_arguments() {
  const std::string all = read_text_file("/proc/self/cmdline");
  std::vector<std::string> arguments;
  for (size_t at = 0; at < all.size();) {
    const size_t end = all.find('\0', at);
    arguments.push_back(all.substr(at, end - at));
    if (end == std::string::npos) break;
    at = end + 1;
  }
  return arguments;
}

/// Which of the visible GPUs: numbers count among those that CUDA_VISIBLE_DEVICES leaves.
std::string visible_gpus(const std::vector<int64_t>& wanted) {
  const char* given = std::getenv("CUDA_VISIBLE_DEVICES");
  std::vector<std::string> names;
  const std::vector<std::string> visible = given != nullptr ? split(given, ',') : std::vector<std::string>();
  for (const int64_t gpu : wanted) {
    if (given != nullptr && gpu >= std::ssize(visible)) {
      throw UsageError(cat("--gpus: there is no GPU ", gpu, " among CUDA_VISIBLE_DEVICES=", given));
    }
    names.push_back(given != nullptr ? visible[static_cast<size_t>(gpu)] : std::to_string(gpu));
  }
  return join(names, ",");
}

class Launch {
 public:
  explicit Launch(std::map<std::string, std::string> shared, int64_t ranks)
      : shared_(std::move(shared)), ranks_(ranks) {}

  int run() {
    sigset_t watched;
    sigemptyset(&watched);
    for (const int signal : kForwarded) sigaddset(&watched, signal);
    sigaddset(&watched, SIGCHLD);
    sigprocmask(SIG_BLOCK, &watched, &before_);
    for (int64_t rank = 0; rank < ranks_; ++rank) start(rank);
    while (!children_.empty()) {
      const timespec tick{.tv_sec = 0, .tv_nsec = 200'000'000};
      const int signal = ::sigtimedwait(&watched, nullptr, &tick);
      if (signal > 0 && signal != SIGCHLD) send(signal);
      collect();
      if (code_ && Clock::now() > patience_) send(SIGKILL);
    }
    sigprocmask(SIG_SETMASK, &before_, nullptr);
    if (!message_.empty()) throw DeviceError(message_);
    return code_.value_or(0);
  }

 private:
  void start(int64_t rank) {
    std::map<std::string, std::string> variables = shared_;
    variables["RANK"] = variables["LOCAL_RANK"] = std::to_string(rank);
    const std::vector<std::string> arguments = own_arguments();
    std::vector<char*> argv;
    for (const std::string& argument : arguments) argv.push_back(const_cast<char*>(argument.c_str()));
    argv.push_back(nullptr);
    const pid_t parent = ::getpid();
    const pid_t child = ::fork();
    if (child < 0) throw DeviceError(cat("rank ", rank, " could not be started (", std::strerror(errno), ")"));
    if (child == 0) {
      ::setpgid(0, 0);  // a terminal's Ctrl-C reaches the launcher alone, which forwards it once
      ::prctl(PR_SET_PDEATHSIG, SIGTERM);
      if (::getppid() != parent) ::_exit(static_cast<int>(ExitCode::device));
      for (const auto& [name, value] : variables) ::setenv(name.c_str(), value.c_str(), 1);
      ::sigprocmask(SIG_SETMASK, &before_, nullptr);
      ::execv("/proc/self/exe", argv.data());
      ::_exit(127);
    }
    children_[child] = rank;
  }

  void send(int signal) const {
    for (const auto& [pid, rank] : children_) ::kill(pid, signal);
  }

  void collect() {
    int status = 0;
    for (pid_t pid = 0; !children_.empty() && (pid = ::waitpid(-1, &status, WNOHANG)) > 0;) {
      const auto found = children_.find(pid);
      if (found == children_.end()) continue;
      const int64_t rank = found->second;
      children_.erase(found);
      if (WIFEXITED(status) && WEXITSTATUS(status) == 0) continue;
      if (code_) continue;  // a consequence of the first
      patience_ = Clock::now() + kPatience;
      if (WIFSIGNALED(status)) {
        code_ = static_cast<int>(ExitCode::device);
        message_ = cat("rank ", rank, " of ", ranks_, " was killed by signal ", WTERMSIG(status), " (",
                       ::strsignal(WTERMSIG(status)),
                       "), so the others were ended; the same command continues from the "
                       "last checkpoint");
        log::error("rank ", rank, " of ", ranks_, " was killed by signal ", WTERMSIG(status), "; the others are ended");
      } else {
        code_ = WEXITSTATUS(status);
      }
    }
  }

  std::map<std::string, std::string> shared_;
  int64_t ranks_;
  sigset_t before_{};
  std::map<pid_t, int64_t> children_;
  std::optional<int> code_;  ///< of the first that failed
  std::string message_;
  Clock::time_point patience_;
};

}  // namespace

std::vector<int64_t> parse_gpus(const std::string& text) {
  const auto refuse = [&text](const std::string& why) {
    throw UsageError(cat("--gpus ", text, ": ", why, "; wanted numbers and ranges, for example 0-3 or 0,2"));
  };
  std::vector<int64_t> gpus;
  for (const std::string& part : split(text, ',')) {
    const auto dash = part.find('-');
    const auto first = whole(part.substr(0, dash));
    const auto last = dash == std::string::npos ? first : whole(part.substr(dash + 1));
    if (!first || !last || *last < *first || *first < 0 || *last > 1023) refuse(cat("'", part, "' names no GPUs"));
    for (int64_t gpu = *first; gpu <= *last; ++gpu) {
      if (std::find(gpus.begin(), gpus.end(), gpu) != gpus.end()) refuse(cat("GPU ", gpu, " stands twice"));
      gpus.push_back(gpu);
    }
  }
  return gpus;
}

bool is_launched() { return std::getenv(kMark) != nullptr; }

int launch_ranks(const LaunchOptions& options) {
  if (!options.gpus.empty() && options.ranks > 0) {
    throw UsageError(
        "--gpus and --ranks cannot be given together: --gpus starts one rank per GPU, --ranks so many on "
        "the CPU");
  }
  if (const auto place = launch_place(); place && place->size > 1) {
    throw UsageError(cat(options.gpus.empty() ? "--ranks" : "--gpus", " starts ranks itself, but ", place->launcher,
                         " has started ", place->size, " already; leave the option out under it"));
  }
  std::map<std::string, std::string> shared;
  int64_t ranks = options.ranks;
  if (!options.gpus.empty()) {
    const std::vector<int64_t> gpus = parse_gpus(options.gpus);
    ranks = std::ssize(gpus);
    shared["CUDA_VISIBLE_DEVICES"] = visible_gpus(gpus);
  } else {
    shared["CUDA_VISIBLE_DEVICES"] = "";
  }
  shared["WORLD_SIZE"] = shared["LOCAL_WORLD_SIZE"] = std::to_string(ranks);
  shared["MASTER_ADDR"] = "127.0.0.1";
  shared["MASTER_PORT"] = std::to_string(free_port());
  shared[kMark] = "1";
  return Launch(shared, ranks).run();
}

}  // namespace cstp
