/// `--gpus 0-3` and `--ranks 4`: the program starts itself once per rank on this machine, without torchrun or MPI.
#pragma once
#include <cstdint>
#include <string>
#include <vector>

namespace cstp {

/// "0-2,5" -> 0, 1, 2, 5. @throws UsageError
std::vector<int64_t> parse_gpus(const std::string& text);

/// What the command line asks for; nothing asked: no ranks are started.
struct LaunchOptions {
  std::string gpus;   ///< "0-3": one rank per GPU
  int64_t ranks = 0;  ///< so many ranks on the CPU
  bool asked() const { return !gpus.empty() || ranks > 0; }
};

/// True where this process is one of those that launch_ranks() started.
bool is_launched();

/// Starts this program with its own command line once per rank, forwards SIGINT, SIGTERM and SIGUSR1, and joins the
/// exit codes: 0 if all are, 75 if a signal stopped them. A rank that dies ends the others.
/// @return the exit code of the first rank that failed
/// @throws DeviceError naming a rank that was killed, UsageError if another launcher is at work already
int launch_ranks(const LaunchOptions& options);

}  // namespace cstp
