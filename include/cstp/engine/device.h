/// Where a run computes, and in which type.
#pragma once
#include <c10/core/Device.h>
#include <torch/nn/module.h>

#include <cstdint>
#include <functional>
#include <string>

namespace cstp {

/// @param wanted auto | cpu | cuda. @throws DeviceError if a GPU is wanted and none is usable
c10::Device select_device(const std::string& wanted);

/// What computes, for people: "Intel(R) Xeon(R) Processor", "NVIDIA H200"; "cpu" or "cuda" where the system does not
/// say.
std::string device_name(c10::Device device);

/// Runs `body` under bf16 autocast on the device where `bf16`, else as it is.
void with_precision(bool bf16, c10::Device device, const std::function<void()>& body);

/// Intra-op threads of this process; 0 = OMP_NUM_THREADS where that is a number, else the cores. Bits of CPU results
/// depend on it.
int64_t set_compute_threads(int64_t threads);

/// Puts convolution weights into channels-last-3d memory order.
void to_channels_last(torch::nn::Module& module);

}  // namespace cstp
