/// Runs a body on ranks that are forked processes of this machine. Nothing may use LibTorch's thread pools before.
#pragma once
#include <gtest/gtest.h>
#include <sys/wait.h>
#include <torch/torch.h>
#include <unistd.h>

#include <cstdio>
#include <filesystem>
#include <functional>
#include <string>
#include <utility>
#include <vector>

#include "cstp/core/error.h"
#include "cstp/core/log.h"
#include "cstp/core/text.h"
#include "cstp/distributed/collectives.h"
#include "cstp/distributed/ranks.h"

namespace cstp {

/// A folder for what ranks write, removed at the end.
class RankFolder {
 public:
  RankFolder() {
    static int count = 0;
    folder_ = std::filesystem::temp_directory_path() / cat("cstp_ranks_", ::getpid(), "_", count++);
    std::filesystem::create_directories(folder_);
  }
  ~RankFolder() { std::filesystem::remove_all(folder_); }
  RankFolder(const RankFolder&) = delete;
  RankFolder& operator=(const RankFolder&) = delete;
  std::string path(const std::string& name) const { return (folder_ / name).string(); }

 private:
  std::filesystem::path folder_;
};

struct RankEnd {
  int code = 0;         ///< exit code, or 128 + signal
  std::string message;  ///< what the rank threw
  std::string log;      ///< its stderr
};

/// Forks `size` ranks; one rank has no group. Each ends with the code of what it throws.
inline std::vector<RankEnd> fork_ranks(int64_t size, const std::function<void(const World&)>& body,
                                       const JoinOptions& options = {}) {
  const RankFolder folder;
  const int64_t port = free_port();
  std::vector<pid_t> children;
  for (int64_t rank = 0; rank < size; ++rank) {
    const pid_t child = ::fork();
    if (child == 0) {
      ::alarm(240);  // a test that hangs fails
      torch::set_num_threads(1);
      if (std::freopen(folder.path(cat(rank, ".log")).c_str(), "w", stderr) == nullptr) ::_exit(99);
      log::configure(log::Level::error, static_cast<int>(rank));
      const auto end = [&](int code, const std::string& message) {
        write_file_atomically(folder.path(std::to_string(rank)), message);
        std::fflush(stderr);
        ::_exit(code);
      };
      try {
        LaunchPlace place;
        place.rank = place.local_rank = rank;
        place.size = place.local_size = size;
        place.port = port;
        const World world = join_world(place, options);
        run_as_rank(world, [&] { body(world); });
      } catch (const Error& error) {
        end(static_cast<int>(error.code()), error.what());
      } catch (const std::exception& error) {
        end(1, error.what());
      }
      end(0, "");
    }
    children.push_back(child);
  }
  std::vector<RankEnd> ends;
  for (int64_t rank = 0; rank < size; ++rank) {
    int status = 0;
    ::waitpid(children[static_cast<size_t>(rank)], &status, 0);
    const std::string file = folder.path(std::to_string(rank));
    ends.push_back({WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status),
                    std::filesystem::exists(file) ? read_text_file(file) : "", read_text_file(file + ".log")});
  }
  return ends;
}

/// All ranks must end well.
inline void on_ranks(int64_t size, const std::function<void(const World&)>& body) {
  const std::vector<RankEnd> ends = fork_ranks(size, body);
  for (size_t rank = 0; rank < ends.size(); ++rank) {
    EXPECT_EQ(ends[rank].code, 0) << "rank " << rank << " of " << size << ": " << ends[rank].message << "\n"
                                  << ends[rank].log;
  }
}

/// For bodies, which have no EXPECT of their own: a rank's failure is what it throws. (A logic error: others may be
/// taken for a broken exchange, which waits for the name of a lost rank.)
inline void require(bool condition, const std::string& text) {
  if (!condition) throw std::logic_error(text);
}

inline void require_close(const at::Tensor& a, const at::Tensor& b, double tolerance, const std::string& what) {
  require(a.sizes() == b.sizes(), cat(what, ": shapes ", a.sizes(), " and ", b.sizes()));
  if (a.numel() == 0) return;
  const double difference = (a.to(torch::kFloat64) - b.to(torch::kFloat64)).abs().max().item<double>();
  const double scale = 1 + b.to(torch::kFloat64).abs().max().item<double>();
  require(difference <= tolerance * scale, cat(what, ": differs by ", difference));
}

#define SKIP_WITHOUT_GLOO() \
  if (!has_gloo()) GTEST_SKIP() << "this build has no Gloo headers, so no ranks on CPUs"

}  // namespace cstp
