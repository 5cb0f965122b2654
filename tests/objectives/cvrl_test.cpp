#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <set>

#include "cstp/core/error.h"
#include "made_batch.h"

namespace cstp {
namespace {

using testing::HasSubstr;

std::shared_ptr<Objective> cvrl(const std::string& more = "", uint64_t seed = 1) {
  return made_objective("{name: cvrl" + more + "}", small_parts("r3d10_pool"), seed);
}

SamplePlan drawn(const Objective& objective, const VideoInfo& video, uint64_t position) {
  Rng rng(1, 0, position);
  return objective.plan(video, rng);
}

TEST(Cvrl, ItsGapsFollowTheLawByName) {
  const auto mean_gap = [](const std::string& law) {
    const auto objective = cvrl(", gap: " + law);
    double sum = 0;
    for (uint64_t i = 0; i < 10000; ++i) {
      const SamplePlan plan = drawn(*objective, made_video(), i);  // 200 frames, span 14: 186 starts
      sum += static_cast<double>(std::abs(plan.views[0].frames[0] - plan.views[1].frames[0]));
    }
    return sum / 10000 / 186;
  };
  EXPECT_NEAR(mean_gap("linear"), 1.0 / 3, .012);
  EXPECT_NEAR(mean_gap("sqrt"), .3, .012);
  EXPECT_NEAR(mean_gap("quadratic"), .375, .012);
  EXPECT_NEAR(mean_gap("uniform"), .5, .012);
  EXPECT_NEAR(mean_gap("increasing_linear"), 2.0 / 3, .012);
  EXPECT_NEAR(mean_gap("increasing_sqrt_mirror"), .7, .012);
  EXPECT_NEAR(mean_gap("increasing_quadratic"), .75, .012);
}

TEST(Cvrl, TheClipsOfAPairAreCutAndColouredApart) {
  const auto objective = cvrl();
  std::set<bool> flips;
  for (uint64_t i = 0; i < 50; ++i) {
    const SamplePlan plan = drawn(*objective, made_video(), i);
    ASSERT_EQ(plan.views.size(), 2U);
    const ViewPlan& first = plan.views[0];
    EXPECT_EQ(first.stride, 2);
    for (size_t t = 1; t < first.frames.size(); ++t) EXPECT_EQ(first.frames[t] - first.frames[t - 1], 2);
    EXPECT_NE(first.crop, plan.views[1].crop);
    EXPECT_NE(first.color, plan.views[1].color);
    EXPECT_GT(first.color.blur_sigma, 0);  // view 1 of the asymmetric recipe
    EXPECT_GT(first.color.solarize, 1);
    flips.insert(first.flip == plan.views[1].flip);
  }
  EXPECT_EQ(flips.size(), 2U);
}

TEST(Cvrl, ShortVideosWrapAroundAndAreNotRefused) {
  const auto objective = cvrl();
  const VideoInfo video{.frames = 5, .fps = 25, .width = 64, .height = 48, .seconds = 1};
  std::set<int64_t> starts;
  for (uint64_t i = 0; i < 60; ++i) {
    for (const ViewPlan& view : drawn(*objective, video, i).views) {
      for (size_t t = 0; t < view.frames.size(); ++t)
        EXPECT_EQ(view.frames[t], (view.frames[0] + 2 * static_cast<int64_t>(t)) % 5);
      starts.insert(view.frames[0]);
    }
  }
  EXPECT_EQ(starts.size(), 5U);
}

TEST(Cvrl, LogsTheSumTheMeanAndWhatIsSeenOfTheBatch) {
  const auto objective = cvrl();
  objective->set_train_mode();
  const LossTerms terms = objective->loss(made_batch(*objective));
  EXPECT_EQ(part_of(terms, "contrast"), terms.total.item<double>());
  EXPECT_NEAR(part_of(terms, "contrast_2n_mean"), terms.total.item<double>() / 2, 1e-6);
  EXPECT_GE(part_of(terms, "accuracy"), 0);
  EXPECT_LE(part_of(terms, "accuracy"), 1);
  ASSERT_EQ(terms.constants.size(), 1U);
  EXPECT_EQ(terms.constants[0].first, "accuracy");
  EXPECT_EQ(terms.constants[0].second.item<double>(), 0.25);  // one of the four other clips, unseen
  EXPECT_GT(part_of(terms, "entropy"), 0);
  EXPECT_LE(part_of(terms, "entropy"), std::log(4.0) + 1e-5);
}

TEST(Cvrl, TheProjectorHasTheLayersAskedForAndStartsAsGlorot) {
  for (int64_t layers = 0; layers <= 4; ++layers) {
    const auto objective = cvrl(", projector_layers: " + std::to_string(layers));
    EXPECT_TRUE(has_module(*objective, "projector"));
    const int64_t width = objective->backbone()->features();  // 64: the hidden width scales with the network
    const at::Tensor last = tensor_of(*objective, "projector.layers." + std::to_string(3 * layers) + ".weight");
    EXPECT_EQ(last.sizes(), (std::vector<int64_t>{128, width}));
    const double bound = std::sqrt(6.0 / static_cast<double>(128 + width));
    EXPECT_LE(last.abs().max().item<double>(), bound + 1e-6);
    EXPECT_GT(last.abs().max().item<double>(), 0.95 * bound);
  }
  const auto wide = cvrl(", projector_hidden: 48");
  EXPECT_EQ(tensor_of(*wide, "projector.layers.0.weight").size(0), 48);
}

TEST(Cvrl, TheProjectorsRunningStatisticsMoveByThreeThousandths) {
  const auto objective = cvrl(", projector_layers: 1");
  objective->set_train_mode();
  const ViewBatch batch = made_batch(*objective);
  objective->loss(batch);
  const torch::NoGradGuard no_grad;
  const at::Tensor h =
      torch::linear(objective->backbone()->embed(batch.views), tensor_of(*objective, "projector.layers.0.weight"));
  EXPECT_TRUE(torch::allclose(tensor_of(*objective, "projector.layers.1.running_mean"), 0.003 * h.mean(0), 1e-3, 1e-6));
}

TEST(Cvrl, OneVideoHasNoNegativeAndIsRefused) {
  const auto objective = cvrl();
  objective->set_train_mode();
  EXPECT_THROW(objective->loss(made_batch(*objective, 1)), ConfigError);
}

TEST(Cvrl, MistypedLawsAreNamedWithTheNearest) {
  try {
    cvrl(", gap: increasing_sqrt_miror");
    FAIL();
  } catch (const ConfigError& error) {
    EXPECT_THAT(error.what(), HasSubstr("did you mean 'increasing_sqrt_mirror'?"));
  }
}

}  // namespace
}  // namespace cstp
