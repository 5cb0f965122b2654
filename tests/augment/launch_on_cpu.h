/// The CUDA body's launches, run block by block and thread by thread on the CPU: the same functions over the same
/// numbers. Where threads meet on the GPU, a loop over them ends here. Shared memory is poisoned before each block, so
/// that what nobody wrote shows.
///
/// Not run here, as only a GPU can: the <<<>>> lines of render_cuda.cu and their shared memory's sizes, __syncthreads()
/// itself (here every loop over threads ends with it), and what is written apart under __CUDA_ARCH__: __ldg, stores of
/// 16 bytes, cvt.rn.bf16, __saturatef, __dmul_rn.
#pragma once
#include <cstdint>
#include <limits>
#include <vector>

#include "blur_body.h"
#include "cstp/core/error.h"
#include "render_cuda.h"
#include "view_table.h"

namespace cstp {

/// Packed views in the host's memory.
class HostViews final : public PackedViews {
 public:
  uint8_t* allocate(size_t wanted) override {
    memory_.assign((wanted + 15) / 16, {{0x7fc00000, 0x7fc00000, 0x7fc00000, 0x7fc00000}});  // not numbers
    return reinterpret_cast<uint8_t*>(memory_.data());
  }
  Address at() const { return reinterpret_cast<Address>(memory_.data()); }

