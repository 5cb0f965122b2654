/// The forward pass of the batch norm's kernels, block by block: moments, statistics, map. See norm_blocks.h.
#pragma once
#include "norm_blocks.h"

namespace cstp {
namespace norm_kernels {

template <class T, int V, class Threads>
CSTP_NORM_BODY void moments_block(const Threads& threads, float* room, const NormForward& call, Block block) {
  block_sums<V>(threads, room, call, block, [&](Place place, float(&sum)[V], float(&square)[V]) {
    constexpr int32_t kRows = NormGrid::kRowsOfOne;
    const int64_t column = static_cast<int64_t>(place.column) * V;
    const Pack<T, V> first = read<T, V>(call.x, column);
    for_each_run<kRows>(call, block, place, /*from_the_end=*/false, [&](int64_t row) {
      Pack<T, V> held[kRows];
      CSTP_UNROLL
      for (int u = 0; u < kRows; ++u, row += call.grid.threads_y) {
        held[u] = row < call.rows ? read<T, V>(call.x, row * call.channels + column) : first;  // first: adds nothing
      }
      CSTP_UNROLL
      for (int u = 0; u < kRows; ++u) {
        CSTP_UNROLL
        for (int v = 0; v < V; ++v) {
          const float d = widened(held[u].values[v]) - widened(first.values[v]);
          sum[v] += d;
          square[v] = fmaf(d, d, square[v]);
        }
      }
    });
  });
}

/// From the totals of a channel, over all ranks or those of this one.
CSTP_NORM_BODY void finish_statistics(const NormForward& call, int64_t c) {
  float* to = call.statistics + c;
  if (c == 0 && call.tracked != nullptr) *call.tracked += 1;
  if (c >= call.weights) {
    for (int k = 0; k < 4; ++k) to[k * call.channels] = 0;
    return;
  }
  const double count = call.totals[2 * call.channels];
  const double mean = call.totals[c] / count;
  double var = call.totals[call.channels + c] / count - mean * mean;
  if (var < 0) var = 0;
  const double inverse = 1 / sqrt(var + call.eps);
  const double scale = static_cast<double>(call.weight[c]) * inverse;
  to[0] = static_cast<float>(mean);
  to[call.channels] = static_cast<float>(inverse);
  to[2 * call.channels] = static_cast<float>(scale);
  to[3 * call.channels] = static_cast<float>(static_cast<double>(call.bias[c]) - scale * mean);
  float& old_mean = call.running_mean[c];
  float& old_var = call.running_var[c];
  old_mean = static_cast<float>((1 - call.momentum) * static_cast<double>(old_mean) + call.momentum * mean);
  old_var = static_cast<float>((1 - call.momentum) * static_cast<double>(old_var) +
                               call.momentum * (var * (count / (count - 1))));
}

template <class T, class Threads>
CSTP_NORM_BODY void finish_moments_block(const Threads& threads, double* room, const NormForward& call, int32_t block,
                                         bool finish) {
  finish_sums(threads, room, call, block, [&](int64_t c, double sum, double square) {
    const double count = static_cast<double>(call.rows);
    const double around = static_cast<double>(widened(static_cast<const T*>(call.x)[c]));
    call.totals[c] = sum + count * around;
    call.totals[call.channels + c] = square + 2 * around * sum + count * around * around;
    // The count is in place before any channel's statistics need it: each writes the same.
    call.totals[2 * call.channels] = count;
    if (finish) finish_statistics(call, c);
  });
}

template <class T, int V, bool Added>
CSTP_NORM_BODY void map_thread(const NormForward& call, Block block, int32_t thread) {
  constexpr int32_t kRows = Added ? NormGrid::kRowsOfTwo : NormGrid::kRowsOfOne;
  const Place place = place_of(call.grid, block, thread);
  if (!place.inside) return;
  const int64_t column = static_cast<int64_t>(place.column) * V;
  float scale[V], shift[V];
  read_channels(scale_of(call), place.column, scale);
  read_channels(shift_of(call), place.column, shift);
  for_each_run<kRows>(call, block, place, /*from_the_end=*/true, [&](int64_t row) {
    Pack<T, V> x[kRows], more[Added ? kRows : 1];
    CSTP_UNROLL
    for (int u = 0; u < kRows; ++u) {
      const int64_t at = within(call, row + static_cast<int64_t>(u) * call.grid.threads_y);
      x[u] = read<T, V>(call.x, at * call.channels + column);
      if (Added) more[Added ? u : 0] = read<T, V>(call.addend, at * call.channels + column);
    }
    CSTP_UNROLL
    for (int u = 0; u < kRows; ++u) {
      const int64_t at = row + static_cast<int64_t>(u) * call.grid.threads_y;
      if (at >= call.rows) continue;
      float y[V];
      uint32_t above = 0;
      CSTP_UNROLL
      for (int v = 0; v < V; ++v) {
        float value = mapped(widened(x[u].values[v]), scale[v], shift[v]);
        if (Added) value += widened(more[Added ? u : 0].values[v]);
        const bool closed = value <= 0;  // false for what is no number: it passes, and is not hidden
        above |= static_cast<uint32_t>(!closed) << v;
        y[v] = call.relu && closed ? 0.0F : value;
      }
      write<T, V>(call.y, at * call.channels + column, y);
      if (call.gate != nullptr) call.gate[at * call.grid.columns + place.column] = static_cast<uint8_t>(above);
    }
  });
}

}  // namespace norm_kernels
}  // namespace cstp
