// src/distributed/norm_cuda.cu: the batch norm's blocks (norm_forward_blocks.h, norm_backward_blocks.h) on a GPU.
#include <cuda_runtime_api.h>

#include "norm_backward_blocks.h"
#include "norm_forward_blocks.h"

namespace cstp {
namespace {

using namespace norm_kernels;

struct DeviceThreads {
  template <class Work>
  __device__ __forceinline__ void each(const Work& work) const {
    work(static_cast<int32_t>(threadIdx.x));
    __syncthreads();
  }
};

__device__ __forceinline__ Block this_block() {
  return {static_cast<int32_t>(blockIdx.x), static_cast<int32_t>(blockIdx.y)};
}

template <class T, int V>
__global__ void __launch_bounds__(NormGrid::kThreads, kResidentBlocks) moments(const NormForward call) {
  __shared__ float room[2 * V * NormGrid::kThreads];
  moments_block<T, V>(DeviceThreads(), room, call, this_block());
}

template <class T>
__global__ void __launch_bounds__(kFinishChannels* kFinishLanes) finish_moments(const NormForward call, bool finish) {
  __shared__ double room[2 * kFinishChannels * kFinishLanes];
  finish_moments_block<T>(DeviceThreads(), room, call, static_cast<int32_t>(blockIdx.x), finish);
}

__global__ void statistics(const NormForward call) {
  const int64_t c = static_cast<int64_t>(blockIdx.x) * blockDim.x + threadIdx.x;
  if (c < call.channels) finish_statistics(call, c);
}

template <class T, int V, bool Added>
__global__ void __launch_bounds__(NormGrid::kThreads, kResidentBlocks) map(const NormForward call) {
  map_thread<T, V, Added>(call, this_block(), static_cast<int32_t>(threadIdx.x));
}

template <class T, int V, GateBy By>
__global__ void __launch_bounds__(NormGrid::kThreads, kResidentBlocks) gradient_sums(const NormBackward call) {
  __shared__ float room[2 * V * NormGrid::kThreads];
  gradient_sums_block<T, V, By>(DeviceThreads(), room, call, this_block());
}

__global__ void __launch_bounds__(kFinishChannels* kFinishLanes)
    finish_gradients(const NormBackward call, bool finish) {
  __shared__ double room[2 * kFinishChannels * kFinishLanes];
  finish_gradients_block(DeviceThreads(), room, call, static_cast<int32_t>(blockIdx.x), finish);
}

__global__ void bends(const NormBackward call) {
  const int64_t c = static_cast<int64_t>(blockIdx.x) * blockDim.x + threadIdx.x;
  if (c < call.channels) finish_bends(call, c);
}

template <class T, int V, bool ByInput>
__global__ void __launch_bounds__(NormGrid::kThreads, kResidentBlocks) gradient_map(const NormBackward call) {
  gradient_map_thread<T, V, ByInput>(call, this_block(), static_cast<int32_t>(threadIdx.x));
}

dim3 blocks_of(const NormGrid& grid) {
  return dim3(static_cast<unsigned>(grid.blocks_x), static_cast<unsigned>(grid.blocks_y));
}
unsigned threads_of(const NormGrid& grid) { return static_cast<unsigned>(grid.threads()); }
unsigned channel_blocks(int64_t channels) { return static_cast<unsigned>((channels + 127) / 128); }
cudaStream_t stream_of(void* stream) { return static_cast<cudaStream_t>(stream); }

const char* last_error() {
  const cudaError_t error = cudaGetLastError();
  return error == cudaSuccess ? nullptr : cudaGetErrorString(error);
}

int32_t multiprocessors() {
  int device = 0, count = 0;
  if (cudaGetDevice(&device) != cudaSuccess) return 1;
  if (cudaDeviceGetAttribute(&count, cudaDevAttrMultiProcessorCount, device) != cudaSuccess) return 1;
  return count;
}

const char* launch_moments(const NormForward& call, bool finish, void* stream) {
  with_kind(call, [&](auto type, auto vector) {
    using T = decltype(type);
    constexpr int kVector = decltype(vector)::value;
    moments<T, kVector><<<blocks_of(call.grid), threads_of(call.grid), 0, stream_of(stream)>>>(call);
    finish_moments<T>
        <<<static_cast<unsigned>(finish_blocks(call.channels)), kFinishChannels * kFinishLanes, 0, stream_of(stream)>>>(
            call, finish);
  });
  return last_error();
}

const char* launch_statistics(const NormForward& call, void* stream) {
  statistics<<<channel_blocks(call.channels), 128, 0, stream_of(stream)>>>(call);
  return last_error();
}

const char* launch_map(const NormForward& call, void* stream) {
  with_kind(call, [&](auto type, auto vector) {
    using T = decltype(type);
    constexpr int kVector = decltype(vector)::value;
    if (call.addend != nullptr) {
      map<T, kVector, true><<<blocks_of(call.grid), threads_of(call.grid), 0, stream_of(stream)>>>(call);
    } else {
      map<T, kVector, false><<<blocks_of(call.grid), threads_of(call.grid), 0, stream_of(stream)>>>(call);
    }
  });
  return last_error();
}

const char* launch_gradient_sums(const NormBackward& call, bool finish, void* stream) {
  with_kind(call, [&](auto type, auto vector) {
    using T = decltype(type);
    constexpr int kVector = decltype(vector)::value;
    const dim3 blocks = blocks_of(call.grid);
    const unsigned threads = threads_of(call.grid);
    if (call.gate != nullptr) {
      gradient_sums<T, kVector, GateBy::bits><<<blocks, threads, 0, stream_of(stream)>>>(call);
    } else if (call.relu) {
      gradient_sums<T, kVector, GateBy::input><<<blocks, threads, 0, stream_of(stream)>>>(call);
    } else {
      gradient_sums<T, kVector, GateBy::nothing><<<blocks, threads, 0, stream_of(stream)>>>(call);
    }
  });
  finish_gradients<<<static_cast<unsigned>(finish_blocks(call.channels)), kFinishChannels * kFinishLanes, 0,
                     stream_of(stream)>>>(call, finish);
  return last_error();
}

const char* launch_bends(const NormBackward& call, void* stream) {
  bends<<<channel_blocks(call.channels), 128, 0, stream_of(stream)>>>(call);
  return last_error();
}

const char* launch_gradient_map(const NormBackward& call, void* stream) {
  with_kind(call, [&](auto type, auto vector) {
    using T = decltype(type);
    constexpr int kVector = decltype(vector)::value;
    if (call.relu && call.gate == nullptr) {
      gradient_map<T, kVector, true><<<blocks_of(call.grid), threads_of(call.grid), 0, stream_of(stream)>>>(call);
    } else {
      gradient_map<T, kVector, false><<<blocks_of(call.grid), threads_of(call.grid), 0, stream_of(stream)>>>(call);
    }
  });
  return last_error();
}

}  // namespace

const NormLaunchers& cuda_norm_launchers() {
  static const NormLaunchers launchers = {multiprocessors,      launch_moments, launch_statistics,  launch_map,
                                          launch_gradient_sums, launch_bends,   launch_gradient_map};
  return launchers;
}

}  // namespace cstp
