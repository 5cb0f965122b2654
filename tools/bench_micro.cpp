// bench_micro: the parts of the renderer and of the sampler one by one, by Google Benchmark, on one block or one frame
// of a view of 112 x 112 pixels from a frame of 320 x 240. `--benchmark_filter=TEXT` picks some.
#include <benchmark/benchmark.h>

#include "augment_cases.h"
#include "block_ops.h"
#include "blur.h"
#include "cstp/sampling/draw.h"
#include "cstp/sampling/overlap_pair.h"
#include "cstp/sampling/view_recipe.h"
#include "view_geometry.h"

namespace cstp {
namespace {

constexpr int64_t kSize = 112;
constexpr VideoInfo kVideo{.frames = 300, .fps = 25, .width = 320, .height = 240, .seconds = 12};

const BenchCase& case_of(const std::string& name) {
  static const std::vector<BenchCase> cases = bench_cases();
  return *std::ranges::find_if(cases, [&](const BenchCase& bench) { return bench.name.starts_with(name); });
}

struct Block {
  CacheLines memory;
  PixelBlock pixels;
  Block() {
    memory.resize(kSize * kColumnFloats);
    pixels = {memory.data(), kSize};
    for (int64_t i = 0; i < kSize * kColumnFloats; ++i) pixels.data[i] = static_cast<float>(i * 37 % 101) / 100;
  }
};

void geometry(benchmark::State& state) {
  const BenchCase& bench = case_of("bilinear antialias 320");
  for (auto _ : state)
    benchmark::DoNotOptimize(make_geometry(bench.clips[0].frames[0], bench.views[0].plan, bench.size));
}
BENCHMARK(geometry);

void vertical_pass_of_luma(benchmark::State& state) {
  const BenchCase& bench = case_of("bilinear antialias 320");
  const Frame& frame = bench.clips[0].frames[0];
  const ViewGeometry g = make_geometry(frame, bench.views[0].plan, bench.size);
  MixedBlock mixed;
  for (auto _ : state) mix_block({frame.y, frame.y_stride}, g.luma_across, g.luma_down, 16, 48, mixed);
}
BENCHMARK(vertical_pass_of_luma);

void horizontal_pass_to_rgb(benchmark::State& state) {
  const BenchCase& bench = case_of("bilinear antialias 320");
  const Frame& frame = bench.clips[0].frames[0];
  const ViewGeometry g = make_geometry(frame, bench.views[0].plan, bench.size);
  MixedBlock y, cb, cr;
  mix_block({frame.y, frame.y_stride}, g.luma_across, g.luma_down, 16, 48, y);
  mix_block({frame.u, frame.uv_stride}, g.chroma_across, g.chroma_down, 128, 48, cb);
  mix_block({frame.v, frame.uv_stride}, g.chroma_across, g.chroma_down, 128, 48, cr);
  const YcbcrToRgb coefficients = ycbcr_to_rgb(frame.matrix, frame.range);
  Block block;
  for (auto _ : state) mix_to_rgb(y, cb, cr, g.luma_across, g.chroma_across, coefficients, 0, kSize, block.pixels.data);
}
BENCHMARK(horizontal_pass_to_rgb);

/// One operation on a block whose pixels do not matter.
template <class Operation>
void on_block(const char* name, Operation operation) {
  benchmark::RegisterBenchmark(name, [operation](benchmark::State& state) {
    Block block;
    for (auto _ : state) operation(block.pixels);
  });
}

void register_operations() {
  on_block("brightness", [](const PixelBlock& block) { change_brightness(block, 1.0F); });
  on_block("contrast", [](const PixelBlock& block) { change_contrast(block, 1.0F, 0.5F); });
  on_block("saturation", [](const PixelBlock& block) { change_saturation(block, 1.0F); });
  on_block("hsv_saturation", [](const PixelBlock& block) { change_hsv_saturation(block, 1.0F); });
  on_block("hue", [](const PixelBlock& block) { change_hue(block, 0.1F); });
  on_block("grey", [](const PixelBlock& block) { make_grey(block, ColorRule::torchvision); });
  on_block("luma_sum", [](const PixelBlock& block) { benchmark::DoNotOptimize(luma_sum(block)); });
}

void blurred_frame(benchmark::State& state) {
  Block block;
  Blur blur;
  const std::vector<float> kernel = gaussian_kernel(1.5, kSize);
  std::vector<float> rows(static_cast<size_t>(6 * kSize));
  for (auto _ : state) {
    blur.begin(kSize, without_tails(kernel), BlurBorder::reflect);
    for (int64_t row = 0; row < kSize; row += kRowBlock) blur.add(block.pixels);
    for (int64_t y = 0; y < kSize; y += 2) blur.take(y, rows.data(), rows.data() + 3 * kSize);
  }
}
BENCHMARK(blurred_frame);

void pixels_on_their_way_out(benchmark::State& state) {
  Block block;
  std::vector<float> out(static_cast<size_t>(kSize * kColumnFloats));
  CacheLines rows;
  rows.resize(kSize * kColumnFloats);
  const InputAffine range{{2, 2, 2}, {-1, -1, -1}};
  for (auto _ : state) {
    columns_to_rows(block.pixels.data, 3 * kSize, kRowBlock, 3 * kSize, rows.data());
    finish_pixels({rows.data(), out.size()}, 2.0F, range, /*past=*/true, out.data());
  }
}
BENCHMARK(pixels_on_their_way_out);

/// Whole views of a case, in turn.
void view_of_case(benchmark::State& state, const std::string& name) {
  const BenchCase& bench = case_of(name);
  std::vector<float> out(static_cast<size_t>(kBenchFrames * bench.size * bench.size * 3));
  size_t i = 0;
  for (auto _ : state) {
    const BenchView& view = bench.views[i++ % bench.views.size()];
    render_cpu(bench.clips[view.clip], view.plan, bench.size, bench.input, out);
  }
}
BENCHMARK_CAPTURE(view_of_case, plain, "bilinear antialias 320");
BENCHMARK_CAPTURE(view_of_case, cvrl, "cvrl 320");
BENCHMARK_CAPTURE(view_of_case, cstp, "cstp 320");

void draw_of_overlap_pair(benchmark::State& state) {
  uint64_t position = 0;
  for (auto _ : state) {
    Rng rng(1, 0, position++);
    benchmark::DoNotOptimize(draw_overlap_pair(kVideo, {}, rng));
  }
}
BENCHMARK(draw_of_overlap_pair);

void draw_of_recipe_view(benchmark::State& state) {
  uint64_t position = 0;
  ViewPlan view;
  for (auto _ : state) {
    Rng rng(1, 0, position++);
    draw_recipe_view(kVideo, {}, 0, kSize, rng, view);
  }
}
BENCHMARK(draw_of_recipe_view);

void evaluation_grid(benchmark::State& state) {
  for (auto _ : state) benchmark::DoNotOptimize(evaluation_plan(kVideo, {}));
}
BENCHMARK(evaluation_grid);

}  // namespace
}  // namespace cstp

int main(int argc, char** argv) {
  benchmark::Initialize(&argc, argv);
  if (benchmark::ReportUnrecognizedArguments(argc, argv)) return 2;
  cstp::register_operations();
  benchmark::RunSpecifiedBenchmarks();
  return 0;
}
