/// The backward pass of the batch norm's kernels, block by block: gradient sums, bends, gradient map. See
/// norm_blocks.h.
#pragma once
#include "norm_blocks.h"

namespace cstp {
namespace norm_kernels {

/// What tells where gradients pass the ReLU.
enum class GateBy { nothing, input, bits };

template <class T, int V, GateBy By, class Threads>
CSTP_NORM_BODY void gradient_sums_block(const Threads& threads, float* room, const NormBackward& call, Block block) {
  block_sums<V>(threads, room, call, block, [&](Place place, float(&sum)[V], float(&dot)[V]) {
    constexpr int32_t kRows = NormGrid::kRowsOfTwo;
    const int64_t column = static_cast<int64_t>(place.column) * V;
    float mean[V], scale[V] = {}, shift[V] = {};
    read_channels(mean_of(call), place.column, mean);
    if (By == GateBy::input) {
      read_channels(scale_of(call), place.column, scale);
      read_channels(shift_of(call), place.column, shift);
    }
    for_each_run<kRows>(call, block, place, /*from_the_end=*/false, [&](int64_t row) {
      Pack<T, V> x[kRows], dy[kRows];
      uint32_t open[kRows] = {};
      CSTP_UNROLL
      for (int u = 0; u < kRows; ++u) {
        const int64_t at = within(call, row + static_cast<int64_t>(u) * call.grid.threads_y);
        x[u] = read<T, V>(call.x, at * call.channels + column);
        dy[u] = read<T, V>(call.dy, at * call.channels + column);
        if (By == GateBy::bits) open[u] = call.gate[at * call.grid.columns + place.column];
      }
      CSTP_UNROLL
      for (int u = 0; u < kRows; ++u) {
        const int64_t at = row + static_cast<int64_t>(u) * call.grid.threads_y;
        if (at >= call.rows) continue;
        float g[V];
        CSTP_UNROLL
        for (int v = 0; v < V; ++v) {
          const float value = widened(x[u].values[v]);
          g[v] = widened(dy[u].values[v]);
          if (By == GateBy::bits && (open[u] >> v & 1) == 0) g[v] = 0;
          if (By == GateBy::input && mapped(value, scale[v], shift[v]) <= 0) g[v] = 0;
          sum[v] += g[v];
          dot[v] = fmaf(g[v], value - mean[v], dot[v]);
        }
        if (By == GateBy::bits) write<T, V>(call.gated, at * call.channels + column, g);
      }
    });
  });
}

/// From the totals of a channel, over all ranks or those of this one.
CSTP_NORM_BODY void finish_bends(const NormBackward& call, int64_t c) {
  const double count = call.totals[2 * call.channels];
  const double inverse = static_cast<double>(inverse_of(call)[c]), scale = static_cast<double>(scale_of(call)[c]);
  const double bend = -scale * inverse * inverse * call.totals[call.channels + c] / count;
  call.bends[c] = static_cast<float>(bend);
  call.bends[call.channels + c] =
      static_cast<float>(-scale * call.totals[c] / count - bend * static_cast<double>(mean_of(call)[c]));
}

template <class Threads>
CSTP_NORM_BODY void finish_gradients_block(const Threads& threads, double* room, const NormBackward& call,
                                           int32_t block, bool finish) {
  finish_sums(threads, room, call, block, [&](int64_t c, double sum, double dot) {
    call.totals[c] = sum;
    call.totals[call.channels + c] = dot;
    if (c < call.weights) {
      call.d_bias[c] = static_cast<float>(sum);
      call.d_weight[c] = static_cast<float>(dot * static_cast<double>(inverse_of(call)[c]));
    }
    if (finish) finish_bends(call, c);
  });
}

/// @tparam ByInput x tells the gate; else there is none, or the gradient is behind it already
template <class T, int V, bool ByInput>
CSTP_NORM_BODY void gradient_map_thread(const NormBackward& call, Block block, int32_t thread) {
  constexpr int32_t kRows = NormGrid::kRowsOfTwo;
  const Place place = place_of(call.grid, block, thread);
  if (!place.inside) return;
  const int64_t column = static_cast<int64_t>(place.column) * V;
  const void* gradient = call.gate != nullptr ? call.gated : call.dy;
  float scale[V], shift[V] = {}, bend[V], offset[V];
  read_channels(scale_of(call), place.column, scale);
  if (ByInput) read_channels(shift_of(call), place.column, shift);
  read_channels(call.bends, place.column, bend);
  read_channels(call.bends + call.channels, place.column, offset);
  for_each_run<kRows>(call, block, place, /*from_the_end=*/true, [&](int64_t row) {
    Pack<T, V> x[kRows], dy[kRows];
    CSTP_UNROLL
    for (int u = 0; u < kRows; ++u) {
      const int64_t at = within(call, row + static_cast<int64_t>(u) * call.grid.threads_y);
      x[u] = read<T, V>(call.x, at * call.channels + column);
      dy[u] = read<T, V>(gradient, at * call.channels + column);
    }
    CSTP_UNROLL
    for (int u = 0; u < kRows; ++u) {
      const int64_t at = row + static_cast<int64_t>(u) * call.grid.threads_y;
      if (at >= call.rows) continue;
      float dx[V];
      CSTP_UNROLL
      for (int v = 0; v < V; ++v) {
        const float value = widened(x[u].values[v]);
        float g = widened(dy[u].values[v]);
        if (ByInput && mapped(value, scale[v], shift[v]) <= 0) g = 0;
        dx[v] = fmaf(scale[v], g, fmaf(bend[v], value, offset[v]));
      }
      write<T, V>(call.dx, at * call.channels + column, dx);
    }
  });
}

}  // namespace norm_kernels
}  // namespace cstp
