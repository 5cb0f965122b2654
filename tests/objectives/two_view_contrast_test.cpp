// CVRL's InfoNCE. The numbers are the unit-checkable facts of its specification, in double precision. The facts that
// want backbones (parameter tables of R3D-50/101/152) stand with the backbones' tests; those of sampling, pixels, rates
// and test windows with theirs (gap_law_test, crop_sampler_test, view_recipe_test, recipe_pixels_test, optimizer_test).
// Two ranks are worked by hand in one process here; real ranks are the business of the tests of gather().
#include "two_view_contrast.h"

#include <gtest/gtest.h>
#include <torch/torch.h>

#include <array>
#include <cmath>

#include "contrast.h"

namespace cstp {
namespace {

at::Tensor worked_rows() {  // view 1 of both videos, then view 2
  return torch::tensor({{1.0, 0.0}, {1.0, 2.0}, {2.0, 1.0}, {-1.0, 3.0}}, torch::kDouble);
}

double value(const at::Tensor& x) { return x.item<double>(); }

TEST(TwoViewContrast, HasTheWorkedCosines) {
  const at::Tensor unit = unit_rows(worked_rows());
  const at::Tensor cosine = unit.mm(unit.t());
  EXPECT_NEAR(value(cosine[0][2]), .894427, 5e-7);
  EXPECT_NEAR(value(cosine[0][3]), -.316228, 5e-7);
  EXPECT_NEAR(value(cosine[1][2]), .8, 5e-7);
  EXPECT_NEAR(value(cosine[1][3]), .707107, 5e-7);
  EXPECT_NEAR(value(cosine[0][1]), .447214, 5e-7);
  EXPECT_NEAR(value(cosine[2][3]), .141421, 5e-7);
}

TEST(TwoViewContrast, HasTheWorkedLosses) {
  struct Row {
    double temperature;
    std::array<double, 2> a, b;
    double loss_a, loss_b, sum, mean;
  };
  for (const Row& row : {Row{1.0, {.661352, 1.053782}, {.867455, .656154}, .857567, .761804, 1.619371, .809685},
                         Row{0.5, {.403895, 1.029195}, {.717693, .372773}, .716545, .545233, 1.261779, .630889},
                         Row{0.1, {.011364, 1.282643}, {.328944, .003523}, .647003, .166233, .813237, .406618}}) {
    const at::Tensor unit = unit_rows(worked_rows());
    const at::Tensor a = unit.narrow(0, 0, 2), b = unit.narrow(0, 2, 2);
    const at::Tensor of_a = anchor_losses(a, a, b, 0, row.temperature);
    const at::Tensor of_b = anchor_losses(b, b, a, 0, row.temperature);
    for (int64_t i = 0; i < 2; ++i) {
      EXPECT_NEAR(value(of_a[i]), row.a[static_cast<size_t>(i)], 5e-7);
      EXPECT_NEAR(value(of_b[i]), row.b[static_cast<size_t>(i)], 5e-7);
    }
    const TwoViewTerms terms = two_view_contrast(worked_rows(), row.temperature, {});
    EXPECT_NEAR(value(terms.loss_a), row.loss_a, 1e-6);
    EXPECT_NEAR(value(terms.loss_b), row.loss_b, 1e-6);
    EXPECT_NEAR(value(terms.loss_a + terms.loss_b), row.sum, 1e-6);
    EXPECT_NEAR(value(terms.loss_a + terms.loss_b) / 2, row.mean, 1e-6);
    EXPECT_EQ(value(terms.accuracy), 0.5);
    EXPECT_FALSE(terms.accuracy.requires_grad());
  }
  EXPECT_NEAR(value(two_view_contrast(worked_rows(), 0.5, {}).entropy), .485710, 5e-7);
  EXPECT_NEAR(value(two_view_contrast(worked_rows(), 0.1, {}).entropy), .297984, 5e-7);
}

TEST(TwoViewContrast, HasTheWorkedGradients) {
  const auto gradient = [](double temperature) {
    const at::Tensor z = worked_rows().requires_grad_();
    const TwoViewTerms terms = two_view_contrast(z, temperature, {});
    (terms.loss_a + terms.loss_b).backward();
    return z.grad();
  };
  const at::Tensor half =
      torch::tensor({{0.0, .197231}, {.643678, -.321839}, {-.241044, .482088}, {-.062023, -.020674}}, torch::kDouble);
  const at::Tensor tenth = torch::tensor(
      {{0.0, -.509161}, {2.262517, -1.131259}, {-.723448, 1.446896}, {-.764464, -.254821}}, torch::kDouble);
  EXPECT_LT(value((gradient(0.5) - half).abs().max()), 1e-6);
  EXPECT_LT(value((gradient(0.1) - tenth).abs().max()), 1e-6);
}

TEST(TwoViewContrast, IsTwiceTheMeanOverAllAnchorsOfOneSoftmax) {
  torch::manual_seed(1);
  const at::Tensor z = torch::randn({12, 5}, torch::kDouble);
  const TwoViewTerms terms = two_view_contrast(z, 0.2, {});
  EXPECT_NEAR(value(terms.loss_a + terms.loss_b), 2 * value(info_nce(z, 0.2)), 1e-12);
}

TEST(TwoViewContrast,
     OfTwoRanksAveragesToTheGlobalLossAndGradient) {  // one video on each; worked by hand, temperature .5
  const at::Tensor z = worked_rows().requires_grad_();
  const at::Tensor unit = unit_rows(z);
  const at::Tensor a = unit.narrow(0, 0, 2), b = unit.narrow(0, 2, 2);
  const auto rank_loss = [&](int64_t rank) {
    return anchor_losses(a.narrow(0, rank, 1), a, b, rank, 0.5).mean() +
           anchor_losses(b.narrow(0, rank, 1), b, a, rank, 0.5).mean();
  };
  EXPECT_NEAR(value(rank_loss(0)), 1.121589, 1e-6);
  EXPECT_NEAR(value(rank_loss(1)), 1.401969, 1e-6);
  const at::Tensor average = (rank_loss(0) + rank_loss(1)) / 2;
  EXPECT_NEAR(value(average), 1.261779, 1e-6);
  average.backward();
  const at::Tensor whole = worked_rows().requires_grad_();
  const TwoViewTerms terms = two_view_contrast(whole, 0.5, {});
  (terms.loss_a + terms.loss_b).backward();
  EXPECT_LT(value((z.grad() - whole.grad()).abs().max()), 1e-12);
  // With negatives of its own rank alone, a rank with one video has nothing to tell apart.
  const at::Tensor lonely = worked_rows().index_select(0, torch::tensor({0, 2}));
  const TwoViewTerms local = two_view_contrast(lonely, 0.5, {});
  EXPECT_EQ(value(local.loss_a + local.loss_b), 0);
}

TEST(TwoViewContrast, OfConstantEmbeddingsIsTheLogOfTheOtherClips) {
  for (const auto& [videos, expected] : {std::pair{2, std::log(3.0)}, {1024, 7.624131}}) {
    const TwoViewTerms terms = two_view_contrast(torch::ones({2 * videos, 4}, torch::kDouble), 0.1, {});
    EXPECT_NEAR(value(terms.loss_a), expected, 5e-7);
    EXPECT_NEAR(value(terms.loss_b), expected, 5e-7);
  }
  const TwoViewTerms all = two_view_contrast(torch::ones({2048, 4}, torch::kDouble), 0.1, {});
  EXPECT_NEAR(value(all.loss_a + all.loss_b), 15.248261, 1e-6);
}

TEST(TwoViewContrast, OfPerfectEmbeddingsIsWhatTheNegativesLeave) {  // positives at cosine 1, negatives at 0
  const at::Tensor axes = torch::eye(1024, torch::kDouble);
  const TwoViewTerms terms = two_view_contrast(torch::cat({axes, axes}), 0.1, {});
  EXPECT_NEAR(value(terms.loss_a), .088824, 5e-7);
  EXPECT_NEAR(value(terms.loss_a + terms.loss_b), .177648, 1e-6);
  EXPECT_EQ(value(terms.accuracy), 1);
}

TEST(TwoViewContrast, IsComputedInF32FromBfloat16) {
  const TwoViewTerms terms = two_view_contrast(torch::randn({8, 16}).to(at::kBFloat16), 0.1, {});
  EXPECT_EQ(terms.loss_a.scalar_type(), at::kFloat);
  EXPECT_EQ(terms.entropy.scalar_type(), at::kFloat);
}

}  // namespace
}  // namespace cstp
