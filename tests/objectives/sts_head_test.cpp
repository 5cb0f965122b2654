// The heads of STS and its loss.
#include "sts_head.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "made_batch.h"

namespace cstp {
namespace {

/// Of 16 frames.
std::vector<StsSlot> motion_slots() {
  ObjectiveParts parts = small_parts("r3d10_pool");
  parts.clip = {.frames = 16, .stride = 1, .size = 32};
  const auto objective = std::dynamic_pointer_cast<StsObjective>(made_objective("{name: sts}", parts));
  std::vector<StsSlot> slots = objective->slots();
  slots.resize(14);
  return slots;
}

TEST(StsHead, ZeroIsFarFromTheLabelsOfTheDipoleClip) {  // fact 14
  StsHead head("motion", 5, motion_slots(), false, false);
  for (at::Tensor& parameter : head.parameters()) overwrite(parameter, torch::zeros({1}));
  const at::Tensor labels = torch::tensor({{7.F, 5.F, 13.F, 7.F, 1.F, 8.F, 4.F, 7.F, 4.F, 5.F, 5.F, 7.F, 9.F, 4.F}});
  const StsHeadTerms terms = head.terms(torch::randn({1, 5}), labels, true);
  EXPECT_NEAR(terms.loss.item<double>(), 45.285714, 1e-5);
  EXPECT_EQ(terms.parts.size(), 15U);
  EXPECT_EQ(terms.parts[1].first, "motion/p1.u.location");
  EXPECT_EQ(terms.parts[1].second.item<double>(), 49);
}

TEST(StsHead, OfUniformLabelsTheBestConstantScoresWhatTheSpecificationSays) {  // section 7
  StsHead head("motion", 5, motion_slots(), false, false);
  const StsHeadTerms one = head.terms(torch::randn({1, 5}), torch::ones({1, 14}), false);
  EXPECT_NEAR(one.constants[0].second.item<double>(), 8.881, 6e-4);
  std::vector<at::Tensor> columns;
  for (const StsSlot& slot : motion_slots()) columns.push_back(torch::randint(1, slot.classes + 1, {20000}));
  const StsHeadTerms many = head.terms(torch::randn({20000, 5}), torch::stack(columns, 1).to(torch::kFloat32), false);
  EXPECT_NEAR(many.constants[0].second.item<double>(), 8.881, .1);
}

TEST(StsHead, StandardTargetsChangeTheLossAndNotWhatIsLogged) {
  torch::manual_seed(1);
  StsHead raw("motion", 5, motion_slots(), false, false), standard("motion", 5, motion_slots(), true, false);
  const at::Tensor y = torch::randn({6, 5});
  const at::Tensor labels = torch::randint(1, 5, {6, 14}).to(torch::kFloat32);
  overwrite(raw.parameters()[0], torch::zeros({1}));
  overwrite(standard.parameters()[0], torch::zeros({1}));
  overwrite(standard.parameters()[1], torch::zeros({1}));
  overwrite(raw.parameters()[1], standard.predict(y)[0]);  // both now answer with the middles of the ranges
  const StsHeadTerms a = raw.terms(y, labels, false), b = standard.terms(y, labels, false);
  EXPECT_TRUE(torch::allclose(raw.predict(y), standard.predict(y)));
  EXPECT_NEAR(raw.predict(y)[0][0].item<double>(), 8.5, 1e-6);
  EXPECT_NEAR(a.parts[0].second.item<double>(), b.parts[0].second.item<double>(), 1e-4);
  EXPECT_EQ(a.loss.item<double>(), a.parts[0].second.item<double>());
  EXPECT_LT(b.loss.item<double>(), .5 * a.loss.item<double>());
}

TEST(StsHead, ASoftmaxChoosesAmongTheValuesOfEachQuestion) {
  StsHead head("motion", 5, motion_slots(), false, true);
  int64_t outputs = 0;
  for (const StsSlot& slot : motion_slots()) outputs += slot.classes + 1;
  EXPECT_EQ(head.parameters()[0].size(0), outputs);
  overwrite(head.parameters()[0], torch::zeros({1}));
  const at::Tensor bias = torch::zeros({outputs});
  bias[7] = 50;  // the first question: always 7
  overwrite(head.parameters()[1], bias);
  const at::Tensor labels = torch::full({4, 14}, 7.F).index_put_({torch::indexing::Slice(), torch::tensor({4, 6})}, 1);
  const StsHeadTerms terms = head.terms(torch::randn({4, 5}), labels, true);
  EXPECT_EQ(head.predict(torch::randn({2, 5}))[1][0].item<double>(), 7);
  EXPECT_NEAR(terms.parts[1].second.item<double>(), 0, 1e-6);
  EXPECT_NEAR(terms.parts[2].second.item<double>(), std::log(9.0), 1e-5);
  EXPECT_EQ(terms.parts[15].first, "motion_accuracy");
  EXPECT_EQ(terms.parts[16].second.item<double>(), 1);
}

TEST(StsLoss, IsTheWeightedSumOfItsHeads) {
  const auto objective = made_objective("{name: sts, motion: {weight: 3}}");
  const LossTerms terms = objective->loss(made_batch(*objective));
  EXPECT_NEAR(terms.total.item<double>(), 3 * part_of(terms, "motion") + .1 * part_of(terms, "appearance"), 1e-4);
  ASSERT_EQ(terms.constants.size(), 2U);
  EXPECT_EQ(terms.constants[0].first, "motion");
  EXPECT_FALSE(objective->can_collapse());
}

}  // namespace
}  // namespace cstp
