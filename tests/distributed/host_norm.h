/// The batch norm's kernels run block by block on the CPU: what the launchers of norm_cuda.cu do, but for the launch
/// itself, the room in shared memory and the barrier, which only a GPU can test (Cuda* tests).
///
/// What a kernel must write is poisoned before it runs, so that nothing it leaves out can look right.
#pragma once
#include <cstring>
#include <limits>
#include <vector>

#include "norm_backward_blocks.h"
#include "norm_forward_blocks.h"

namespace cstp {

/// Of the GPU that is played. A few, so that small tensors need several rounds of the grid.
inline int32_t host_multiprocessors = 2;

namespace host_norm {

using namespace norm_kernels;

struct HostThreads {
  int32_t count;
  template <class Work>
  void each(const Work& work) const {
    for (int32_t t = 0; t < count; ++t) work(t);
  }
};

inline void poison(void* memory, size_t bytes) {
  if (memory != nullptr) std::memset(memory, 0xFF, bytes);  // not a number, in each of the types
}
inline size_t value_bytes(const NormCall& call) {
  return static_cast<size_t>(call.rows * call.channels) * (call.bf16 ? 2 : 4);
}
template <class Use>
void for_each_block(const NormGrid& grid, const Use& use) {
  for (int32_t y = 0; y < grid.blocks_y; ++y) {
    for (int32_t x = 0; x < grid.blocks_x; ++x) use(Block{x, y});
  }
}
inline std::vector<float> shared_room() { return std::vector<float>(2 * 8 * NormGrid::kThreads, 1e30F); }
inline std::vector<double> finish_room() { return std::vector<double>(2 * kFinishChannels * kFinishLanes, 1e30); }
constexpr HostThreads kFinishThreads = {kFinishChannels * kFinishLanes};

inline int32_t multiprocessors() { return host_multiprocessors; }

inline const char* moments(const NormForward& call, bool finish, void*) {
  poison(call.partials, static_cast<size_t>(call.grid.blocks_y * 2 * call.channels) * sizeof(float));
  poison(call.totals, static_cast<size_t>(2 * call.channels + 1) * sizeof(double));
  with_kind(call, [&]<class T, int V>(T, Vector<V>) {
    for_each_block(call.grid, [&](Block block) {
      moments_block<T, V>(HostThreads{call.grid.threads()}, shared_room().data(), call, block);
    });
    for (int32_t b = 0; b < finish_blocks(call.channels); ++b) {
      finish_moments_block<T>(kFinishThreads, finish_room().data(), call, b, finish);
    }
  });
  return nullptr;
}
inline const char* statistics(const NormForward& call, void*) {
  for (int64_t c = 0; c < call.channels; ++c) finish_statistics(call, c);
  return nullptr;
}
inline const char* map(const NormForward& call, void*) {
  poison(call.y, value_bytes(call));
  poison(call.gate, static_cast<size_t>(call.rows) * static_cast<size_t>(call.grid.columns));
  with_kind(call, [&]<class T, int V>(T, Vector<V>) {
    for_each_block(call.grid, [&](Block block) {
      for (int32_t t = 0; t < call.grid.threads(); ++t) {
        if (call.addend != nullptr) {
          map_thread<T, V, true>(call, block, t);
        } else {
          map_thread<T, V, false>(call, block, t);
        }
      }
    });
  });
  return nullptr;
}
inline const char* gradient_sums(const NormBackward& call, bool finish, void*) {
  poison(call.partials, static_cast<size_t>(call.grid.blocks_y * 2 * call.channels) * sizeof(float));
  poison(call.gated, value_bytes(call));
  with_kind(call, [&]<class T, int V>(T, Vector<V>) {
    for_each_block(call.grid, [&](Block block) {
      const HostThreads threads{call.grid.threads()};
      if (call.gate != nullptr) {
        gradient_sums_block<T, V, GateBy::bits>(threads, shared_room().data(), call, block);
      } else if (call.relu) {
        gradient_sums_block<T, V, GateBy::input>(threads, shared_room().data(), call, block);
      } else {
        gradient_sums_block<T, V, GateBy::nothing>(threads, shared_room().data(), call, block);
      }
    });
  });
  for (int32_t b = 0; b < finish_blocks(call.channels); ++b) {
    finish_gradients_block(kFinishThreads, finish_room().data(), call, b, finish);
  }
  return nullptr;
}
inline const char* bends(const NormBackward& call, void*) {
  for (int64_t c = 0; c < call.channels; ++c) finish_bends(call, c);
  return nullptr;
}
inline const char* gradient_map(const NormBackward& call, void*) {
  poison(call.dx, value_bytes(call));
  with_kind(call, [&]<class T, int V>(T, Vector<V>) {
    for_each_block(call.grid, [&](Block block) {
      for (int32_t t = 0; t < call.grid.threads(); ++t) {
        if (call.relu && call.gate == nullptr) {
          gradient_map_thread<T, V, true>(call, block, t);
        } else {
          gradient_map_thread<T, V, false>(call, block, t);
        }
      }
    });
  });
  return nullptr;
}

}  // namespace host_norm

inline const NormLaunchers& host_norm_launchers() {
  static const NormLaunchers launchers = {
      host_norm::multiprocessors, host_norm::moments, host_norm::statistics,  host_norm::map,
      host_norm::gradient_sums,   host_norm::bends,   host_norm::gradient_map};
  return launchers;
}

}  // namespace cstp
