// Kernels of the renderer, then their launches. What a thread does is in tile_body.h and blur_body.h, which tests run
// on the CPU; here are only the threads' numbers, where they meet, and the shared memory.
#include "render_cuda.h"

#include <cuda_runtime.h>

#include "blur_body.h"

namespace cstp {
namespace {

extern __shared__ float4 shared_memory[];

__device__ BlockNumber block_number() {
  return {static_cast<int32_t>(blockIdx.x), static_cast<int32_t>(blockIdx.y), static_cast<int32_t>(blockIdx.z)};
}

template <class Value>
__device__ void fold(int32_t threads, Value* partial) {
  for (int32_t half = first_fold(threads); half > 0; half /= 2) {
    __syncthreads();
    fold_sums(static_cast<int32_t>(threadIdx.x), threads, half, partial);
  }
  __syncthreads();
}

/// Sums of tiles before the contrast. Blocks: tiles x T x contrast_count, of 4*columns threads. Reads what
/// render_tiles reads; writes 12 bytes a block.
template <int32_t kRows>
__global__ void __launch_bounds__(256) sum_tiles(const RenderLaunch launch) {
  auto* mixed = reinterpret_cast<float*>(shared_memory);
  float* partial = mixed + launch.mixed_floats;
  const Tile tile = tile_of(launch, block_number(), true);
  const auto thread = static_cast<int32_t>(threadIdx.x);
  const auto threads = static_cast<int32_t>(blockDim.x);
  mix_tile(tile, thread, threads, mixed);
  __syncthreads();
  const ThreadPixels<kRows> at(launch, tile, thread);
  Rgb pixels[kRows];
  make_pixels<kRows>(launch, tile, at, tile.view->contrast, mixed, pixels);
  sum_pixels<kRows>(at, pixels, thread, threads, partial);
  fold(threads, partial);
  if (thread < 3) launch.sums[3 * sums_place(launch, block_number()) + thread] = partial[thread * threads];
}

/// A block a clip.
__global__ void __launch_bounds__(kMeanThreads) mean_of_tiles(const RenderLaunch launch) {
  auto* partial = reinterpret_cast<double*>(shared_memory);
  const auto thread = static_cast<int32_t>(threadIdx.x);
  sum_blocks(launch, static_cast<int32_t>(blockIdx.x), thread, partial);
  fold(kMeanThreads, partial);
  if (thread == 0) write_means(launch, static_cast<int32_t>(blockIdx.x), partial);
}

/// Views, or, of those that are blurred, what is blurred then. Blocks: tiles x T x N, of 4*columns threads. Reads the
/// crop's bytes (rows that tiles share come from the second-level cache), writes S*S*3 elements a frame of a view.
template <class As, int32_t kRows>
__global__ void __launch_bounds__(256) render_tiles(const RenderLaunch launch, typename As::Element* out) {
  auto* mixed = reinterpret_cast<float*>(shared_memory);
  float* stage = mixed + launch.mixed_floats;
  const Tile tile = tile_of(launch, block_number(), false);
  const auto thread = static_cast<int32_t>(threadIdx.x);
  const auto threads = static_cast<int32_t>(blockDim.x);
  mix_tile(tile, thread, threads, mixed);
  __syncthreads();
  const ThreadPixels<kRows> at(launch, tile, thread);
  Rgb pixels[kRows];
  make_pixels<kRows>(launch, tile, at, tile.view->operations, mixed, pixels);
  const int64_t frame_elements = int64_t{launch.size} * launch.size * 3;
  const int32_t slot = tile.view->blur_slot;
  if (slot < 0) {
    auto* staged = reinterpret_cast<typename As::Element*>(stage);
    stage_pixels<As, kRows>(launch, tile, at, true, pixels, staged);
    __syncthreads();
    store_tile(staged_tile<typename As::Element>(launch, tile), launch.size, thread, threads, staged,
               out + (int64_t{tile.view_row} * launch.clip_frames + tile.t) * frame_elements);
  } else {
    auto* staged = reinterpret_cast<uint16_t*>(stage);
    stage_pixels<AsShare, kRows>(launch, tile, at, false, pixels, staged);
    __syncthreads();
    store_tile(staged_tile<uint16_t>(launch, tile), launch.size, thread, threads, staged,
               launch.unblurred + (int64_t{slot} * launch.clip_frames + tile.t) * frame_elements);
  }
}

/// Blurred views. Blocks: tiles x T x blurred_count, of kBlurThreads. Reads S*S*6 bytes a frame, and the blur's reach
/// around each tile again from the second-level cache; writes S*S*3 elements.
template <class As>
__global__ void __launch_bounds__(kBlurThreads) blur_tiles(const RenderLaunch launch, typename As::Element* out) {
  using Element = typename As::Element;
  const BlurMemory memory = blur_memory<Element>(launch.blur);
  auto* in = reinterpret_cast<uint16_t*>(shared_memory);
  auto* across = reinterpret_cast<float*>(reinterpret_cast<uint8_t*>(shared_memory) + memory.in_bytes);
  auto* stage = reinterpret_cast<Element*>(shared_memory);  // where the input was
  const BlurTile tile = blur_tile_of(launch, block_number());
  const auto thread = static_cast<int32_t>(threadIdx.x);
  load_blur_rows(launch, tile, memory, thread, in);
  __syncthreads();
  fill_blur_edges(launch, tile, memory, thread, in);
  __syncthreads();
  blur_across(tile, memory, thread, in, across);
  __syncthreads();
  blur_down<As>(launch, tile, memory, thread, across, stage);
  __syncthreads();
  const int64_t frame_elements = int64_t{launch.size} * launch.size * 3;
  store_tile(staged_tile<Element>(launch, tile), launch.size, thread, kBlurThreads, stage,
             out + (int64_t{tile.view_row} * launch.clip_frames + tile.t) * frame_elements);
}

dim3 grid(int32_t tiles, const RenderLaunch& launch, int32_t views) {
  return {static_cast<uint32_t>(tiles), static_cast<uint32_t>(launch.clip_frames), static_cast<uint32_t>(views)};
}

/// One launch, with as much shared memory as it wants.
template <class Element>
cudaError_t start(void (*kernel)(RenderLaunch, Element*), dim3 blocks, int32_t threads, int32_t shared,
                  const RenderLaunch& launch, void* out, cudaStream_t stream) {
  const cudaError_t error = cudaFuncSetAttribute(kernel, cudaFuncAttributeMaxDynamicSharedMemorySize, shared);
  if (error != cudaSuccess) return error;
  kernel<<<blocks, static_cast<uint32_t>(threads), static_cast<size_t>(shared), stream>>>(launch,
                                                                                          static_cast<Element*>(out));
  return cudaGetLastError();
}

template <int32_t kRows>
cudaError_t start_means(const RenderLaunch& launch, cudaStream_t stream) {
  const int32_t threads = launch.tile.threads();
  const int32_t shared = 4 * (launch.mixed_floats + 3 * threads);
  cudaError_t error = cudaFuncSetAttribute(sum_tiles<kRows>, cudaFuncAttributeMaxDynamicSharedMemorySize, shared);
  if (error != cudaSuccess) return error;
  sum_tiles<kRows><<<grid(tiles_of(launch), launch, launch.contrast_count), static_cast<uint32_t>(threads),
                     static_cast<size_t>(shared), stream>>>(launch);
  error = cudaGetLastError();
  if (error != cudaSuccess) return error;
  mean_of_tiles<<<static_cast<uint32_t>(launch.contrast_count), kMeanThreads, 3 * kMeanThreads * sizeof(double),
                  stream>>>(launch);
  return cudaGetLastError();
}

template <class As, int32_t kRows>
cudaError_t start_all(const RenderLaunch& launch, void* out, cudaStream_t stream) {
  using Element = typename As::Element;
  cudaError_t error = launch.contrast_count > 0 ? start_means<kRows>(launch, stream) : cudaSuccess;
  if (error != cudaSuccess) return error;
  error = start<Element>(render_tiles<As, kRows>, grid(tiles_of(launch), launch, launch.view_count),
                         launch.tile.threads(), render_shared_bytes<Element>(launch), launch, out, stream);
  if (error != cudaSuccess || launch.blurred_count == 0) return error;
  return start<Element>(blur_tiles<As>, grid(blur_tiles_of(launch), launch, launch.blurred_count), kBlurThreads,
                        blur_memory<Element>(launch.blur).bytes, launch, out, stream);
}

}  // namespace

const char* render_cuda_obstacle() {
  cudaFuncAttributes attributes;
  const cudaError_t error = cudaFuncGetAttributes(&attributes, mean_of_tiles);
  if (error == cudaSuccess) return nullptr;
  cudaGetLastError();  // told once, it is forgotten
  return cudaGetErrorString(error);
}

const char* render_cuda(const RenderLaunch& launch, ViewType type, void* out, void* stream) {
  auto* const on = static_cast<cudaStream_t>(stream);
  const bool four = launch.tile.rows == 4 * kThreadRows;
  cudaError_t error;
  if (type == ViewType::bf16) {
    error = four ? start_all<AsBfloat16, 4>(launch, out, on) : start_all<AsBfloat16, 2>(launch, out, on);
  } else {
    error = four ? start_all<AsFloat, 4>(launch, out, on) : start_all<AsFloat, 2>(launch, out, on);
  }
  return error == cudaSuccess ? nullptr : cudaGetErrorString(error);
}

}  // namespace cstp
