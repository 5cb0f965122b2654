// src/distributed/nccl_backend.cpp: the GPU group, where the headers of NCCL and CUDA that come with LibTorch's wheel
// were found.
#include "cstp/core/error.h"
#include "rank_group.h"

#ifdef CSTP_NCCL
#define USE_C10D_NCCL
#include <torch/csrc/distributed/c10d/PrefixStore.hpp>
#include <torch/csrc/distributed/c10d/ProcessGroupNCCL.hpp>
#endif

namespace cstp {

#ifdef CSTP_NCCL

bool has_nccl() { return true; }

void add_nccl(const GroupHandle& group, const StoreHandle& store, const LaunchPlace& place,
              std::chrono::milliseconds timeout) {
  const auto options = c10d::ProcessGroupNCCL::Options::create();
  options->timeout = timeout;
  const auto backend =
      c10::make_intrusive<c10d::ProcessGroupNCCL>(c10::make_intrusive<c10d::PrefixStore>("nccl/", store),
                                                  static_cast<int>(place.rank), static_cast<int>(place.size), options);
  group->setBackend(c10::kCUDA, c10d::ProcessGroup::BackendType::NCCL, backend);
  group->setDefaultBackend(c10d::ProcessGroup::BackendType::NCCL);
}

#else

bool has_nccl() { return false; }

void add_nccl(const GroupHandle&, const StoreHandle&, const LaunchPlace&, std::chrono::milliseconds) {
  throw DeviceError(
      "this build has no GPU group (the headers of NCCL and CUDA were not found beside LibTorch), so several ranks "
      "need --set train.device=cpu; install the LibTorch wheel with CUDA and configure the build again");
}

#endif

}  // namespace cstp