 private:
  struct alignas(16) Piece {
    uint32_t words[4];
  };
  std::vector<Piece> memory_;
};

/// function(block) for all blocks of a grid.
template <class Function>
void for_each_block(int32_t tiles, const RenderLaunch& launch, int32_t views, const Function& function) {
  for (int32_t slot = 0; slot < views; ++slot) {
    for (int32_t t = 0; t < launch.clip_frames; ++t) {
      for (int32_t tile = 0; tile < tiles; ++tile) function(BlockNumber{tile, t, slot});
    }
  }
}

template <class Value>
void fold_on_cpu(int32_t threads, Value* partial) {
  for (int32_t half = first_fold(threads); half > 0; half /= 2) {
    for (int32_t thread = 0; thread < threads; ++thread) fold_sums(thread, threads, half, partial);
  }
}

template <int32_t kRows>
void sums_on_cpu(const RenderLaunch& launch) {
  const int32_t threads = launch.tile.threads();
  for_each_block(tiles_of(launch), launch, launch.contrast_count, [&](BlockNumber block) {
    std::vector<float> shared(static_cast<size_t>(launch.mixed_floats + 3 * threads),
                              std::numeric_limits<float>::quiet_NaN());
    float* partial = shared.data() + launch.mixed_floats;
    const Tile tile = tile_of(launch, block, true);
    check(tile.need.rows * tile.pitch <= launch.mixed_floats, "the mixed rows fit");
    for (int32_t thread = 0; thread < threads; ++thread) mix_tile(tile, thread, threads, shared.data());
    for (int32_t thread = 0; thread < threads; ++thread) {
      const ThreadPixels<kRows> at(launch, tile, thread);
      Rgb pixels[kRows];
      make_pixels<kRows>(launch, tile, at, tile.view->contrast, shared.data(), pixels);
      sum_pixels<kRows>(at, pixels, thread, threads, partial);
    }
    fold_on_cpu(threads, partial);
    for (int32_t c = 0; c < 3; ++c) launch.sums[3 * sums_place(launch, block) + c] = partial[c * threads];
  });
  for (int32_t slot = 0; slot < launch.contrast_count; ++slot) {
    std::vector<double> partial(3 * kMeanThreads);
    for (int32_t thread = 0; thread < kMeanThreads; ++thread) sum_blocks(launch, slot, thread, partial.data());
    fold_on_cpu(kMeanThreads, partial.data());
    write_means(launch, slot, partial.data());
  }
}

template <class As, int32_t kRows>
void tiles_on_cpu(const RenderLaunch& launch, typename As::Element* out) {
  using Element = typename As::Element;
  const int32_t threads = launch.tile.threads();
  const int64_t frame_elements = int64_t{launch.size} * launch.size * 3;
  for_each_block(tiles_of(launch), launch, launch.view_count, [&](BlockNumber block) {
    std::vector<float> shared(static_cast<size_t>(render_shared_bytes<Element>(launch) + 3) / 4,
                              std::numeric_limits<float>::quiet_NaN());
    float* mixed = shared.data();
    void* stage = shared.data() + launch.mixed_floats;
    const Tile tile = tile_of(launch, block, false);
    check(tile.need.rows * tile.pitch <= launch.mixed_floats, "the mixed rows fit");
    for (int32_t thread = 0; thread < threads; ++thread) mix_tile(tile, thread, threads, mixed);
    const auto make = [&](int32_t thread, Rgb(&pixels)[kRows]) {
      const ThreadPixels<kRows> at(launch, tile, thread);
      make_pixels<kRows>(launch, tile, at, tile.view->operations, mixed, pixels);
      return at;
    };
    Rgb pixels[kRows];
    const int32_t slot = tile.view->blur_slot;
    if (slot < 0) {
      auto* staged = static_cast<Element*>(stage);
      for (int32_t thread = 0; thread < threads; ++thread) {
        const ThreadPixels<kRows> at = make(thread, pixels);
        stage_pixels<As, kRows>(launch, tile, at, true, pixels, staged);
      }
      for (int32_t thread = 0; thread < threads; ++thread) {
        store_tile(staged_tile<Element>(launch, tile), launch.size, thread, threads, staged,
                   out + (int64_t{tile.view_row} * launch.clip_frames + tile.t) * frame_elements);
      }
    } else {
      auto* staged = static_cast<uint16_t*>(stage);
      for (int32_t thread = 0; thread < threads; ++thread) {
        const ThreadPixels<kRows> at = make(thread, pixels);
        stage_pixels<AsShare, kRows>(launch, tile, at, false, pixels, staged);
      }
      for (int32_t thread = 0; thread < threads; ++thread) {
        store_tile(staged_tile<uint16_t>(launch, tile), launch.size, thread, threads, staged,
                   launch.unblurred + (int64_t{slot} * launch.clip_frames + tile.t) * frame_elements);
      }
    }
  });
}

template <class As>
void blur_on_cpu(const RenderLaunch& launch, typename As::Element* out) {
  using Element = typename As::Element;
  const BlurMemory memory = blur_memory<Element>(launch.blur);
  const int64_t frame_elements = int64_t{launch.size} * launch.size * 3;
  const auto all = [](const auto& step) {
    for (int32_t thread = 0; thread < kBlurThreads; ++thread) step(thread);
  };
  for_each_block(blur_tiles_of(launch), launch, launch.blurred_count, [&](BlockNumber block) {
    std::vector<float> shared(static_cast<size_t>(memory.bytes) / 4, std::numeric_limits<float>::quiet_NaN());
    auto* in = reinterpret_cast<uint16_t*>(shared.data());
    float* across = shared.data() + memory.in_bytes / 4;
    auto* stage = reinterpret_cast<Element*>(shared.data());
    const BlurTile tile = blur_tile_of(launch, block);
    all([&](int32_t thread) { load_blur_rows(launch, tile, memory, thread, in); });
    all([&](int32_t thread) { fill_blur_edges(launch, tile, memory, thread, in); });
    all([&](int32_t thread) { blur_across(tile, memory, thread, in, across); });
    all([&](int32_t thread) { blur_down<As>(launch, tile, memory, thread, across, stage); });
    all([&](int32_t thread) {
      store_tile(staged_tile<Element>(launch, tile), launch.size, thread, kBlurThreads, stage,
                 out + (int64_t{tile.view_row} * launch.clip_frames + tile.t) * frame_elements);
    });
  });
}

/// As render_cuda().
template <class As>
void render_launch_on_cpu(const RenderLaunch& launch, typename As::Element* out) {
  if (launch.tile.rows == 4 * kThreadRows) {
    if (launch.contrast_count > 0) sums_on_cpu<4>(launch);
    tiles_on_cpu<As, 4>(launch, out);
  } else {
    if (launch.contrast_count > 0) sums_on_cpu<2>(launch);
    tiles_on_cpu<As, 2>(launch, out);
  }
  if (launch.blurred_count > 0) blur_on_cpu<As>(launch, out);
}

/// A batch packed, tabled and rendered as on a GPU. @return [V*B,T,S,S,3]
template <class As>
std::vector<typename As::Element> rendered_as_on_gpu(const std::vector<Sample>& batch, int64_t size,
                                                     const InputOptions& input) {
  std::vector<HostViews> packed(batch.size());
  std::vector<ViewTable::Part> parts;
  for (size_t b = 0; b < batch.size(); ++b) {
    pack_views(batch[b], size, input, packed[b]);
    parts.push_back({&packed[b], packed[b].at()});
  }
  const ViewTable table(parts);
  std::vector<uint64_t> records(table.bytes() / 8);
  RenderLaunch launch =
      table.write(reinterpret_cast<uint8_t*>(records.data()), reinterpret_cast<Address>(records.data()));
  std::vector<float> space(work_space(launch) / 4 + 4, std::numeric_limits<float>::quiet_NaN());
  const size_t past = reinterpret_cast<uintptr_t>(space.data()) % 16;
  set_work_space(launch, reinterpret_cast<uint8_t*>(space.data()) + (past == 0 ? 0 : 16 - past));
  const auto elements = static_cast<size_t>(int64_t{launch.view_count} * launch.clip_frames * size * size * 3);
  std::vector<typename As::Element> out(elements, typename As::Element(0xffff));
  render_launch_on_cpu<As>(launch, out.data());
  return out;
}

}  // namespace cstp
