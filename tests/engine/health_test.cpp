#include "cstp/engine/health.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <torch/torch.h>

#include <cmath>
#include <limits>
#include <nlohmann/json.hpp>

#include "cstp/core/error.h"

namespace cstp {
namespace {

using testing::HasSubstr;
using testing::Not;

Health health_of(const at::Tensor& embeddings, int64_t videos) {
  HealthWindow window;
  window.add(embeddings, videos);
  return window.measure();
}

TEST(Health, OfIdenticalRowsHasNoSpreadAndRankOne) {
  const at::Tensor row = torch::tensor({3.0F, 4.0F, 0.0F, 12.0F});
  const Health health = health_of(row.expand({8, 4}).clone(), 8);
  EXPECT_NEAR(health.std, 0, 1e-6);
  EXPECT_NEAR(health.rank, 1, 1e-4);
  EXPECT_EQ(health.rank_ceiling, 4);
  EXPECT_NEAR(health.uniformity, 0, 1e-5);  // log exp(0)
  EXPECT_EQ(health.rows, 8);
  EXPECT_FALSE(health.alignment.has_value());
}

TEST(Health, OfRowsOfZerosIsTheSameCollapse) {
  const Health health = health_of(torch::zeros({6, 4}), 6);
  EXPECT_EQ(health.std, 0);
  EXPECT_NEAR(health.rank, 1, 1e-9);
  EXPECT_NEAR(health.uniformity, 0, 1e-6);
}

TEST(Health, OfOrthogonalRowsIsIsotropicWhateverTheirLength) {
  // Every dimension holds one 1 and N-1 zeros: variance (1 - 1/N) / (N - 1) = 1/N, so std * sqrt(N) = 1.
  const at::Tensor rows = torch::eye(5) * torch::tensor({1.0F, 2.0F, 3.0F, 40.0F, 0.5F}).unsqueeze(1);
  const Health health = health_of(rows, 5);
  EXPECT_NEAR(health.std, 1, 1e-6);
  EXPECT_NEAR(health.rank, 5, 1e-6);
  EXPECT_NEAR(health.uniformity, -4, 1e-6);  // every |x - x'|^2 is 2
}

TEST(Health, HasARankOfNoMoreThanTheRowsOrTheDimensions) {
  EXPECT_EQ(health_of(torch::eye(16).narrow(0, 0, 3), 3).rank_ceiling, 3);
  EXPECT_NEAR(health_of(torch::eye(16).narrow(0, 0, 3), 3).rank, 3, 1e-6);
  EXPECT_EQ(health_of(torch::eye(3).repeat({4, 1}), 12).rank_ceiling, 3);
  EXPECT_NEAR(health_of(torch::eye(3).repeat({4, 1}), 12).rank, 3, 1e-6);
}

TEST(Health, WeighsDirectionsByTheirSingularValues) {
  // Three rows along x, one along y: singular values sqrt(3) and 1.
  const at::Tensor rows = torch::tensor({{1.0F, 0.0F}, {1.0F, 0.0F}, {1.0F, 0.0F}, {0.0F, 1.0F}});
  const double p = std::sqrt(3.0) / (1 + std::sqrt(3.0));
  EXPECT_NEAR(health_of(rows, 4).rank, std::exp(-p * std::log(p) - (1 - p) * std::log(1 - p)), 1e-6);
}

TEST(Health, AlignsTheTwoViewsOfAVideo) {
  // View-major: rows 0, 1 are the first views of two videos, rows 2, 3 their second views.
  const at::Tensor same = torch::tensor({{1.0F, 0.0F}, {0.0F, 1.0F}, {2.0F, 0.0F}, {0.0F, 3.0F}});
  EXPECT_NEAR(*health_of(same, 2).alignment, 0, 1e-6);
  const at::Tensor one_of_two = torch::tensor({{1.0F, 0.0F}, {0.0F, 1.0F}, {1.0F, 0.0F}, {0.0F, -1.0F}});
  EXPECT_NEAR(*health_of(one_of_two, 2).alignment, 2, 1e-6);  // 0 and |2|^2
  EXPECT_NEAR(health_of(same, 2).uniformity, -4, 1e-5);       // pairs of one view: at right angles in both
}

TEST(Health, IsNotFooledByAConstantThatMoves) {
  HealthWindow window;  // all clips of a step alike, but each step elsewhere
  for (int step = 0; step < 8; ++step) window.add(torch::eye(8).narrow(0, step, 1).expand({4, 8}).clone(), 4);
  EXPECT_NEAR(window.measure().std, 0, 1e-6);
}

TEST(Health, TellsTheSpreadFromTheNewestSteps) {
  HealthWindow window;
  window.add(torch::eye(8).repeat({50, 1}), 400);
  window.add(torch::ones({20, 8}), 20);
  EXPECT_GT(window.measure().std, 0.5);
  window.add(torch::ones({12, 8}), 12);  // now 32 rows alike
  EXPECT_NEAR(window.measure().std, 0, 1e-6);
  EXPECT_GT(window.measure().rank, 2);  // of the whole window
}

TEST(Health, ForgetsWholeStepsBeyondItsWindow) {
  HealthWindow window;
  window.add(torch::zeros({600, 4}), 300);
  window.add(torch::eye(4).repeat({100, 1}), 200);
  EXPECT_EQ(window.measure().rows, 1000);
  window.add(torch::eye(4).repeat({50, 1}), 100);
  EXPECT_EQ(window.measure().rows, 600);  // the zeros are gone
  EXPECT_NEAR(window.measure().rank, 4, 1e-6);
  window.add(torch::eye(4).repeat({1000, 1}), 2000);  // one step beyond the window: its first videos
  EXPECT_EQ(window.measure().rows, HealthWindow::kRows);
}

TEST(Health, WritesNumbersThatAreNotFiniteAsNull) {
  const Health health = health_of(torch::full({4, 3}, std::numeric_limits<float>::quiet_NaN()), 4);
  const auto json = nlohmann::json::parse("{" + health.json() + "}");
  EXPECT_TRUE(json["embedding_std"].is_null());
  EXPECT_TRUE(json["effective_rank"].is_null());
  EXPECT_TRUE(json["alignment"].is_null());
  EXPECT_EQ(json["rank_ceiling"], 3);
}

Health numbers(double std, double rank) {
  Health health;
  health.std = std;
  health.rank = rank;
  health.rank_ceiling = 128;
  return health;
}

TEST(CollapseGuard, StopsAfterSoManyLowReportsInARow) {
  CollapseGuard guard(0.02, 1.1, 3, /*quiet=*/9);
  guard.observe(numbers(0.01, 30), 9, "");  // warm-up
  guard.observe(numbers(0.01, 30), 10, "");
  guard.observe(numbers(0.01, 30), 20, "");
  guard.observe(numbers(0.03, 30), 30, "");  // one that is not low starts anew
  guard.observe(numbers(0.01, 30), 40, "");
  guard.observe(numbers(0.01, 30), 50, "");
  try {
    guard.observe(numbers(0.0123, 30), 60, "runs/a/step-30.safetensors");
    FAIL();
  } catch (const NumericError& error) {
    EXPECT_THAT(error.what(), HasSubstr("step 60: the embeddings have collapsed"));
    EXPECT_THAT(error.what(), HasSubstr("embedding std 0.0123 (train.collapse_std is 0.02) for 3 reports in a row"));
    EXPECT_THAT(error.what(), Not(HasSubstr("effective rank")));
    EXPECT_THAT(error.what(), HasSubstr("the last good checkpoint is runs/a/step-30.safetensors"));
    EXPECT_THAT(error.what(), HasSubstr("objective.contrast: infonce"));
  }
}

TEST(CollapseGuard, WatchesTheRankToo) {
  CollapseGuard guard(0.02, 1.1, 1, 0);
  guard.observe(numbers(0.5, 1.2), 1, "");
  try {
    guard.observe(numbers(0.5, 1.05), 2, "");
    FAIL();
  } catch (const NumericError& error) {
    EXPECT_THAT(error.what(), HasSubstr("effective rank 1.05 of at most 128 (train.collapse_rank is 1.1)"));
    EXPECT_THAT(error.what(), HasSubstr("there is no checkpoint from before it"));
  }
}

TEST(CollapseGuard, LeavesWhatIsNotFiniteToTheLossAndCanBeSwitchedOff) {
  const double nan = std::numeric_limits<double>::quiet_NaN();
  CollapseGuard guard(0.02, 1.1, 1, 0);
  EXPECT_FALSE(guard.low(numbers(nan, nan), 1));
  EXPECT_NO_THROW(guard.observe(numbers(nan, nan), 1, ""));
  CollapseGuard off(0.02, 1.1, 0, 0);
  EXPECT_NO_THROW(off.observe(numbers(0, 1), 1, ""));
  CollapseGuard rank_only(0, 1.1, 1, 0);
  EXPECT_NO_THROW(rank_only.observe(numbers(0, 2), 1, ""));
}

}  // namespace
}  // namespace cstp
