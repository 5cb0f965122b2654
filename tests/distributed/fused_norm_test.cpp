/// Norm, sum and ReLU in one, against LibTorch's one after the other.
#include "fused_norm.h"

#include <gtest/gtest.h>
#include <torch/torch.h>

namespace cstp {
namespace {

struct Case {
  int64_t channels;
  bool added, relu;
  at::ScalarType type;
};

class FusedNormCases : public testing::TestWithParam<Case> {};

at::Tensor made(const Case& c, double mean) {
  return (torch::randn({3, c.channels, 4, 5, 6}) * 2 + mean)
      .to(c.type)
      .contiguous(at::MemoryFormat::ChannelsLast3d)
      .requires_grad_();
}

TEST_P(FusedNormCases, EqualsTheThreeSteps) {
  const Case c = GetParam();
  torch::manual_seed(3);
  // A mean far beyond the spread: sums of squares around 0 would lose the variance.
  const at::Tensor x = made(c, c.type == at::kFloat ? 300 : 3), addend = made(c, 0.5);
  torch::nn::BatchNorm3d norm(c.channels), expected(c.channels);
  {
    const torch::NoGradGuard no_grad;
    norm->weight.copy_(torch::randn({c.channels}));
    norm->bias.copy_(torch::randn({c.channels}));
    expected->weight.copy_(norm->weight);
    expected->bias.copy_(norm->bias);
  }
  expected->to(at::kDouble);
  ASSERT_TRUE(can_fuse_norm(*norm, x, c.added ? addend : at::Tensor()));
  const at::Tensor y = fused_norm(*norm, x, c.added ? addend : at::Tensor(), c.relu);
  EXPECT_TRUE(y.is_contiguous(at::MemoryFormat::ChannelsLast3d));
  EXPECT_EQ(y.scalar_type(), c.type);

  const at::Tensor wide_x = x.detach().to(at::kDouble).requires_grad_();
  const at::Tensor wide_addend = addend.detach().to(at::kDouble).requires_grad_();
  at::Tensor wide_y = expected->forward(wide_x);
  if (c.added) wide_y = wide_y + wide_addend;
  if (c.relu) wide_y = wide_y.relu();
  const double tolerance = c.type == at::kFloat ? 2e-4 : 4e-2;
  const auto near = [&](const at::Tensor& a, const at::Tensor& b) {
    return torch::allclose(a.to(at::kDouble), b, tolerance, tolerance);
  };
  EXPECT_TRUE(near(y, wide_y));
  EXPECT_TRUE(near(norm->running_mean, expected->running_mean));
  EXPECT_TRUE(near(norm->running_var, expected->running_var));
  EXPECT_EQ(norm->num_batches_tracked.item<int64_t>(), 1);

  // Values at the ReLU's edge may fall either way by rounding; their gradients are left out.
  const at::Tensor sure =
      c.relu ? ((wide_y > tolerance * 4) | (wide_y == 0)).to(at::kDouble) : torch::ones_like(wide_y);
  const at::Tensor gradient = torch::randn_like(wide_y) * sure;
  wide_y.backward(gradient);
  y.backward(gradient.to(c.type));
  EXPECT_TRUE(near(x.grad(), wide_x.grad()));
  const double rows = static_cast<double>(x.numel() / c.channels);
  EXPECT_TRUE(near(norm->weight.grad() / rows, expected->weight.grad() / rows));
  EXPECT_TRUE(near(norm->bias.grad() / rows, expected->bias.grad() / rows));
  if (c.added) {
    EXPECT_TRUE(near(addend.grad(), wide_addend.grad()));
  }
}

INSTANTIATE_TEST_SUITE_P(Cases, FusedNormCases,
                         testing::Values(Case{64, false, true, at::kFloat}, Case{45, false, true, at::kFloat},
                                         Case{45, true, true, at::kFloat}, Case{8, true, false, at::kFloat},
                                         Case{230, false, false, at::kFloat}, Case{1500, true, true, at::kFloat},
                                         Case{1, false, true, at::kFloat}, Case{64, false, true, at::kBFloat16},
                                         Case{45, true, true, at::kBFloat16}),
                         [](const auto& tested) {
                           return std::to_string(tested.param.channels) + (tested.param.added ? "Added" : "") +
                                  (tested.param.relu ? "Relu" : "") +
                                  (tested.param.type == at::kFloat ? "F32" : "Bf16");
                         });

TEST(FusedNorm, GivesTheSameBitsForAnyNumberOfThreads) {
  const int threads = at::get_num_threads();
  std::vector<at::Tensor> outputs, gradients;
  for (const int count : {1, 3}) {
    at::set_num_threads(count);
    torch::manual_seed(5);
    const at::Tensor x = torch::randn({2, 48, 8, 28, 28}).contiguous(at::MemoryFormat::ChannelsLast3d).requires_grad_();
    torch::nn::BatchNorm3d norm(48);
    outputs.push_back(fused_norm(*norm, x, {}, true));
    outputs.back().square().sum().backward();
    gradients.push_back(x.grad());
  }
  at::set_num_threads(threads);
  EXPECT_TRUE(torch::equal(outputs[0], outputs[1]));
  EXPECT_TRUE(torch::equal(gradients[0], gradients[1]));
}

TEST(FusedNorm, LetsNotANumberThrough) {
  at::Tensor x = torch::randn({2, 16, 2, 2, 2}).contiguous(at::MemoryFormat::ChannelsLast3d);
  x[0][3][0][0][0] = std::nan("");
  torch::nn::BatchNorm3d norm(16);
  const at::Tensor y = fused_norm(*norm, x, {}, true);
  EXPECT_TRUE(y.select(1, 3).isnan().all().item<bool>());
  EXPECT_FALSE(y.select(1, 2).isnan().any().item<bool>());
}

TEST(FusedNorm, LeavesWhatItCannotTakeToLibTorch) {
  torch::nn::BatchNorm3d norm(16);
  const at::Tensor x = torch::randn({2, 16, 2, 3, 4});
  const at::Tensor last = x.contiguous(at::MemoryFormat::ChannelsLast3d);
  EXPECT_TRUE(can_fuse_norm(*norm, last, {}));
  EXPECT_FALSE(can_fuse_norm(*norm, x, {}));
  EXPECT_FALSE(can_fuse_norm(*norm, last, x));
  EXPECT_FALSE(can_fuse_norm(*norm, last, last.slice(0, 0, 1)));
  EXPECT_FALSE(can_fuse_norm(*norm, last.to(at::kDouble), {}));
  EXPECT_FALSE(can_fuse_norm(*norm, last, last.to(at::kBFloat16)));
  norm->eval();
  EXPECT_FALSE(can_fuse_norm(*norm, last, {}));
}

}  // namespace
}  // namespace cstp
