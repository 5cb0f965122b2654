// Which steps are recorded as a CUDA graph; and, where there is a GPU, that replaying one changes nothing.
#include "cstp/engine/graphed_step.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <torch/cuda.h>
#include <torch/torch.h>

#include "cstp/core/error.h"
#include "cstp/engine/device.h"
#include "cstp/engine/optimizer.h"

namespace cstp {
namespace {

TEST(GraphedStep, SaysWhyAStepIsNotRecorded) {
  using testing::HasSubstr;
  const auto why = [](const GraphCase& run) { return why_eager(run); };
  EXPECT_THAT(why({.wanted = "off", .on_gpu = true, .capturable = true}), HasSubstr("cuda_graph is off"));
  EXPECT_THAT(why({.on_gpu = false, .capturable = true}), HasSubstr("no GPU"));
  EXPECT_THAT(why({.on_gpu = true, .ranks = 8, .capturable = true}), HasSubstr("8 ranks"));
  EXPECT_THAT(why({.on_gpu = true, .objective = "hdc"}), HasSubstr("objective hdc works on the host"));
}

TEST(GraphedStep, RefusesARunThatWantsARecordingAndCannotHaveIt) {
  EXPECT_THROW(why_eager({.wanted = "on", .on_gpu = false, .capturable = true}), ConfigError);
  EXPECT_THROW(why_eager({.wanted = "on", .on_gpu = true, .ranks = 2, .capturable = true}), ConfigError);
  try {
    why_eager({.wanted = "on", .on_gpu = true, .objective = "sts"});
    FAIL();
  } catch (const ConfigError& error) {
    EXPECT_THAT(error.what(), testing::HasSubstr("train.cuda_graph: on, but objective sts"));
  }
}

/// Losses of a small network that is trained on fresh rows at a rate that moves.
std::vector<double> losses(c10::Device device, bool recorded) {
  torch::manual_seed(4);
  torch::nn::Sequential network(torch::nn::Linear(12, 32), torch::nn::BatchNorm1d(32), torch::nn::ReLU(),
                                torch::nn::Linear(32, 3));
  network->to(device);
  Optimizer::Named parameters;
  for (const auto& item : network->named_parameters()) parameters.emplace_back(item.key(), item.value());
  Optimizer optimizer(parameters, {.name = "adamw", .clip_norm = 1});
  const at::Tensor rows = torch::zeros({16, 12}, device);
  at::Tensor loss;
  const auto body = [&] {
    optimizer.zero_grad();
    with_precision(true, device, [&] { loss = network->forward(rows).to(torch::kFloat32).square().mean(); });
    loss.backward();
    optimizer.update();
  };
  GraphedStep graph(device, /*must=*/true);
  std::vector<double> result;
  for (int step = 0; step < 10; ++step) {
    rows.copy_(torch::randn({16, 12}));
    optimizer.begin_step(0.1 / (1 + step));
    if (recorded) {
      graph.run(body);
    } else {
      body();
    }
    result.push_back(loss.item<double>());
  }
  EXPECT_EQ(graph.recorded(), recorded);
  return result;
}

TEST(CudaGraphedStep, TrainsAsTheStepItself) {
  if (!torch::cuda::is_available()) GTEST_SKIP() << "no GPU here";
  const c10::Device device = select_device("cuda");
  const std::vector<double> eager = losses(device, false), replayed = losses(device, true);
  for (size_t step = 0; step < eager.size(); ++step)
    EXPECT_NEAR(replayed[step], eager[step], 1e-4 + 1e-2 * eager[step]);
}

TEST(CudaGraphedStep, RefusesABodyThatReadsOnTheHost) {
  if (!torch::cuda::is_available()) GTEST_SKIP() << "no GPU here";
  const c10::Device device = select_device("cuda");
  const at::Tensor value = torch::ones({4}, device);
  GraphedStep graph(device, /*must=*/true);
  const auto body = [&] { static_cast<void>(value.sum().item<double>()); };
  for (int64_t step = 0; step < GraphedStep::kEager; ++step) graph.run(body);
  EXPECT_THROW(graph.run(body), DeviceError);
}

}  // namespace
}  // namespace cstp
