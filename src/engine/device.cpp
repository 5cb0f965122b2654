#include "cstp/engine/device.h"

#include <ATen/autocast_mode.h>
#include <torch/cuda.h>
#include <torch/utils.h>

#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <thread>

#include "cstp/core/error.h"
#include "cstp/core/text.h"

namespace cstp {

c10::Device select_device(const std::string& wanted) {
  if (wanted == "cpu") return c10::kCPU;
  if (torch::cuda::is_available()) return {c10::kCUDA, 0};
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

int64_t set_compute_threads(int64_t threads) {
  if (threads == 0) {
    const char* wanted = std::getenv("OMP_NUM_THREADS");  // torchrun and batch systems set it to share a machine
    threads = wanted == nullptr ? 0 : std::strtol(wanted, nullptr, 10);
  }
  if (threads <= 0) threads = std::max(1U, std::thread::hardware_concurrency());
  torch::set_num_threads(static_cast<int>(threads));
  return threads;
}

void to_channels_last(torch::nn::Module& module) {
  for (at::Tensor& parameter : module.parameters()) {
    if (parameter.dim() == 5) parameter.set_data(parameter.contiguous(at::MemoryFormat::ChannelsLast3d));
  }
}

}  // namespace cstp
