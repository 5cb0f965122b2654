// The renderer on a GPU: its pixels, its streams, its independence of the host. Skipped where there is none; what can
// be told without one is in render_cuda_test.cpp.
#include <gtest/gtest.h>
#include <torch/torch.h>

#include "cstp/augment/view_stream.h"
#include "cstp/core/error.h"
#include "device_views.h"
#include "made_videos.h"
#ifdef CSTP_CUDA
#include <c10/cuda/CUDAFunctions.h>
#endif

namespace cstp {
namespace {

class CudaRender : public ::testing::Test {
 protected:
  void SetUp() override {
    if (!torch::cuda::is_available()) GTEST_SKIP() << "no GPU here";
    if (!cuda_renders("auto", device_)) GTEST_SKIP() << "no kernels for this GPU in this build";
  }
  ViewOutput output(int64_t size, bool bf16 = false) const {
    return {.device = device_, .size = size, .cuda_renders = true, .bf16 = bf16};
  }
  const c10::Device device_ = c10::Device(c10::kCUDA, 0);
};

/// Largest difference in [0,1] units of views in [-1,1].
double apart(const at::Tensor& a, const at::Tensor& b) {
  return (a.to(torch::kCPU, torch::kFloat32) - b.to(torch::kCPU, torch::kFloat32)).abs().max().item<double>() / 2;
}

TEST_F(CudaRender, GivesThePixelsOfTheCpuBody) {
  const int64_t sides[][3] = {{96, 72, 40}, {131, 77, 37}, {340, 256, 224}, {320, 240, 112}, {50, 41, 56}};
  std::map<std::string, Draw> all = draws();
  all["sts"] = squeezed_view;
  for (const auto& [name, draw] : all) {
    for (uint64_t seed = 0; seed < 20; ++seed) {
      SCOPED_TRACE(cat(name, ", seed ", seed));
      const auto [width, height, size] = sides[seed % 5];
      Batch batch, same;
      for (uint64_t b = 0; b < 2; ++b) {
        const Scene made = scene(width, height, seed + 20 * b);
        Rng rng(seed, 7 + b);
        Sample sample = made.sample;
        for (int64_t v = 0; v < 2; ++v) {
          sample.plan.views.push_back(draw(made.video, sample.frame_numbers, size, rng));
          if (sample.plan.views.back().color.solarize < 1) sample.plan.views.back().color.solarize = 0.5;  // no jumps
        }
        batch.push_back(sample);
        same.push_back(sample);
      }
      for (Sample& sample : batch) render_sample(sample, size, {});
      for (Sample& sample : same) pack_for_device(sample, size, {});
      const at::Tensor expected = gather_views(batch, {.size = size}).views;
      const at::Tensor found = gather_views(same, output(size)).views;
      EXPECT_EQ(found.scalar_type(), torch::kFloat32);
      EXPECT_TRUE(found.is_contiguous(at::MemoryFormat::ChannelsLast3d));
      EXPECT_LT(apart(found, expected), 1.0 / 255 / 10);
      const at::Tensor half = gather_views(same, output(size, true)).views;
      EXPECT_EQ(half.scalar_type(), torch::kBFloat16);
      EXPECT_LT(apart(half, expected), 1.0 / 255);
    }
  }
}

TEST_F(CudaRender, GivesTheSameBitsAgain) {
  const Scene made = scene(320, 240, 3);
  Rng rng(5);
  Sample sample = made.sample;
  for (int64_t v = 0; v < 8; ++v) sample.plan.views.push_back(any_view(made.video, sample.frame_numbers, 112, rng));
  pack_for_device(sample, 112, {});
  const Batch batch = {sample};
  const at::Tensor first = gather_views(batch, output(112)).views;
  for (int i = 0; i < 5; ++i) EXPECT_TRUE(gather_views(batch, output(112)).views.equal(first));
}

std::vector<ViewBatch> batches_of(const MadeRun& run, const ViewOutput& output) {
  ViewStream stream(run.setup, output);
  std::vector<ViewBatch> batches;
  for (ViewBatch batch = stream.next(); batch.videos() > 0; batch = stream.next()) batches.push_back(batch);
  return batches;
}

TEST_F(CudaRender, TheStreamGivesTheBatchesOfTheCpu) {
  const MadeRun run(23, 4, 32);
  const std::vector<ViewBatch> expected = batches_of(run, {.size = 32});
  const std::vector<ViewBatch> found = batches_of(run, output(32));
  ASSERT_EQ(found.size(), expected.size());
  for (size_t i = 0; i < found.size(); ++i) {
    EXPECT_EQ(found[i].plans, expected[i].plans);
    EXPECT_EQ(found[i].records, expected[i].records);
    EXPECT_TRUE(found[i].labels.cpu().equal(expected[i].labels));
    EXPECT_TRUE(found[i].targets.cpu().equal(expected[i].targets));
    EXPECT_LT(apart(found[i].views, expected[i].views), 1.0 / 255 / 10);
  }
}

TEST_F(CudaRender, AStreamThatBeginsLaterGivesTheSameBits) {
  MadeRun run(16, 4, 32);
  const std::vector<ViewBatch> whole = batches_of(run, output(32, true));
  run.setup.first = 8;
  const std::vector<ViewBatch> resumed = batches_of(run, output(32, true));
  ASSERT_EQ(resumed.size(), 2U);
  for (size_t i = 0; i < 2; ++i) EXPECT_TRUE(resumed[i].views.equal(whole[i + 2].views));
}

/// Work on the main stream that lasts, on what next() gave: memory that is used again too early, or a step that does
/// not wait for its views, gives other numbers.
TEST_F(CudaRender, AStepSeesItsViewsAndNobodyWaits) {
  const MadeRun run(40, 4, 64);
  std::vector<double> expected;
  for (const ViewBatch& batch : batches_of(run, output(64))) expected.push_back(batch.views.cpu().sum().item<double>());
  const at::Tensor weights = torch::randn({2048, 2048}, device_);
  std::vector<at::Tensor> sums;
  ViewStream stream(run.setup, output(64));
  const auto step = [&] {
    const ViewBatch batch = stream.next();
    at::Tensor busy = weights;
    for (int i = 0; i < 20; ++i) busy = torch::mm(weights, busy).clamp(-1, 1);
    sums.push_back((batch.views + 0 * busy[0][0]).sum(torch::kFloat64));
  };
  for (int i = 0; i < 2; ++i) step();  // first uses of kernels and memory may wait
#ifdef CSTP_CUDA
  c10::cuda::warning_state().set_sync_debug_mode(c10::cuda::SyncDebugMode::L_ERROR);
#endif
  for (size_t i = 2; i < expected.size(); ++i) EXPECT_NO_THROW(step());
#ifdef CSTP_CUDA
  c10::cuda::warning_state().set_sync_debug_mode(c10::cuda::SyncDebugMode::L_DISABLED);
#endif
  ASSERT_EQ(sums.size(), expected.size());
  for (size_t i = 0; i < sums.size(); ++i) EXPECT_NEAR(sums[i].item<double>(), expected[i], 1e-6 * 1e5) << i;
}

}  // namespace
}  // namespace cstp
