/// What the blocks of the batch norm's kernels are built from (norm_forward_blocks.h, norm_backward_blocks.h): the same
/// code on a GPU and, in tests, on the CPU. No LibTorch, C++17.
///
/// A block is written against a `Threads`, which has each(work): work(t) for every thread t, and nobody goes on before
/// all are done. On a GPU a thread does its own and meets the others; on the CPU one after the other is done. What is
/// left to the launchers in norm_cuda.cu is the launch, the room in shared memory and the barrier.
///
/// Sums have one order, whatever runs when: a thread's rows, then the block's threads in a tree, in f32 around the
/// first value of the channel; then the blocks, in f64. There are no atomics, so bits do not change from run to run.
/// Maps walk the rows from the end: what the sums before them read last is in the cache still, and the next operation
/// finds the start of the output there.
#pragma once
#include <cmath>
#include <cstdint>
#include <cstring>

#include "norm_launch.h"
#include "norm_loops.h"

#ifdef __CUDACC__
#define CSTP_NORM_BODY __host__ __device__ __forceinline__
#define CSTP_UNROLL _Pragma("unroll")
#else
#define CSTP_NORM_BODY inline
#define CSTP_UNROLL
#endif

namespace cstp {
namespace norm_kernels {

/// Values that are read and written at once.
template <class T, int V>
struct alignas(sizeof(T) * V) Pack {
  T values[V];
};

CSTP_NORM_BODY float widened(float value) { return value; }
CSTP_NORM_BODY float widened(BrainFloat value) {
  const uint32_t bits = static_cast<uint32_t>(value.bits) << 16;
#ifdef __CUDA_ARCH__
  return __uint_as_float(bits);
#else
  float result;
  std::memcpy(&result, &bits, sizeof result);
  return result;
#endif
}

CSTP_NORM_BODY void narrow(float value, float& to) { to = value; }
CSTP_NORM_BODY void narrow(float value, BrainFloat& to) {  // to the nearest, ties to even
#ifdef __CUDA_ARCH__
  asm("cvt.rn.bf16.f32 %0, %1;" : "=h"(to.bits) : "f"(value));
#else
  uint32_t bits;
  std::memcpy(&bits, &value, sizeof bits);
  const uint32_t rounded = (bits + 0x7FFF + (bits >> 16 & 1)) >> 16;
  to.bits = static_cast<uint16_t>(value != value ? 0x7FC0 : rounded);
#endif
}

template <class T, int V>
CSTP_NORM_BODY Pack<T, V> read(const void* values, int64_t at) {
  return *reinterpret_cast<const Pack<T, V>*>(static_cast<const T*>(values) + at);
}
template <class T, int V>
CSTP_NORM_BODY void write(void* values, int64_t at, const float (&from)[V]) {
  Pack<T, V> pack;
  CSTP_UNROLL
  for (int v = 0; v < V; ++v) narrow(from[v], pack.values[v]);
  *reinterpret_cast<Pack<T, V>*>(static_cast<T*>(values) + at) = pack;
}

/// A block's place in the grid, and a thread's place in the block.
struct Block {
  int32_t x, y;
};
struct Place {
  int32_t column, y;
  bool inside;  ///< false for the columns behind the last
};
CSTP_NORM_BODY Place place_of(const NormGrid& grid, Block block, int32_t thread) {
  const int32_t column = block.x * grid.threads_x + thread % grid.threads_x;
  return {column, thread / grid.threads_x, column < grid.columns};
}

/// use(the first row) for each run of Rows rows of a thread, threads_y apart.
template <int32_t Rows, class Use>
CSTP_NORM_BODY void for_each_run(const NormCall& call, Block block, Place place, bool from_the_end, const Use& use) {
  const int64_t tile = static_cast<int64_t>(call.grid.threads_y) * Rows;
  const int64_t tiles = (call.rows + tile - 1) / tile;
  for (int64_t i = block.y; i < tiles; i += call.grid.blocks_y) {
    use((from_the_end ? tiles - 1 - i : i) * tile + place.y);
  }
}

/// A row to read, where a run may go past the end: rows that are read twice are not used.
CSTP_NORM_BODY int64_t within(const NormCall& call, int64_t row) { return row < call.rows ? row : call.rows - 1; }

/// Channel values of a column.
template <int V>
CSTP_NORM_BODY void read_channels(const float* values, int32_t column, float (&to)[V]) {
  CSTP_UNROLL
  for (int v = 0; v < V; ++v) to[v] = values[static_cast<int64_t>(column) * V + v];
}
CSTP_NORM_BODY const float* mean_of(const NormCall& call) { return call.statistics; }
CSTP_NORM_BODY const float* inverse_of(const NormCall& call) { return call.statistics + call.channels; }
CSTP_NORM_BODY const float* scale_of(const NormCall& call) { return call.statistics + 2 * call.channels; }
CSTP_NORM_BODY const float* shift_of(const NormCall& call) { return call.statistics + 3 * call.channels; }

// One function for the forward pass and for the gate of the backward pass: they must agree to the bit.
CSTP_NORM_BODY float mapped(float x, float scale, float shift) { return fmaf(x, scale, shift); }

/// Two sums a channel over a block's rows into the partials. measure(place, first, second) adds up a thread's.
/// @param room 2 * V * kThreads floats that the block shares
template <int V, class Threads, class Measure>
CSTP_NORM_BODY void block_sums(const Threads& threads, float* room, const NormCall& call, Block block,
                               const Measure& measure) {
  const NormGrid& grid = call.grid;
  const int32_t count = grid.threads_x * grid.threads_y;
  threads.each([&](int32_t t) {
    float first[V] = {}, second[V] = {};
    const Place place = place_of(grid, block, t);
    if (place.inside) measure(place, first, second);
    CSTP_UNROLL
    for (int v = 0; v < V; ++v) {
      room[v * count + t] = first[v];
      room[(V + v) * count + t] = second[v];
    }
  });
  for (int32_t rows = grid.threads_y; rows > 1;) {
    const int32_t half = (rows + 1) / 2;
    threads.each([&](int32_t t) {
      if (t / grid.threads_x >= rows - half) return;
      CSTP_UNROLL
      for (int k = 0; k < 2 * V; ++k) room[k * count + t] += room[k * count + t + half * grid.threads_x];
    });
    rows = half;
  }
  threads.each([&](int32_t t) {
    const Place place = place_of(grid, block, t);
    if (place.y != 0 || !place.inside) return;
    float* own = call.partials + 2 * call.channels * block.y + static_cast<int64_t>(place.column) * V;
    CSTP_UNROLL
    for (int v = 0; v < V; ++v) {
      own[v] = room[v * count + t];
      own[call.channels + v] = room[(V + v) * count + t];
    }
  });
}

/// The partials of all blocks added up, for kFinishChannels channels. done(channel, first, second)
/// @param room 2 * kFinishChannels * kFinishLanes doubles
template <class Threads, class Done>
CSTP_NORM_BODY void finish_sums(const Threads& threads, double* room, const NormCall& call, int32_t block,
                                const Done& done) {
  constexpr int32_t kCount = kFinishChannels * kFinishLanes;
  threads.each([&](int32_t t) {
    const int64_t channel = static_cast<int64_t>(block) * kFinishChannels + t % kFinishChannels;
    double first = 0, second = 0;
    if (channel < call.channels) {
      for (int32_t i = t / kFinishChannels; i < call.grid.blocks_y; i += kFinishLanes) {
        first += static_cast<double>(call.partials[2 * call.channels * i + channel]);
        second += static_cast<double>(call.partials[2 * call.channels * i + call.channels + channel]);
      }
    }
    room[t] = first;
    room[kCount + t] = second;
  });
  for (int32_t half = kFinishLanes / 2; half > 0; half /= 2) {
    threads.each([&](int32_t t) {
      if (t / kFinishChannels >= half) return;
      room[t] += room[t + half * kFinishChannels];
      room[kCount + t] += room[kCount + t + half * kFinishChannels];
    });
  }
  threads.each([&](int32_t t) {
    const int64_t channel = static_cast<int64_t>(block) * kFinishChannels + t;
    if (t < kFinishChannels && channel < call.channels) done(channel, room[t], room[kCount + t]);
  });
}

/// use(T(), vector as a constant) for a call's values.
template <int V>
struct Vector {
  static constexpr int value = V;
};
template <class Use>
void with_kind(const NormCall& call, const Use& use) {
  if (call.bf16) {
    if (call.grid.vector == 8) return use(BrainFloat(), Vector<8>());
    return use(BrainFloat(), Vector<1>());
  }
  if (call.grid.vector == 4) return use(float(), Vector<4>());
  return use(float(), Vector<1>());
}

}  // namespace norm_kernels
}  // namespace cstp
