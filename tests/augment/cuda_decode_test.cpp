// Decoding on a GPU against the CPU, whose bytes it must give. Skipped where there is none. Not testable without one:
// src/video/gpu_session.cpp, whose work is copies, memory and streams; how reads and loaders use it is told by
// clip_loader_test.cpp (which side a sample is on) and render_cuda_test.cpp (planes that are left where they lie).
#include <gtest/gtest.h>
#include <torch/torch.h>

#include <algorithm>
#include <atomic>
#include <filesystem>
#include <thread>

#include "cstp/augment/view_stream.h"
#include "cstp/core/error.h"
#include "cstp/video/video_reader.h"
#include "cstp/video/video_writer.h"
#include "made_videos.h"

namespace cstp {
namespace {

namespace fs = std::filesystem;

class CudaDecode : public ::testing::Test {
 protected:
  void SetUp() override {
    if (!torch::cuda::is_available()) GTEST_SKIP() << "no GPU here";
    try {
      decoders_ = std::make_unique<GpuDecoders>(0, nullptr);
    } catch (const DeviceError& error) {
      GTEST_SKIP() << error.what();
    }
    fs::create_directories(folder_);
    for (const auto& [width, height] : {std::pair<int64_t, int64_t>{320, 240}, {322, 242}, {64, 48}, {1280, 720}}) {
      const std::string path = (folder_ / cat(width, "x", height, ".mp4")).string();
      VideoWriter writer(path, {.width = width, .height = height});
      std::vector<uint8_t> rgb(static_cast<size_t>(width * height * 3));
      for (int64_t t = 0; t < kFrames; ++t) {
        for (size_t i = 0; i < rgb.size(); ++i) rgb[i] = static_cast<uint8_t>(i / 7 * 3 + static_cast<size_t>(t) * 5);
        writer.write(rgb);
      }
      writer.finish();
      paths_.push_back(path);
    }
  }
  void TearDown() override {
    decoders_.reset();
    fs::remove_all(folder_);
  }

  static constexpr int64_t kFrames = 40;
  const fs::path folder_ = fs::path(::testing::TempDir()) / "cuda_decode";
  std::vector<std::string> paths_;
  std::unique_ptr<GpuDecoders> decoders_;
};

/// Bytes of `rows` rows from the GPU.
std::vector<uint8_t> fetched(const uint8_t* plane, int64_t stride, int64_t width, int64_t rows) {
  const auto options = torch::TensorOptions().dtype(torch::kUInt8).device(torch::kCUDA, 0);
  const at::Tensor there = torch::from_blob(const_cast<uint8_t*>(plane), {rows, width}, {stride, 1}, options);
  const at::Tensor here = there.contiguous().cpu();
  return {here.data_ptr<uint8_t>(), here.data_ptr<uint8_t>() + here.numel()};
}

void expect_same(const Frame& gpu, const Frame& cpu) {
  ASSERT_EQ(gpu.width, cpu.width);
  ASSERT_EQ(gpu.height, cpu.height);
  EXPECT_EQ(gpu.matrix, cpu.matrix);
  EXPECT_EQ(gpu.range, cpu.range);
  const std::vector<uint8_t> luma = fetched(gpu.y, gpu.y_stride, gpu.width, gpu.height);
  EXPECT_TRUE(std::equal(luma.begin(), luma.end(), cpu.y));
  const std::vector<uint8_t> chroma =
      fetched(std::min(gpu.u, gpu.v), gpu.uv_stride, 2 * gpu.chroma_width(), gpu.chroma_height());
  int64_t wrong = 0;
  for (int64_t i = 0; i < gpu.chroma_width() * gpu.chroma_height(); ++i) {
    const auto at = static_cast<size_t>(2 * i);
    wrong += chroma[at] != cpu.u[i] || chroma[at + 1] != cpu.v[i];
  }
  EXPECT_EQ(wrong, 0);
}

std::vector<int64_t> drawn_frames(Rng& rng, int64_t count) {
  std::vector<int64_t> frames;
  for (int i = 0; i < 10; ++i) frames.push_back(rng.integer(0, count - 1));
  std::ranges::sort(frames);
  return frames;
}

TEST_F(CudaDecode, GivesTheBytesOfTheCpu) {
  for (const std::string& path : paths_) {
    SCOPED_TRACE(path);
    VideoReader reader(path);
    for (uint64_t seed = 0; seed < 6; ++seed) {
      Rng rng(seed);
      const std::vector<int64_t> frames = drawn_frames(rng, reader.info().frames);
      const auto there = reader.read_on_gpu(frames, *decoders_, true);
      ASSERT_TRUE(there);
      std::vector<std::unique_ptr<uint8_t[]>> memory;
      const std::vector<Frame> here = reader.read(frames, [&memory](size_t bytes) {
        memory.push_back(std::make_unique<uint8_t[]>(bytes));
        return memory.back().get();
      });
      ASSERT_EQ(there->frames.size(), here.size());
      for (size_t i = 0; i < here.size(); ++i) expect_same(there->frames[i], here[i]);
    }
  }
}

TEST_F(CudaDecode, ManyThreadsShareItsDecoders) {
  std::vector<std::thread> threads;
  std::atomic<int64_t> wrong{0};
  for (uint64_t n = 0; n < 3 * GpuDecoders::kMost; ++n) {
    threads.emplace_back([&, n] {
      Rng rng(n);
      for (int i = 0; i < 6; ++i) {
        VideoReader reader(paths_[static_cast<size_t>(rng.integer(0, std::ssize(paths_) - 1))]);
        const auto there = reader.read_on_gpu(drawn_frames(rng, kFrames), *decoders_, true);
        wrong += !there || there->frames.size() != 10;
      }
    });
  }
  for (std::thread& thread : threads) thread.join();
  EXPECT_EQ(wrong, 0);
}

TEST_F(CudaDecode, TheStreamGivesTheViewsOfTheCpu) {
  MadeRun run(24, 4, 40);
  run.dataset.videos.clear();
  for (const std::string& path : paths_) run.dataset.videos.push_back({path, 0});
  run.setup.place = [](int64_t n) { return StreamPlace{.epoch = 0, .position = n, .record = n % 4}; };
  run.setup.finish = nullptr;
  run.setup.open = nullptr;
  const auto views_of = [&run](const std::string& decode, const ViewOutput& output) {
    run.setup.options.decode = decode;
    ViewStream stream(run.setup, output);
    std::vector<at::Tensor> views;
    for (ViewBatch batch = stream.next(); batch.videos() > 0; batch = stream.next()) views.push_back(batch.views.cpu());
    return torch::cat(views);
  };
  const ViewOutput there{.device = {c10::kCUDA, 0}, .size = 40, .cuda_renders = true};
  const at::Tensor expected = views_of("cpu", {.size = 40});
  EXPECT_TRUE(views_of("cuda", there).equal(views_of("cpu", there)));
  EXPECT_LT((views_of("cuda", there) - expected).abs().max().item<double>(), 2.0 / 255);
}

}  // namespace
}  // namespace cstp
