/// Where a run computes, and in which type.
#pragma once
#include <c10/core/Device.h>
#include <torch/nn/module.h>

#include <cstdint>
#include <functional>
#include <string>

#include "cstp/data/clip_loader.h"
#include "cstp/distributed/world.h"

namespace cstp {

/// @param wanted auto | cpu | cuda. @param local_rank which of the GPUs; it becomes the process's current one, and
/// LibTorch is set up for it: cuDNN times its algorithms once for every shape (shapes are fixed). f32 convolutions may
/// use TF32, the tensor cores' 10-bit mantissas, as LibTorch has it; products of heads and losses may not.
/// @throws DeviceError if a GPU is wanted and none is usable, or there are fewer than ranks on this machine
c10::Device select_device(const std::string& wanted, int64_t local_rank = 0);

/// The ranks of this run, as the launcher's variables say: NCCL where `wanted` gives GPUs, else Gloo. A world of one
/// without a launcher. @throws DeviceError, UsageError
World form_world(const std::string& wanted);

/// What computes, for people: "Intel(R) Xeon(R) Processor", "NVIDIA H200"; "cpu" or "cuda" where the system does not
/// say.
std::string device_name(c10::Device device);

/// Refuses a cuDNN whose bf16 convolutions over clips are wrong. @param version as cuDNN tells it: 91900 is 9.19.0
/// @throws DeviceError with the reason
void require_sound_cudnn(int64_t version);
/// Whether that cuDNN's TF32 convolutions over clips are right. Where they are not, f32 convolutions are f32.
bool has_sound_tf32(int64_t version);

/// Most bytes that tensors held, and that LibTorch held of the GPU's memory, since the process began.
struct GpuMemory {
  int64_t peak_allocated = 0, peak_reserved = 0;
  /// JSON members for metrics.jsonl
  std::string json() const;
};
GpuMemory gpu_memory(c10::Device device);

/// Runs `body` under bf16 autocast on the device where `bf16`, else as it is. On a GPU under bf16, the first call
/// checks cuDNN. @throws DeviceError
void with_precision(bool bf16, c10::Device device, const std::function<void()>& body);

/// Intra-op threads of this process; 0 = OMP_NUM_THREADS where that is a number, else the cores, shared by the ranks of
/// this machine. Bits of CPU results depend on it.
int64_t set_compute_threads(int64_t threads, int64_t local_ranks = 1);

/// Cores of this machine, shared by its ranks.
int64_t cores_of_rank(const World& world);

/// Decoding threads of this rank: 0 = cores, shared by the ranks of this machine.
int64_t loader_workers(const LoaderOptions& options, const World& world);

/// Puts convolution weights into channels-last-3d memory order.
void to_channels_last(torch::nn::Module& module);

}  // namespace cstp
