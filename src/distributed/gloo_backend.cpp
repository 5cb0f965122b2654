// src/distributed/gloo_backend.cpp: the CPU group. LibTorch brings Gloo's code but not its headers; where the build
// found none, there are no ranks on CPUs.
#include "cstp/core/error.h"
#include "rank_group.h"

#ifdef CSTP_GLOO
#define USE_C10D_GLOO
#include <torch/csrc/distributed/c10d/PrefixStore.hpp>
#include <torch/csrc/distributed/c10d/ProcessGroupGloo.hpp>

#include <cstdlib>
#endif

namespace cstp {

#ifdef CSTP_GLOO

bool has_gloo() { return true; }

void add_gloo(const GroupHandle& group, const StoreHandle& store, const LaunchPlace& place,
              std::chrono::milliseconds timeout) {
  using c10d::ProcessGroupGloo;
  const auto options = ProcessGroupGloo::Options::create(timeout);
  if (const char* interface = std::getenv("GLOO_SOCKET_IFNAME")) {
    options->devices = {ProcessGroupGloo::createDeviceForInterface(interface)};
  } else if (place.local_size == place.size) {
    options->devices = {ProcessGroupGloo::createDeviceForHostname("127.0.0.1")};  // one machine needs no name
  } else {
    options->devices = {ProcessGroupGloo::createDefaultDevice()};
  }
  const auto backend =
      c10::make_intrusive<ProcessGroupGloo>(c10::make_intrusive<c10d::PrefixStore>("gloo/", store),
                                            static_cast<int>(place.rank), static_cast<int>(place.size), options);
  group->setBackend(c10::kCPU, c10d::ProcessGroup::BackendType::GLOO, backend);
  group->setDefaultBackend(c10d::ProcessGroup::BackendType::GLOO);
}

#else

bool has_gloo() { return false; }

void add_gloo(const GroupHandle&, const StoreHandle&, const LaunchPlace&, std::chrono::milliseconds) {
  throw DeviceError(
      "this build has no CPU group, so several ranks need GPUs; install libgloo-dev and configure the build again");
}

#endif

}  // namespace cstp
