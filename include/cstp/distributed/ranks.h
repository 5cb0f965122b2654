/// From what the launcher says to a World: torchrun's variables, then MPI's, then Slurm's; and what becomes of the
/// others when a rank is lost.
///
/// Every rank shows a sign of life once a second at the meeting point (a TCPStore). Rank 0 watches all, all watch rank
/// 0. Silence, or an error that a rank reports, becomes the run's verdict, which every rank reads: the run then ends
/// with a DeviceError that names the rank. A rank that is alive but does not move is told by the timeout of the
/// exchange alone.
#pragma once
#include <chrono>
#include <cstdint>
#include <functional>
#include <optional>
#include <string>

#include "cstp/distributed/world.h"

namespace cstp {

/// Place of this process in a run, as its launcher gives it.
struct LaunchPlace {
  int64_t rank = 0, size = 1;
  int64_t local_rank = 0, local_size = 1;
  std::string host = "127.0.0.1";  ///< of the meeting point
  int64_t port = 29500;
  bool hosted = false;   ///< the launcher keeps the meeting point itself (torchrun); else rank 0 does
  std::string attempt;   ///< tells the keys of a restart from those before it
  std::string launcher;  ///< "torchrun" | "MPI" | "Slurm"
};

/// Value of a variable, or null.
using Environment = std::function<const char*(const char*)>;

/// Nothing where no launcher speaks. @throws UsageError if its variables contradict each other, or miss the address
std::optional<LaunchPlace> launch_place(const Environment& value_of);
std::optional<LaunchPlace> launch_place();  ///< of this process

/// "node[003-005,9],other" -> "node003".
std::string first_host(const std::string& slurm_nodes);

/// A port of this machine that nobody uses at the moment, for ranks to meet at. @throws DeviceError if there is none
int64_t free_port();

struct JoinOptions {
  bool cuda = false;                    ///< NCCL beside Gloo; else Gloo alone
  std::chrono::seconds join{300};       ///< until all ranks are there
  std::chrono::seconds silence{15};     ///< without a sign of life: lost
  std::chrono::seconds grace{8};        ///< then, until a rank that is stuck in an exchange is ended
  std::chrono::seconds exchange{1800};  ///< longest exchange between ranks that are alive
};

/// Meets the other ranks. @throws DeviceError naming the ranks that did not come, or what this build lacks
World join_world(const LaunchPlace& place, const JoinOptions& options);

/// Runs this rank's part. What it throws is told to the other ranks; an exchange that broke becomes a DeviceError that
/// names the lost rank. Afterwards the rank has left the world. In a world of one, just `body`.
void run_as_rank(const World& world, const std::function<void()>& body);

/// Whether this build can join ranks on CPUs (Gloo), on GPUs (NCCL).
bool has_gloo();
bool has_nccl();

}  // namespace cstp
