// Batches of views on the CPU, and where views are rendered.
#include "cstp/augment/view_stream.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <torch/torch.h>

#include "cstp/core/error.h"
#include "made_videos.h"

namespace cstp {
namespace {

constexpr int64_t kSide = 24;

TEST(ViewStream, GivesTheRenderedViewsViewByView) {
  MadeRun run(5, 2, kSide);
  ClipLoader loader(run.setup);
  ViewStream stream(run.setup, {.size = kSide});
  for (const int64_t videos : {2, 2, 1}) {
    const ViewBatch batch = stream.next();
    const Batch samples = loader.next();
    ASSERT_EQ(batch.videos(), videos);
    ASSERT_EQ(batch.views.sizes(), (std::vector<int64_t>{2 * videos, 3, 3, kSide, kSide}));
    EXPECT_TRUE(batch.views.is_contiguous(at::MemoryFormat::ChannelsLast3d));
    for (int64_t v = 0; v < 2; ++v) {
      for (int64_t b = 0; b < videos; ++b) {
        const Sample& sample = samples[static_cast<size_t>(b)];
        std::vector<float> one = rendered(sample, sample.plan.views[static_cast<size_t>(v)], kSide, "signed");
        const at::Tensor expected = torch::from_blob(one.data(), {3, kSide, kSide, 3}).permute({3, 0, 1, 2});
        EXPECT_TRUE(batch.views[v * videos + b].equal(expected));
        EXPECT_EQ(batch.targets[v * videos + b].item<float>(), sample.targets[static_cast<size_t>(v)]);
      }
    }
  }
  EXPECT_EQ(stream.next().videos(), 0);
  EXPECT_EQ(stream.next().videos(), 0);
}

TEST(CudaRenders, OnlyWhereTheNetworkComputesOnAGpu) {
  EXPECT_FALSE(cuda_renders("auto", c10::kCPU));
  EXPECT_FALSE(cuda_renders("cpu", c10::kCPU));
  EXPECT_FALSE(cuda_renders("cpu", c10::Device(c10::kCUDA, 0)));
  try {
    cuda_renders("cuda", c10::kCPU);
    FAIL() << "no GPU computes, and yet one should render";
  } catch (const DeviceError& error) {
    EXPECT_THAT(error.what(), ::testing::HasSubstr("loader.render: cuda was asked for"));
  }
}

TEST(GpuDecoding, IsRefusedWhereTheCpuNeedsThePixels) {
  MadeRun run(4, 2, kSide);
  const auto refusal = [&run](const ViewOutput& output) -> std::string {
    try {
      with_rendering(run.setup, output);
    } catch (const DeviceError& error) {
      return error.what();
    }
    return "";
  };
  const ViewOutput gpu{.device = {c10::kCUDA, 0}, .size = kSide, .cuda_renders = true};
  run.setup.options.decode = "cuda";
  EXPECT_THAT(refusal({.size = kSide}), ::testing::HasSubstr("loader.decode: cuda was asked for, but the CPU renders"));
  EXPECT_THAT(refusal(gpu), ::testing::HasSubstr("the objective measures its labels from the pixels"));
  run.setup.finish = nullptr;
  run.setup.options.cache_mb = 1;
  EXPECT_THAT(refusal(gpu), ::testing::HasSubstr("loader.cache_mb"));
  run.setup.options.decode = "auto";
  EXPECT_EQ(refusal(gpu), "");
}

}  // namespace
}  // namespace cstp
