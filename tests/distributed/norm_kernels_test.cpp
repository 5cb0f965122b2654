// The batch norm's kernels, run over the launchers' own grid on the CPU, against LibTorch in f64 and against the loops
// of the CPU. Left to a GPU (norm_cuda.cu): the launch, shared memory, the barrier, and bf16's rounding instruction.
#include <gtest/gtest.h>
#include <torch/cuda.h>
#include <torch/torch.h>

#include <string>
#include <tuple>
#include <vector>

#include "fused_norm.h"
#include "host_norm.h"
#include "norm_by_kernels.h"

namespace cstp {
namespace {

at::Tensor channels_last(const at::Tensor& x) { return x.contiguous(at::MemoryFormat::ChannelsLast3d); }

TEST(NormGrid, GivesEveryRowOfEveryColumnToOneThread) {
  for (const auto& [rows, channels] :
       {std::tuple<int64_t, int64_t>{1, 8}, {7, 45}, {1000, 64}, {3136, 512}, {515, 1500}, {129, 2304}, {5000, 24}}) {
    for (const int32_t multiprocessors : {1, 3, 132}) {
      for (const bool bf16 : {false, true}) {
        SCOPED_TRACE(testing::Message() << rows << " x " << channels << ", " << multiprocessors << ", " << bf16);
        NormCall call;
        call.rows = rows;
        call.channels = channels;
        call.grid = norm_grid(rows, channels, bf16, 0, multiprocessors);
        EXPECT_LE(call.grid.threads(), NormGrid::kThreads);
        EXPECT_EQ(call.grid.columns * call.grid.vector, channels);
        EXPECT_LE(call.grid.blocks_x * call.grid.blocks_y,
                  std::max(kResidentBlocks * multiprocessors, call.grid.blocks_x));
        for (const bool from_the_end : {false, true}) {
          std::vector<int> seen(static_cast<size_t>(rows * call.grid.columns));
          host_norm::for_each_block(call.grid, [&](norm_kernels::Block block) {
            for (int32_t t = 0; t < call.grid.threads(); ++t) {
              const auto place = norm_kernels::place_of(call.grid, block, t);
              if (!place.inside) continue;
              norm_kernels::for_each_run<2>(call, block, place, from_the_end, [&](int64_t row) {
                for (int u = 0; u < 2; ++u, row += call.grid.threads_y) {
                  if (row < rows) ++seen[static_cast<size_t>(row * call.grid.columns + place.column)];
                }
              });
            }
          });
          EXPECT_EQ(std::count(seen.begin(), seen.end(), 1), std::ssize(seen));
        }
      }
    }
  }
}

TEST(NormGrid, TakesSixteenBytesAtATimeWhereItCan) {
  EXPECT_EQ(norm_grid(100, 64, true, 0x100, 8).vector, 8);
  EXPECT_EQ(norm_grid(100, 64, false, 0x100, 8).vector, 4);
  EXPECT_EQ(norm_grid(100, 460, false, 0x100, 8).vector, 4);
  EXPECT_EQ(norm_grid(100, 460, true, 0x100, 8).vector, 1);
  EXPECT_EQ(norm_grid(100, 921, true, 0x100, 8).vector, 1);
  EXPECT_EQ(norm_grid(100, 64, true, 0x102, 8).vector, 1);  // no 16-byte address
}

struct Case {
  int64_t channels;
  bool added, relu;
  at::ScalarType type;
  int32_t multiprocessors = 2;
};

class NormKernels : public testing::TestWithParam<Case> {};

/// A norm with weights, and the same in f64.
std::pair<torch::nn::BatchNorm3d, torch::nn::BatchNorm3d> made_norms(int64_t channels) {
  torch::nn::BatchNorm3d norm(channels), exact(channels);
  const torch::NoGradGuard no_grad;
  norm->weight.copy_(torch::randn({channels}));
  norm->bias.copy_(torch::randn({channels}));
  exact->weight.copy_(norm->weight);
  exact->bias.copy_(norm->bias);
  exact->to(at::kDouble);
  return {norm, exact};
}

bool near(const at::Tensor& a, const at::Tensor& b, double tolerance) {
  return torch::allclose(a.to(at::kDouble), b.to(at::kDouble), tolerance, tolerance);
}

TEST_P(NormKernels, EqualTheNormTheSumAndTheRelu) {
  const Case c = GetParam();
  host_multiprocessors = c.multiprocessors;
  torch::manual_seed(3);
  const auto made = [&](double mean) {
    return channels_last((torch::randn({3, c.channels, 4, 7, 9}) * 2 + mean).to(c.type)).requires_grad_();
  };
  // A mean far beyond the spread: sums of squares around 0 would lose the variance.
  const at::Tensor x = made(c.type == at::kFloat ? 300 : 3), addend = made(0.5);
  const auto [norm, exact] = made_norms(c.channels);
  const auto [looped, unused] = made_norms(c.channels);
  {
    const torch::NoGradGuard no_grad;
    looped->weight.copy_(norm->weight);
    looped->bias.copy_(norm->bias);
  }
  const at::Tensor more = c.added ? addend : at::Tensor();
  torch::nn::BatchNorm3d kernel_norm = norm;
  const at::Tensor y = norm_by_kernels(host_norm_launchers(), *kernel_norm, x, more, c.relu, {});
  EXPECT_TRUE(y.is_contiguous(at::MemoryFormat::ChannelsLast3d));
  EXPECT_EQ(y.scalar_type(), c.type);

  torch::nn::BatchNorm3d exact_norm = exact;
  const at::Tensor wide_x = x.detach().to(at::kDouble).requires_grad_();
  const at::Tensor wide_addend = addend.detach().to(at::kDouble).requires_grad_();
  at::Tensor wide_y = exact_norm->forward(wide_x);
  if (c.added) wide_y = wide_y + wide_addend;
  const at::Tensor before_relu = wide_y.detach();
  if (c.relu) wide_y = wide_y.relu();
  const double tolerance = c.type == at::kFloat ? 2e-4 : 4e-2;
  EXPECT_TRUE(near(y, wide_y, tolerance));
  EXPECT_TRUE(near(norm->running_mean, exact->running_mean, 1e-5));
  EXPECT_TRUE(near(norm->running_var, exact->running_var, 1e-4));
  EXPECT_EQ(norm->num_batches_tracked.item<int64_t>(), 1);

  const at::Tensor loop_x = x.detach().clone().requires_grad_(), loop_addend = addend.detach().clone().requires_grad_();
  torch::nn::BatchNorm3d loop_norm = looped;
  const at::Tensor loop_y = fused_norm(*loop_norm, loop_x, c.added ? loop_addend : at::Tensor(), c.relu);
  EXPECT_TRUE(near(y, loop_y, c.type == at::kFloat ? 1e-4 : 2e-2));

  // Values at the ReLU's edge may fall either way by rounding; their gradients are left out.
  const at::Tensor sure = c.relu ? (before_relu.abs() > tolerance * 4).to(at::kDouble) : torch::ones_like(wide_y);
  const at::Tensor gradient = channels_last(torch::randn_like(wide_y) * sure);
  wide_y.backward(gradient);
  y.backward(gradient.to(c.type));
  loop_y.backward(gradient.to(c.type));
  EXPECT_TRUE(near(x.grad(), wide_x.grad(), tolerance));
  EXPECT_TRUE(near(x.grad(), loop_x.grad(), c.type == at::kFloat ? 1e-5 : 2e-2));
  EXPECT_TRUE(x.grad().is_contiguous(at::MemoryFormat::ChannelsLast3d));
  const double rows = static_cast<double>(x.numel() / c.channels);
  EXPECT_TRUE(near(norm->weight.grad() / rows, exact->weight.grad() / rows, tolerance));
  EXPECT_TRUE(near(norm->bias.grad() / rows, exact->bias.grad() / rows, tolerance));
  if (c.added) {
    EXPECT_TRUE(near(addend.grad(), wide_addend.grad(), tolerance));
  }
}

constexpr auto kF32 = at::kFloat, kBf16 = at::kBFloat16;
INSTANTIATE_TEST_SUITE_P(Cases, NormKernels,
                         testing::Values(Case{64, false, true, kF32}, Case{45, false, true, kF32},
                                         Case{45, true, true, kF32}, Case{8, true, false, kF32},
                                         Case{230, false, false, kF32}, Case{460, true, true, kF32},
                                         Case{921, false, true, kF32}, Case{1500, true, true, kF32, 132},
                                         Case{1, false, true, kF32}, Case{64, false, true, kBf16},
                                         Case{144, true, true, kBf16}, Case{64, true, false, kBf16},
                                         Case{45, true, true, kBf16}, Case{921, true, true, kBf16},
                                         Case{2304, false, true, kBf16}, Case{64, true, true, kBf16, 132}),
                         [](const auto& tested) {
                           return std::to_string(tested.param.channels) + (tested.param.added ? "Added" : "") +
                                  (tested.param.relu ? "Relu" : "") + (tested.param.type == kF32 ? "F32" : "Bf16") +
                                  "On" + std::to_string(tested.param.multiprocessors);
                         });

TEST(NormKernels, LetNotANumberThrough) {
  at::Tensor x = channels_last(torch::randn({2, 16, 2, 2, 2}));
  x[0][3][0][0][0] = std::nan("");
  torch::nn::BatchNorm3d norm(16);
  for (const at::Tensor& addend : {at::Tensor(), x}) {
    const at::Tensor y = norm_by_kernels(host_norm_launchers(), *norm, x, addend, true, {});
    EXPECT_TRUE(y.select(1, 3).isnan().all().item<bool>());
    EXPECT_FALSE(y.select(1, 2).isnan().any().item<bool>());
  }
}

TEST(NormKernels, TakeAnAddendAtAnOddAddress) {  // forward and backward must cut values alike
  torch::manual_seed(11);
  const at::Tensor x = channels_last(torch::randn({2, 16, 2, 3, 3})).requires_grad_();
  const at::Tensor room = torch::randn({1 + x.numel()});
  const at::Tensor addend = room.narrow(0, 1, x.numel()).as_strided(x.sizes(), x.strides(), 1).requires_grad_();
  ASSERT_NE(reinterpret_cast<uintptr_t>(addend.const_data_ptr()) % 16, 0U);
  const auto [norm, exact] = made_norms(16);
  torch::nn::BatchNorm3d own = norm;
  const at::Tensor y = norm_by_kernels(host_norm_launchers(), *own, x, addend, true, {});
  y.sum().backward();
  EXPECT_TRUE(near(addend.grad(), (y > 0).to(torch::kFloat32), 1e-6));
}

TEST(NormKernels, KeepPaddingChannelsZeroAndOutOfEverything) {
  torch::manual_seed(5);
  const at::Tensor x = channels_last(torch::randn({2, 45, 3, 5, 5}));
  const at::Tensor gradient = torch::randn_like(x);
  at::Tensor padded = channels_last(at::constant_pad_nd(x, {0, 0, 0, 0, 0, 0, 0, 3}));
  const auto [norm, same] = made_norms(45);
  const at::Tensor plain_x = x.clone().requires_grad_(), padded_x = padded.requires_grad_();
  torch::nn::BatchNorm3d of_plain = norm, of_padded(45);
  {
    const torch::NoGradGuard no_grad;
    of_padded->weight.copy_(of_plain->weight);
    of_padded->bias.copy_(of_plain->bias);
  }
  const at::Tensor y = norm_by_kernels(host_norm_launchers(), *of_plain, plain_x, {}, true, {});
  const at::Tensor wide = norm_by_kernels(host_norm_launchers(), *of_padded, padded_x, {}, true, {});
  ASSERT_EQ(wide.size(1), 48);
  EXPECT_TRUE(near(wide.narrow(1, 0, 45), y, 1e-6));
  EXPECT_EQ(wide.narrow(1, 45, 3).abs().max().item<float>(), 0);
  y.backward(gradient);
  wide.backward(channels_last(at::constant_pad_nd(gradient, {0, 0, 0, 0, 0, 0, 0, 3}, 7)));  // whatever stands there
  EXPECT_TRUE(near(padded_x.grad().narrow(1, 0, 45), plain_x.grad(), 1e-6));
  EXPECT_EQ(padded_x.grad().narrow(1, 45, 3).abs().max().item<float>(), 0);
  EXPECT_TRUE(near(of_padded->weight.grad(), of_plain->weight.grad(), 1e-5));
  EXPECT_TRUE(near(of_padded->bias.grad(), of_plain->bias.grad(), 1e-5));
  EXPECT_TRUE(near(of_padded->running_var, of_plain->running_var, 1e-6));
}

/// Launchers of a rank whose partner saw the same rows: every sum over ranks is twice its own.
struct Doubled {
  static const char* moments(const NormForward& call, bool, void* stream) {
    const char* error = host_norm::moments(call, false, stream);
    for (int64_t c = 0; c <= 2 * call.channels; ++c) call.totals[c] *= 2;
    return error == nullptr ? host_norm::statistics(call, stream) : error;
  }
  static const char* gradient_sums(const NormBackward& call, bool, void* stream) {
    const char* error = host_norm::gradient_sums(call, false, stream);
    for (int64_t c = 0; c < 2 * call.channels; ++c) call.totals[c] *= 2;
    return error == nullptr ? host_norm::bends(call, stream) : error;
  }
};

TEST(NormKernels, MayHaveTheirTotalsSummedOverRanks) {
  torch::manual_seed(7);
  const at::Tensor x = channels_last(torch::randn({2, 24, 3, 5, 5}));
  const at::Tensor gradient = channels_last(torch::randn_like(x));
  NormLaunchers of_rank = host_norm_launchers();
  of_rank.moments = Doubled::moments;
  of_rank.gradient_sums = Doubled::gradient_sums;
  const auto [norm, exact] = made_norms(24);
  torch::nn::BatchNorm3d of_one = norm, of_both = exact;
  const at::Tensor part = x.clone().requires_grad_();
  const at::Tensor both = torch::cat({x, x}).to(at::kDouble).requires_grad_();
  const at::Tensor y = norm_by_kernels(of_rank, *of_one, part, {}, true, {});
  const at::Tensor whole = of_both->forward(both).relu();
  EXPECT_TRUE(near(y, whole.narrow(0, 0, 2), 1e-5));
  EXPECT_TRUE(near(of_one->running_var, of_both->running_var, 1e-5));
  y.backward(gradient);
  whole.backward(torch::cat({gradient, gradient}).to(at::kDouble));
  EXPECT_TRUE(near(part.grad(), both.grad().narrow(0, 0, 2), 1e-4));
  EXPECT_TRUE(near(of_one->weight.grad() * 2, of_both->weight.grad(), 1e-3));  // of its own rows
}

TEST(CudaNorm, GivesWhatTheCpuGives) {
  if (!torch::cuda::is_available()) GTEST_SKIP() << "no GPU here";
  for (const auto type : {kF32, kBf16}) {
    for (const int64_t channels : {64, 45, 230, 921}) {
      for (const bool added : {false, true}) {
        torch::manual_seed(9);
        const auto made = [&] { return channels_last((torch::randn({8, channels, 8, 28, 28}) * 2 + 1).to(type)); };
        const at::Tensor x = made(), addend = made(), gradient = made();
        const auto [norm, unused] = made_norms(channels);
        std::vector<at::Tensor> outputs, slopes;
        for (const c10::Device device : {c10::Device(c10::kCPU), c10::Device(c10::kCUDA, 0)}) {
          torch::nn::BatchNorm3d own(channels);
          {
            const torch::NoGradGuard no_grad;
            own->weight.copy_(norm->weight);
            own->bias.copy_(norm->bias);
          }
          own->to(device);
          const at::Tensor here = x.to(device).requires_grad_();
          const at::Tensor more = added ? addend.to(device) : at::Tensor();
          ASSERT_TRUE(can_fuse_norm(*own, here, more));
          const at::Tensor y = fused_norm(*own, here, more, true);
          y.backward(gradient.to(device));
          outputs.push_back(y.detach().cpu());
          slopes.push_back(here.grad().cpu());
        }
        const double tolerance = type == kF32 ? 1e-4 : 4e-2;
        EXPECT_TRUE(near(outputs[1], outputs[0], tolerance)) << channels;
        const at::Tensor apart = (slopes[1] - slopes[0]).to(at::kDouble).norm() / slopes[0].to(at::kDouble).norm();
        EXPECT_LT(apart.item<double>(), type == kF32 ? 1e-3 : 1e-2) << channels;
      }
    }
  }
}

}  // namespace
}  // namespace cstp
