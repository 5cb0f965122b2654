// What every row of the table must hold. A new objective adds its small configuration below.
#include <ATen/autocast_mode.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <set>
#include <string>

#include "cstp/core/error.h"
#include "made_batch.h"
#include "objective_cases.h"

namespace cstp {
namespace {

class EveryObjective : public testing::TestWithParam<ObjectiveCase> {
 protected:
  std::shared_ptr<Objective> make(uint64_t seed = 1) const {
    return made_objective(GetParam().yaml, small_parts(), seed);
  }
};

TEST(Objectives, AreAllTested) { expect_a_case_of_every_objective(); }

TEST_P(EveryObjective, DrawsTheSamePlanFromTheSameSeed) {
  const auto objective = make();
  Rng first(3, 1, 4), again(3, 1, 4), other(3, 1, 5);
  const SamplePlan plan = objective->plan(made_video(), first);
  EXPECT_EQ(plan, objective->plan(made_video(), again));
  EXPECT_NE(plan, objective->plan(made_video(), other));
}

TEST_P(EveryObjective, DrawsFramesAndBoxesThatExist) {
  const auto objective = make();
  for (uint64_t position = 0; position < 200; ++position) {
    Rng rng(1, 0, position);
    const VideoInfo video{
        .frames = 8 + static_cast<int64_t>(position), .fps = 25, .width = 64, .height = 48, .seconds = 1};
    for (const ViewPlan& view : objective->plan(video, rng).views) {
      ASSERT_EQ(view.frames.size(), 8U);
      for (const int64_t frame : view.frames) {
        ASSERT_GE(frame, 0);
        ASSERT_LT(frame, video.frames);
      }
      ASSERT_GT(view.crop.w, 0);
      ASSERT_GT(view.crop.h, 0);
      if (view.turn_before_crop) continue;  // the released second crop may leave the frame that clip 2 turned
      ASSERT_LE(view.crop.x + view.crop.w, 1 + 1e-9);
      ASSERT_LE(view.crop.y + view.crop.h, 1 + 1e-9);
    }
  }
}

TEST_P(EveryObjective, GivesAFiniteLossWhoseGradientReachesEveryTrainableParameter) {
  const auto objective = make();
  objective->set_train_mode();
  const LossTerms terms = objective->loss(made_batch(*objective));
  EXPECT_EQ(terms.total.scalar_type(), at::kFloat);
  EXPECT_EQ(terms.total.dim(), 0);
  EXPECT_TRUE(std::isfinite(terms.total.item<double>()));
  for (const auto& [name, value] : terms.parts) {
    EXPECT_TRUE(std::isfinite(value.item<double>())) << name;
    EXPECT_FALSE(value.requires_grad()) << name;
  }
  terms.total.backward();
  std::set<std::string> names;
  for (const auto& [name, parameter] : objective->trainable()) {
    EXPECT_TRUE(names.insert(name).second) << name;
    ASSERT_TRUE(parameter.grad().defined()) << name;
    EXPECT_TRUE(parameter.grad().isfinite().all().item<bool>()) << name;
  }
  const std::string yaml = GetParam().yaml;
  const at::Tensor stem = tensor_of(*objective->backbone(), "stem.0.weight");
  if (yaml.find("freeze") != std::string::npos) {
    EXPECT_FALSE(stem.requires_grad());
  } else {
    EXPECT_GT(stem.grad().abs().max().item<double>(), 0);
  }
}

TEST_P(EveryObjective, HandsOverTheEmbeddingsOfItsOnlineBackbone) {
  const auto objective = make();
  objective->eval();  // so that a second pass gives the same
  const ViewBatch batch = made_batch(*objective);
  const at::Tensor embeddings = objective->loss(batch).embeddings;
  ASSERT_TRUE(embeddings.defined());
  EXPECT_FALSE(embeddings.requires_grad());
  const torch::NoGradGuard no_grad;
  EXPECT_TRUE(torch::allclose(embeddings, objective->backbone()->embed(batch.views), 1e-4, 1e-5));
}

TEST_P(EveryObjective, SaysWhatGuessingScoresByTheNamesOfItsParts) {
  const auto objective = make();
  objective->eval();
  const LossTerms terms = objective->loss(made_batch(*objective));
  for (const auto& [name, guess] : terms.constants) {
    EXPECT_TRUE(std::any_of(terms.parts.begin(), terms.parts.end(), [wanted = name](const auto& part) {
      return part.first == wanted;
    })) << name;
    EXPECT_GT(guess.item<double>(), 0) << name;
    EXPECT_FALSE(guess.requires_grad()) << name;
  }
}

TEST_P(EveryObjective, LearnsABatch) {
  const auto objective = make();
  objective->set_train_mode();
  const ViewBatch batch = made_batch(*objective);
  std::vector<at::Tensor> parameters;
  for (const auto& item : objective->trainable()) parameters.push_back(item.second);
  torch::optim::SGD sgd(parameters, torch::optim::SGDOptions(0.02).momentum(0.9));
  double first = 0, last = 0;
  for (int step = 0; step < 20; ++step) {
    sgd.zero_grad();
    const LossTerms terms = objective->loss(batch);
    terms.total.backward();
    sgd.step();
    objective->after_step();
    (step == 0 ? first : last) = terms.total.item<double>();
  }
  EXPECT_LT(last, first);
}

TEST_P(EveryObjective, ComputesItsLossInF32UnderBfloat16) {
  const auto objective = make();
  objective->eval();  // norms over the few values of a tiny batch would blow rounding up
  const ViewBatch batch = made_batch(*objective);
  const double exact = objective->loss(batch).total.item<double>();
  at::autocast::set_autocast_dtype(at::kCPU, at::kBFloat16);
  at::autocast::set_autocast_enabled(at::kCPU, true);
  const LossTerms rounded = objective->loss(batch);
  at::autocast::clear_cache();
  objective->set_train_mode();
  const LossTerms training = objective->loss(batch);
  at::autocast::set_autocast_enabled(at::kCPU, false);
  at::autocast::clear_cache();
  EXPECT_NEAR(rounded.total.item<double>(), exact, 0.03 * exact);
  EXPECT_EQ(training.total.scalar_type(), at::kFloat);
  for (const auto& [name, value] : training.parts) EXPECT_EQ(value.scalar_type(), at::kFloat) << name;
  training.total.backward();
  for (const auto& [name, parameter] : objective->trainable()) {
    EXPECT_TRUE(parameter.grad().isfinite().all().item<bool>()) << name;
  }
}

TEST_P(EveryObjective, IsTheSameAfterItsStateWasCopied) {
  const auto objective = make(1);
  const auto other = make(2);
  objective->set_train_mode();
  other->set_train_mode();
  const ViewBatch batch = made_batch(*objective);
  objective->loss(batch);  // moves buffers
  const auto from = state_of(*objective);
  const auto to = state_of(*other);
  ASSERT_EQ(from.size(), to.size());
  for (size_t i = 0; i < from.size(); ++i) {
    ASSERT_EQ(from[i].first, to[i].first);
    overwrite(to[i].second, from[i].second);
  }
  EXPECT_EQ(objective->loss(batch).total.item<double>(), other->loss(batch).total.item<double>());
}

TEST_P(EveryObjective, NamesItsPartsInAFixedOrder) {
  const auto objective = make();
  objective->set_train_mode();
  const ViewBatch batch = made_batch(*objective);
  const LossTerms first = objective->loss(batch);
  const LossTerms second = objective->loss(batch);
  ASSERT_EQ(first.parts.size(), second.parts.size());
  for (size_t i = 0; i < first.parts.size(); ++i) EXPECT_EQ(first.parts[i].first, second.parts[i].first);
}

TEST_P(EveryObjective, ResolvesToAConfigurationThatResolvesToItself) {
  const ConfigNode resolved = resolve_objective(ConfigNode::parse(GetParam().yaml, "test"));
  EXPECT_EQ(resolved.entries().front().first, "name");
  EXPECT_EQ(resolved.entries().front().second.text(), GetParam().objective);
  const std::string yaml = resolved.yaml();
  EXPECT_EQ(resolve_objective(ConfigNode::parse(yaml, "again")).yaml(), yaml);
}

INSTANTIATE_TEST_SUITE_P(Table, EveryObjective, testing::ValuesIn(kObjectiveCases), [](const auto& row) {
  return std::string(row.param.objective) + "_" + std::to_string(row.index);
});

std::string refusal(const std::string& yaml) {
  try {
    resolve_objective(ConfigNode::parse(yaml, "here.yaml"));
  } catch (const ConfigError& error) {
    return error.what();
  }
  return "";
}

TEST(Objectives, RefuseUnknownNamesAndKeysWithTheNearest) {
  EXPECT_THAT(refusal("{name: ctsp}"), testing::HasSubstr("did you mean 'cstp'?"));
  EXPECT_THAT(refusal("{weights: {}}"), testing::HasSubstr("it has no name"));
  EXPECT_THAT(refusal("{name: cstp, temprature: 1}"), testing::HasSubstr("did you mean 'temperature'?"));
  EXPECT_THAT(refusal("{name: cstp, weights: {spatal: 1}}"), testing::HasSubstr("objective.weights.spatal"));
  EXPECT_THAT(refusal("{name: cstp, contrast: moco}"), testing::HasSubstr("byol, infonce, queue, none"));
  EXPECT_THAT(refusal("{name: supervised, freez: true}"), testing::HasSubstr("did you mean 'freeze'?"));
}

TEST(Objectives, DescribeTheirKeys) {
  for (const ObjectiveRow& row : objectives())
    EXPECT_THAT(row.describe(), testing::HasSubstr("objective.")) << row.name;
}

}  // namespace
}  // namespace cstp
