// src/distributed/launch_place.cpp: what torchrun, MPI and Slurm say about this process, in that order.
#include <arpa/inet.h>
#include <sys/socket.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <charconv>
#include <cstdlib>
#include <cstring>

#include "cstp/core/error.h"
#include "cstp/core/log.h"
#include "cstp/core/text.h"
#include "cstp/distributed/ranks.h"

namespace cstp {
namespace {

constexpr int64_t kDefaultPort = 29500;  // torch.distributed's

class Variables {
 public:
  explicit Variables(const Environment& value_of) : value_of_(value_of) {}

  bool has(const char* name) const { return value_of_(name) != nullptr && *value_of_(name) != '\0'; }
  std::string text(const char* name, const std::string& otherwise = "") const {
    return has(name) ? value_of_(name) : otherwise;
  }
  int64_t number(const char* name) const {
    const std::string digits = text(name);
    int64_t value = 0;
    const auto read = std::from_chars(digits.data(), digits.data() + digits.size(), value);
    if (digits.empty() || read.ec != std::errc() || read.ptr != digits.data() + digits.size() || value < 0) {
      throw UsageError(cat("the launcher's variable ", name, " is '", digits, "'; wanted a whole number"));
    }
    return value;
  }
  int64_t number_or(const char* name, int64_t otherwise) const { return has(name) ? number(name) : otherwise; }

 private:
  const Environment& value_of_;
};

LaunchPlace from_torchrun(const Variables& v) {
  LaunchPlace place;
  place.launcher = "torchrun";
  place.rank = v.number("RANK");
  place.size = v.number("WORLD_SIZE");
  place.local_rank = v.number_or("LOCAL_RANK", place.rank);
  place.local_size = v.number_or("LOCAL_WORLD_SIZE", place.size);
  place.hosted = v.text("TORCHELASTIC_USE_AGENT_STORE") == "True";
  place.attempt = v.text("TORCHELASTIC_RESTART_COUNT", "0");
  return place;
}

LaunchPlace from_mpi(const Variables& v) {
  LaunchPlace place;
  place.launcher = "MPI";
  if (v.has("OMPI_COMM_WORLD_RANK")) {
    place.rank = v.number("OMPI_COMM_WORLD_RANK");
    place.size = v.number("OMPI_COMM_WORLD_SIZE");
    place.local_rank = v.number_or("OMPI_COMM_WORLD_LOCAL_RANK", place.rank);
    place.local_size = v.number_or("OMPI_COMM_WORLD_LOCAL_SIZE", place.size);
  } else {
    place.rank = v.number("PMI_RANK");
    place.size = v.number("PMI_SIZE");
    place.local_rank = v.number_or("MPI_LOCALRANKID", place.rank);
    place.local_size = v.number_or("MPI_LOCALNRANKS", place.size);
  }
  return place;
}

LaunchPlace from_slurm(const Variables& v) {
  LaunchPlace place;
  place.launcher = "Slurm";
  place.rank = v.number("SLURM_PROCID");
  place.size = v.number("SLURM_STEP_NUM_TASKS");
  place.local_rank = v.number_or("SLURM_LOCALID", 0);
  // "2(x3),1": tasks of each node; ours is not told, so the first's is taken.
  const std::string tasks = v.text("SLURM_STEP_TASKS_PER_NODE", std::to_string(place.size));
  std::from_chars(tasks.data(), tasks.data() + tasks.size(), place.local_size);
  place.attempt = v.text("SLURM_RESTART_COUNT", "0");
  const std::string nodes = v.text("SLURM_STEP_NODELIST", v.text("SLURM_JOB_NODELIST"));
  if (!nodes.empty()) place.host = first_host(nodes);
  // Jobs that share a machine must not share a port.
  if (v.has("SLURM_JOB_ID")) place.port = 20000 + v.number("SLURM_JOB_ID") % 20000;
  return place;
}

}  // namespace

std::string first_host(const std::string& slurm_nodes) {
  const auto bracket = slurm_nodes.find('[');
  const auto comma = slurm_nodes.find(',');
  if (bracket == std::string::npos || comma < bracket) return slurm_nodes.substr(0, comma);
  const auto end = slurm_nodes.find_first_of(",-]", bracket);
  return slurm_nodes.substr(0, bracket) + slurm_nodes.substr(bracket + 1, end - bracket - 1);
}

std::optional<LaunchPlace> launch_place(const Environment& value_of) {
  const Variables v(value_of);
  LaunchPlace place;
  if (v.has("RANK") && v.has("WORLD_SIZE")) {
    place = from_torchrun(v);
  } else if (v.has("OMPI_COMM_WORLD_RANK") || (v.has("PMI_RANK") && v.has("PMI_SIZE") && !v.has("SLURM_STEP_ID"))) {
    place = from_mpi(v);
  } else if (v.has("SLURM_STEP_ID") && v.has("SLURM_STEP_NUM_TASKS")) {
    place = from_slurm(v);
  } else {
    return std::nullopt;
  }
  if (place.size < 1 || place.rank >= place.size || place.local_rank >= place.size) {
    throw UsageError(cat(place.launcher, "'s variables contradict each other: rank ", place.rank, " (local ",
                         place.local_rank, ") of ", place.size));
  }
  place.local_size = std::clamp<int64_t>(place.local_size, 1, place.size);
  if (place.size == 1) return place;
  const bool derived = place.launcher == "Slurm" || place.local_size == place.size;
  if (!v.has("MASTER_ADDR") && !derived) {
    throw UsageError(cat(place.launcher, " started ", place.size,
                         " ranks on several machines, but MASTER_ADDR, the "
                         "host of rank 0, is not set; export MASTER_ADDR (and MASTER_PORT, default ",
                         kDefaultPort, ") to all ranks"));
  }
  place.host = v.text("MASTER_ADDR", place.host);
  place.port = v.number_or("MASTER_PORT", place.port);
  return place;
}

std::optional<LaunchPlace> launch_place() {
  auto place = launch_place([](const char* name) -> const char* { return std::getenv(name); });
  if (!place && std::getenv("SLURM_JOB_ID") != nullptr && std::getenv("SLURM_STEP_ID") == nullptr) {
    const char* tasks = std::getenv("SLURM_NTASKS");
    if (tasks != nullptr && std::string_view(tasks) != "1") {
      log::warn_once("slurm", cat("this Slurm job has ", tasks,
                                  " tasks, but this process was not started by srun: it "
                                  "runs alone; write `srun cstp ...` in the batch script"));
    }
  }
  return place;
}

int64_t free_port() {
  const int handle = ::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
  sockaddr_in address{};
  address.sin_family = AF_INET;
  address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  socklen_t size = sizeof(address);
  const bool bound = handle >= 0 && ::bind(handle, reinterpret_cast<sockaddr*>(&address), size) == 0 &&
                     ::getsockname(handle, reinterpret_cast<sockaddr*>(&address), &size) == 0;
  if (handle >= 0) ::close(handle);
  if (!bound) throw DeviceError(cat("no port could be had for the ranks to meet at (", std::strerror(errno), ")"));
  return ntohs(address.sin_port);
}

}  // namespace cstp
