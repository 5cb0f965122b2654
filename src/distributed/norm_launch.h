/// Batch norm, sum and ReLU as kernels: what they are given, how their blocks cover it, and who runs them. A GPU's
/// launchers are in norm_cuda.cu; tests have others, which run the same blocks on the CPU. No LibTorch, C++17.
///
/// Values are rows of C channels side by side (channels-last). Passes over memory, with R and W the bytes of a read and
/// a write of all values:
///   forward   moments (R), map (R, another R for an addend, W)
///   backward  gradient sums (2R), gradient map (2R + W)
/// Where an addend stands before the ReLU, the gate cannot be told from x. Forward then writes it down, a bit a value
/// (W/16 in bf16), and the gradient sums write the gradient behind the gate, which the addend wants anyway and the map
/// reads instead of dy: 2R + R/16 + W and 2R + W, for 6.1 in all. Keeping the output for a gate costs 7 (it is read
/// once more), recomputing it from x and the addend 7 as well.
#pragma once
#include <cstdint>

namespace cstp {

/// How blocks cover rows of channels. A thread has a column of `vector` channels, 16 bytes of them if the channels and
/// the memory allow it, and every so many rows of it.
struct NormGrid {
  static constexpr int32_t kThreads = 256;  ///< of a block, at most
  /// Rows that a thread reads before it works on them, in passes over one tensor and over two.
  static constexpr int32_t kRowsOfOne = 4, kRowsOfTwo = 2;

  int32_t vector = 1;
  int32_t columns = 1;                   ///< vectors side by side
  int32_t threads_x = 1, threads_y = 1;  ///< columns and rows of a block at a time
  int32_t blocks_x = 1, blocks_y = 1;

  int32_t threads() const { return threads_x * threads_y; }
};

/// Blocks that a multiprocessor holds at once: kernels are compiled to fit, and as many are launched, so that all work
/// from the first row to the last. Each thread has 64 bytes under way, which makes 6 MB on an H200, beyond what its
/// memory needs to be busy (bandwidth times latency: 4).
constexpr int32_t kResidentBlocks = 3;

/// Blocks of sums are added up by other ones: so many channels and, for each, so many lanes.
constexpr int32_t kFinishChannels = 8, kFinishLanes = 64;
inline int32_t finish_blocks(int64_t channels) {
  return static_cast<int32_t>((channels + kFinishChannels - 1) / kFinishChannels);
}

/// @param address any bits set in an address of the values @param multiprocessors of the GPU
inline NormGrid norm_grid(int64_t rows, int64_t channels, bool bf16, uintptr_t address, int32_t multiprocessors) {
  NormGrid grid;
  const int32_t widest = bf16 ? 8 : 4;
  if (channels % widest == 0 && address % 16 == 0) grid.vector = widest;
  grid.columns = static_cast<int32_t>(channels / grid.vector);
  grid.blocks_x = (grid.columns + NormGrid::kThreads - 1) / NormGrid::kThreads;
  grid.threads_x = (grid.columns + grid.blocks_x - 1) / grid.blocks_x;
  grid.threads_y = NormGrid::kThreads / grid.threads_x;
  const int64_t tile = static_cast<int64_t>(grid.threads_y) * NormGrid::kRowsOfTwo;
  const int64_t tiles = (rows + tile - 1) / tile;
  const int64_t resident = static_cast<int64_t>(kResidentBlocks) * multiprocessors / grid.blocks_x;
  grid.blocks_y = static_cast<int32_t>(tiles < resident ? tiles : resident < 1 ? 1 : resident);
  return grid;
}

/// What both passes know. Pointers of values are to float or, where bf16, to BrainFloat.
struct NormCall {
  int64_t rows = 0, channels = 0;
  int64_t weights = 0;  ///< channels that have weights; those behind are padding, all zero, and stay so
  bool bf16 = false, relu = false;
  NormGrid grid;
  const void* x = nullptr;
  float* partials = nullptr;    ///< [blocks_y,2,C] room for the blocks' sums
  double* totals = nullptr;     ///< [2C+1] sums over all rows; behind them the count of rows
  float* statistics = nullptr;  ///< [4,C] mean, 1/deviation, scale, shift: y = scale * x + shift
};

struct NormForward : NormCall {
  const void* addend = nullptr;  ///< as x, or null
  void* y = nullptr;
  uint8_t* gate = nullptr;  ///< [rows,columns] a bit a channel, where the output is above 0; null: not wanted
  const float *weight = nullptr, *bias = nullptr;         ///< [weights]
  float *running_mean = nullptr, *running_var = nullptr;  ///< [weights], moved
  int64_t* tracked = nullptr;                             ///< count of batches, moved
  double momentum = 0, eps = 0;
};

struct NormBackward : NormCall {
  const void* dy = nullptr;
  const uint8_t* gate = nullptr;  ///< of the forward pass; null where x tells, or there is no ReLU
  void* gated = nullptr;          ///< dy behind the gate, written where there is a `gate`: the addend's gradient
  void* dx = nullptr;
  float *d_weight = nullptr, *d_bias = nullptr;  ///< [weights], of these rows alone
  float* bends = nullptr;                        ///< [2,C] room: dx = scale * g + bend * x + offset
};

/// One name for a pass. Each returns null, or what the device says is wrong.
struct NormLaunchers {
  int32_t (*multiprocessors)();
  /// totals; and `statistics` too where `finish`. Between them, totals may be summed over ranks.
  const char* (*moments)(const NormForward& call, bool finish, void* stream);
  const char* (*statistics)(const NormForward& call, void* stream);
  const char* (*map)(const NormForward& call, void* stream);
  /// Two of the totals a channel, d_weight and d_bias; and `bends` too where `finish`. The count is left as it is.
  const char* (*gradient_sums)(const NormBackward& call, bool finish, void* stream);
  const char* (*bends)(const NormBackward& call, void* stream);
  const char* (*gradient_map)(const NormBackward& call, void* stream);
};

/// Those of this process's GPU, on a cudaStream_t.
const NormLaunchers& cuda_norm_launchers();

}  // namespace cstp
