// Every configuration of every objective takes a step on every backbone: tiny networks and the smallest clips that each
// can take. A new backbone is walked as soon as it stands in its table, a new objective as soon as it has a case.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <string>

#include "cstp/core/error.h"
#include "cstp/core/text.h"
#include "made_batch.h"
#include "objective_cases.h"

namespace cstp {

void PrintTo(const BackboneRow& row, std::ostream* out) { *out << row.name; }

namespace {

constexpr double kWidth = 1.0 / 16;
constexpr int64_t kFrames = 4, kSize = 16;  // where the backbone does not want more
constexpr int64_t kMultiple = 8;            // sts cuts views into eighths

class EveryPair : public testing::TestWithParam<BackboneRow> {
 protected:
  ObjectiveParts parts() const {
    const SmallestClip least = make_backbone({.name = GetParam().name, .width = kWidth})->smallest_clip();
    return small_parts(GetParam().name, kWidth, std::max(kFrames, least.frames),
                       (std::max(kSize, least.size) + kMultiple - 1) / kMultiple * kMultiple);
  }
};

/// One step of Adam, which moves every weight by about the same whatever the scale of its gradient.
void take_step(Objective& objective) {
  std::vector<at::Tensor> parameters;
  for (const auto& item : objective.trainable()) parameters.push_back(item.second);
  torch::optim::Adam(parameters, torch::optim::AdamOptions(1e-3).eps(1e-15)).step();
  objective.after_step();
}

TEST_P(EveryPair, TakesAStepThatMovesTheWholeNetwork) {
  const ObjectiveParts small = parts();
  for (const ObjectiveCase& tested : kObjectiveCases) {
    SCOPED_TRACE(tested.yaml);
    const auto objective = made_objective(tested.yaml, small);
    objective->set_train_mode();
    const LossTerms terms = objective->loss(made_batch(*objective, 4, small.clip.size));
    ASSERT_TRUE(std::isfinite(terms.total.item<double>()));
    terms.total.backward();
    const auto trainable = objective->trainable();
    std::vector<at::Tensor> before;
    for (const auto& [name, parameter] : trainable) {
      ASSERT_TRUE(parameter.grad().defined()) << name;
      ASSERT_TRUE(parameter.grad().isfinite().all().item<bool>()) << name;
      before.push_back(parameter.detach().clone());
    }
    take_step(*objective);
    for (size_t i = 0; i < trainable.size(); ++i) {
      const auto& [name, parameter] = trainable[i];
      if (parameter.dim() == 1) continue;  // a bias before a norm changes nothing, so its gradient is rounding
      EXPECT_FALSE(torch::equal(parameter, before[i])) << name << " stood still";
    }
    const at::Tensor stem = objective->backbone()->parameters().front();
    const bool frozen = std::string(tested.yaml).find("freeze: true") != std::string::npos;
    EXPECT_EQ(stem.grad().defined(), !frozen);
  }
}

TEST_P(EveryPair, NeedsAClipNoSmallerThanItsBackboneSays) {
  const SmallestClip least = make_backbone({.name = GetParam().name, .width = kWidth})->smallest_clip();
  if (least.frames == 1 && least.size == 1) return;
  for (const auto& [frames, size] :
       {std::pair{least.frames - 1, least.size}, std::pair{least.frames, least.size - 1}}) {
    try {
      made_objective("{name: supervised}", small_parts(GetParam().name, kWidth, frames, size));
      FAIL() << "built for a clip that is too small";
    } catch (const ConfigError& error) {
      EXPECT_THAT(error.what(), testing::HasSubstr(cat("found ", frames, " frames of ", size, "x", size)));
    }
  }
}

std::vector<BackboneRow> learners() {
  std::vector<BackboneRow> found;
  for (const BackboneRow& row : backbones()) {
    if (row.learns) found.push_back(row);
  }
  return found;
}

INSTANTIATE_TEST_SUITE_P(Table, EveryPair, testing::ValuesIn(learners()),
                         [](const auto& row) { return std::string(row.param.name); });

}  // namespace
}  // namespace cstp
