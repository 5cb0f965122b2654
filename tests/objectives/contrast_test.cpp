// Contrastive losses against numbers worked by hand and against plain loops in double precision.
#include "contrast.h"

#include <gtest/gtest.h>
#include <torch/torch.h>

#include <cmath>
#include <functional>

namespace cstp {
namespace {

at::Tensor rows(std::vector<std::vector<double>> values) {
  std::vector<at::Tensor> tensors;
  for (const auto& row : values) tensors.push_back(torch::tensor(row, torch::kDouble));
  return torch::stack(tensors);
}

double cosine(const at::Tensor& a, const at::Tensor& b) {
  double ab = 0, aa = 0, bb = 0;
  for (int64_t i = 0; i < a.numel(); ++i) {
    const double x = a[i].item<double>();
    const double y = b[i].item<double>();
    ab += x * y;
    aa += x * x;
    bb += y * y;
  }
  return ab / std::sqrt(aa * bb);
}

/// The gradient that autograd gives equals central differences.
void expect_gradient(const at::Tensor& at, const std::function<at::Tensor(const at::Tensor&)>& loss) {
  const at::Tensor x = at.clone().requires_grad_();
  loss(x).backward();
  constexpr double kStep = 1e-5;
  for (int64_t i = 0; i < x.numel(); ++i) {
    at::Tensor up = at.clone(), down = at.clone();
    up.view(-1)[i] += kStep;
    down.view(-1)[i] -= kStep;
    const double slope = (loss(up) - loss(down)).item<double>() / (2 * kStep);
    EXPECT_NEAR(x.grad().view(-1)[i].item<double>(), slope, 1e-7);
  }
}

TEST(CosineDistance, HasTheWorkedValues) {
  const at::Tensor d = cosine_distance(rows({{3, 4}, {1, 0}, {1, 0}, {1, 2}}), rows({{4, 3}, {0, 1}, {-2, 0}, {2, 1}}));
  EXPECT_NEAR(d[0].item<double>(), 0.08, 1e-12);
  EXPECT_NEAR(d[1].item<double>(), 2, 1e-12);
  EXPECT_NEAR(d[2].item<double>(), 4, 1e-12);
  EXPECT_NEAR(d[3].item<double>(), 0.4, 1e-12);
}

TEST(ByolLoss, SumsBothDirections) {
  // q_1 against z_2 gives 0.08, q_2 against z_1 gives 0.4.
  EXPECT_NEAR(byol_loss(rows({{3, 4}, {1, 2}}), rows({{2, 1}, {4, 3}})).item<double>(), 0.48, 1e-12);
}

TEST(ByolLoss, IsTheMeanOverVideos) {
  torch::manual_seed(1);
  const at::Tensor q = torch::randn({6, 5}, torch::kDouble);
  const at::Tensor z = torch::randn({6, 5}, torch::kDouble);
  double sum = 0;
  for (int64_t b = 0; b < 3; ++b) sum += 4 - 2 * cosine(q[b], z[b + 3]) - 2 * cosine(q[b + 3], z[b]);
  EXPECT_NEAR(byol_loss(q, z).item<double>(), sum / 3, 1e-12);
  expect_gradient(q, [&](const at::Tensor& x) { return byol_loss(x, z); });
}

TEST(ByolLoss, IsFiniteForZeroRows) {
  const at::Tensor q = torch::zeros({2, 4}).requires_grad_();
  const at::Tensor loss = byol_loss(q, torch::randn({2, 4}));
  loss.backward();
  EXPECT_NEAR(loss.item<double>(), 4, 1e-6);
  EXPECT_TRUE(q.grad().isfinite().all().item<bool>());
}

TEST(InfoNce, EqualsAPlainLoop) {
  torch::manual_seed(2);
  constexpr double kTemperature = 0.5;
  const at::Tensor z = torch::randn({8, 5}, torch::kDouble);  // 4 videos
  double sum = 0;
  for (int64_t i = 0; i < 8; ++i) {
    double all = 0;  // the positive and 2B - 2 = 6 negatives
    for (int64_t j = 0; j < 8; ++j) {
      if (j != i) all += std::exp(cosine(z[i], z[j]) / kTemperature);
    }
    sum += std::log(all) - cosine(z[i], z[(i + 4) % 8]) / kTemperature;
  }
  EXPECT_NEAR(info_nce(z, kTemperature).item<double>(), sum / 8, 1e-12);
  expect_gradient(z, [](const at::Tensor& x) { return info_nce(x, kTemperature); });
}

TEST(InfoNce, OfEqualRowsIsTheLogOfTheirNumber) {
  EXPECT_NEAR(info_nce(torch::ones({8, 3}), 0.5).item<double>(), std::log(7.0), 1e-6);
}

TEST(QueueInfoNce, EqualsAPlainLoop) {
  torch::manual_seed(3);
  constexpr double kTemperature = 0.2;
  const at::Tensor q = torch::randn({4, 5}, torch::kDouble);
  const at::Tensor keys = torch::randn({4, 5}, torch::kDouble);
  const at::Tensor queue = unit_rows(torch::randn({7, 5}, torch::kDouble));
  double sum = 0;
  for (int64_t i = 0; i < 4; ++i) {
    const double positive = std::exp(cosine(q[i], keys[i]) / kTemperature);
    double all = positive;
    for (int64_t k = 0; k < 7; ++k) all += std::exp(cosine(q[i], queue[k]) / kTemperature);
    sum -= std::log(positive / all);
  }
  EXPECT_NEAR(queue_info_nce(q, keys, queue, kTemperature).item<double>(), sum / 4, 1e-12);
  expect_gradient(q, [&](const at::Tensor& x) { return queue_info_nce(x, keys, queue, kTemperature); });
}

TEST(OtherClip, ExchangesTheHalves) {
  const at::Tensor swapped = other_clip(torch::arange(6).view({6, 1})).view(-1);
  EXPECT_TRUE(torch::equal(swapped, torch::tensor({3, 4, 5, 0, 1, 2})));
}

TEST(UnitRows, AreComputedInF32FromBfloat16) {
  const at::Tensor unit = unit_rows(torch::randn({4, 64}).to(at::kBFloat16));
  EXPECT_EQ(unit.scalar_type(), at::kFloat);
  EXPECT_TRUE(torch::allclose(unit.norm(2, 1), torch::ones({4}), 1e-5, 1e-5));
}

}  // namespace
}  // namespace cstp
