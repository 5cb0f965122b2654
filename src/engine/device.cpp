#include "cstp/engine/device.h"

#include <ATen/Context.h>
#include <ATen/DeviceAccelerator.h>
#include <ATen/autocast_mode.h>
#include <c10/core/impl/DeviceGuardImplInterface.h>
#include <torch/cuda.h>
#include <torch/utils.h>

#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <thread>

#include "cstp/core/error.h"
#include "cstp/core/log.h"
#include "cstp/core/text.h"
#include "cstp/distributed/ranks.h"

namespace cstp {
namespace {

int64_t cudnn_version() { return at::Context::versionRuntimeCuDNN(); }

void set_up_gpu() {
  at::globalContext().setBenchmarkCuDNN(true);
  at::globalContext().setAllowTF32CuDNN(has_sound_tf32(cudnn_version()));
  at::globalContext().setAllowTF32CuBLAS(false);
}

}  // namespace

void require_sound_cudnn(int64_t version) {
  if (version < 90800 || version >= 91500) return;
  throw DeviceError(
      cat("cuDNN ", version / 10000, ".", version / 100 % 100, ".", version % 100,
          " is in use, and the bf16 convolutions over clips of cuDNN 9.8 to 9.14 are wrong (PyTorch issue "
          "163539); start the program with the cuDNN that LibTorch brings (LD_LIBRARY_PATH may name "
          "another), or set train.precision=f32"));
}

bool has_sound_tf32(int64_t version) { return version < 91002 || version >= 91600; }  // PyTorch issue 167024

GpuMemory gpu_memory(c10::Device device) {
  const auto stats = at::accelerator::getDeviceStats(device.index());
  constexpr size_t kAllPools = 0;
  return {stats.allocated_bytes[kAllPools].peak, stats.reserved_bytes[kAllPools].peak};
}

std::string GpuMemory::json() const {
  return cat("\"gpu_peak_allocated_bytes\":", peak_allocated, ",\"gpu_peak_reserved_bytes\":", peak_reserved);
}

c10::Device select_device(const std::string& wanted, int64_t local_rank) {
  if (wanted == "cpu") return c10::kCPU;
  if (torch::cuda::is_available()) {
    const auto count = static_cast<int64_t>(torch::cuda::device_count());
    // A launcher may show each rank its own GPU alone.
    const int64_t index = count == 1 ? 0 : local_rank;
    if (index >= count) {
      throw DeviceError(cat("rank ", local_rank, " of this machine has no GPU: there are ", count,
                            "; start as many ranks as GPUs, or set train.device=cpu"));
    }
    const c10::Device device(c10::kCUDA, static_cast<c10::DeviceIndex>(index));
    if (index > 0) c10::impl::getDeviceGuardImpl(c10::kCUDA)->setDevice(device);
    set_up_gpu();
    return device;
  }
  if (wanted == "auto") return c10::kCPU;
  throw DeviceError(
      "train.device: cuda was asked for, but no GPU is usable here (no driver, no device, or a LibTorch without CUDA); "
      "try --set train.device=cpu, or auto to take a GPU only where there is one");
}

std::string device_name(c10::Device device) {
  // Read from the system: LibTorch's own answer needs the headers of a CUDA toolkit.
  const auto value_of = [](const std::string& path, std::string_view key) -> std::string {
    std::ifstream file(path);
    for (std::string line; std::getline(file, line);) {
      if (line.starts_with(key) && line.find(':') != std::string::npos) {
        return std::string(trim(std::string_view(line).substr(line.find(':') + 1)));
      }
    }
    return "";
  };
  std::string name;
  if (device.is_cuda()) {
    std::error_code error;
    for (const auto& gpu : std::filesystem::directory_iterator("/proc/driver/nvidia/gpus", error)) {
      name = value_of((gpu.path() / "information").string(), "Model");
    }
    return name.empty() ? "cuda" : name;
  }
  name = value_of("/proc/cpuinfo", "model name");
  return name.empty() ? "cpu" : name;
}

void with_precision(bool bf16, c10::Device device, const std::function<void()>& body) {
  if (!bf16) {
    body();
    return;
  }
  if (device.is_cuda()) {
    static const bool checked = (require_sound_cudnn(cudnn_version()), true);
    static_cast<void>(checked);
  }
  struct Guard {
    c10::DeviceType type;
    bool was_enabled;
    at::ScalarType was_type;
    explicit Guard(c10::DeviceType t)
        : type(t), was_enabled(at::autocast::is_autocast_enabled(t)), was_type(at::autocast::get_autocast_dtype(t)) {
      at::autocast::set_autocast_dtype(type, at::kBFloat16);
      at::autocast::set_autocast_enabled(type, true);
    }
    ~Guard() {
      at::autocast::clear_cache();
      at::autocast::set_autocast_enabled(type, was_enabled);
      at::autocast::set_autocast_dtype(type, was_type);
    }
  } guard(device.type());
  body();
}

World form_world(const std::string& wanted) {
  const auto place = launch_place();
  if (!place || place->size == 1) return {};
  const c10::Device device = select_device(wanted, place->local_rank);
  const World world = join_world(*place, {.cuda = device.is_cuda()});
  log::info(world.size, " ranks (", place->launcher, "), ", device.is_cuda() ? "NCCL" : "Gloo");
  return world;
}

int64_t set_compute_threads(int64_t threads, int64_t local_ranks) {
  if (threads == 0) {
    const char* wanted = std::getenv("OMP_NUM_THREADS");  // torchrun and batch systems set it to share a machine
    threads = wanted == nullptr ? 0 : std::strtol(wanted, nullptr, 10);
  }
  if (threads <= 0) {
    threads = std::max<int64_t>(1, std::max(1U, std::thread::hardware_concurrency()) / local_ranks);
  }
  torch::set_num_threads(static_cast<int>(threads));
  return threads;
}

int64_t cores_of_rank(const World& world) {
  return std::max<int64_t>(1, std::max(1U, std::thread::hardware_concurrency()) / world.local_size);
}

int64_t loader_workers(const LoaderOptions& options, const World& world) {
  return options.workers > 0 || world.local_size == 1 ? options.workers : cores_of_rank(world);
}

void to_channels_last(torch::nn::Module& module) {
  for (at::Tensor& parameter : module.parameters()) {
    if (parameter.dim() == 5) parameter.set_data(parameter.contiguous(at::MemoryFormat::ChannelsLast3d));
  }
}

}  // namespace cstp
