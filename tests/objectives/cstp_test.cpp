// CSTP: the worked numbers of the method, its forms, and what its presets and switches change.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cmath>
#include <string>

#include "cstp/core/error.h"
#include "cstp/core/text.h"
#include "made_batch.h"

namespace cstp {
namespace {

using testing::HasSubstr;

int64_t trainable_count(const Objective& objective) {
  int64_t count = 0;
  for (const auto& item : objective.trainable()) count += item.second.numel();
  return count;
}

int64_t total_count(const torch::nn::Module& module) {
  int64_t count = 0;
  for (const at::Tensor& parameter : module.parameters()) count += parameter.numel();
  return count;
}

/// Makes a head or a projector (Linear - norm - ReLU - Linear) answer `output` whatever it is asked.
void answer_always(const Objective& objective, const std::string& mlp, const at::Tensor& output) {
  overwrite(tensor_of(objective, mlp + ".layers.3.weight"), torch::zeros({1}));
  overwrite(tensor_of(objective, mlp + ".layers.3.bias"), output);
}

/// Logits of `classes` classes whose cross-entropy is `loss` where the target is `target`.
at::Tensor logits_with_loss(double loss, int64_t classes, int64_t target) {
  const double p = std::exp(-loss);
  const at::Tensor logits = torch::zeros({classes});
  logits[target] = std::log(static_cast<double>(classes - 1) * p / (1 - p));
  return logits;
}

void answer_with_angle(const Objective& objective, double cosine) {
  const at::Tensor q = torch::zeros({64});
  const at::Tensor z = torch::zeros({64});
  q[0] = 3;
  z[0] = 2 * cosine;
  z[1] = 2 * std::sqrt(1 - cosine * cosine);
  answer_always(objective, "predictor", q);
  answer_always(objective, "twin.projector", z);
}

ViewBatch with_labels(ViewBatch batch, const OverlapLabels& labels) {
  for (SamplePlan& plan : batch.plans) plan.overlap = labels;
  return batch;
}

TEST(CstpForm, HasTheParametersOfTheReleasedCode) {
  const ObjectiveParts parts = small_parts("r2plus1d10", 1.0);
  const auto released = made_objective("{name: cstp, preset: released}", parts);
  const auto children = released->named_children();
  EXPECT_EQ(total_count(*children["backbone"]), 14'365'303);
  EXPECT_EQ(total_count(*children["projector"]), 4'207'104);
  EXPECT_EQ(total_count(*children["predictor"]), 4'207'104);
  EXPECT_EQ(total_count(*children["spatial_head"]), 1'056'773);
  EXPECT_EQ(total_count(*children["temporal_head"]), 1'056'773);
  EXPECT_EQ(total_count(*children["rate_head"]), 266'245);
  EXPECT_EQ(total_count(*children["rotation_head"]), 266'245);
  EXPECT_EQ(trainable_count(*released), 25'425'547);
  EXPECT_EQ(total_count(*released), 43'997'954);
  // clean names four rates and four rotations with four logits: 513 parameters less in each of the two heads
  EXPECT_EQ(trainable_count(*made_objective("{name: cstp}", parts)), 25'425'547 - 2 * 513);
}

TEST(CstpForm, ReleasedR3dHasLinearHeadsAndNoProjector) {
  const ObjectiveParts parts = small_parts("r3d10_pool");
  const auto released = made_objective("{name: cstp, preset: released, projector_hidden: 32}", parts);
  EXPECT_FALSE(has_module(*released, "projector"));
  EXPECT_TRUE(has_module(*released, "predictor"));
  EXPECT_EQ(total_count(*released->named_children()["spatial_head"]), 128 * 5 + 5);
  EXPECT_EQ(total_count(*released->named_children()["rate_head"]), 64 * 4 + 4);
  EXPECT_TRUE(has_module(*made_objective("{name: cstp, projector_hidden: 32}", parts), "projector"));
  EXPECT_TRUE(has_module(*made_objective("{name: cstp, preset: released, heads: mlp}", parts), "projector"));
}

TEST(CstpForm, DoesNotBuildATermOfWeightZero) {
  const auto only = [](const std::string& weights) {
    return made_objective("{name: cstp, projector_hidden: 32, weights: {" + weights + "}}");
  };
  const auto stor = only("contrast: 0, rate: 0, rotation: 0");
  for (const char* name : {"projector", "predictor", "twin", "rate_head", "rotation_head"}) {
    EXPECT_FALSE(has_module(*stor, name)) << name;
  }
  EXPECT_TRUE(has_module(*stor, "spatial_head"));
  stor->train();
  const LossTerms terms = stor->loss(made_batch(*stor));
  std::vector<std::string> names;
  for (const auto& part : terms.parts) names.push_back(part.first);
  EXPECT_THAT(names, testing::ElementsAre("spatial", "temporal", "accuracy_spatial", "accuracy_temporal"));

  const auto contrast = only("spatial: 0, temporal: 0, rate: 0, rotation: 0");
  EXPECT_FALSE(has_module(*contrast, "spatial_head"));
  EXPECT_FALSE(has_module(*contrast, "temporal_head"));
  const auto infonce = made_objective("{name: cstp, projector_hidden: 32, contrast: infonce}");
  EXPECT_FALSE(has_module(*infonce, "twin"));
  EXPECT_FALSE(has_module(*infonce, "predictor"));
}

TEST(CstpForm, RefusesSwitchesThatContradictTheWeights) {
  EXPECT_THROW(made_objective("{name: cstp, rotation: false}"), ConfigError);
  EXPECT_THROW(made_objective("{name: cstp, max_rate: 0}"), ConfigError);
  EXPECT_THROW(made_objective("{name: cstp, contrast: none, weights: {spatial: 0, temporal: 0, rate: 0, rotation: 0}}"),
               ConfigError);
  EXPECT_THROW(made_objective("{name: cstp, crop_area_min: 0.9, crop_area_max: 0.3}"), ConfigError);
  EXPECT_THROW(made_objective("{name: cstp, color: {blur_sigma_min: 3}}"), ConfigError);
}

TEST(CstpPlan, DrawsRatesAndTurnsOnlyWhereTheyAreNamed) {
  const auto objective = made_objective("{name: cstp, projector_hidden: 32, weights: {rate: 0, rotation: 0}}");
  const auto named = made_objective("{name: cstp, projector_hidden: 32}");
  bool rate = false, turn = false;
  for (uint64_t position = 0; position < 50; ++position) {
    Rng rng(1, 0, position), again(1, 0, position);
    for (const ViewPlan& view : objective->plan(made_video(), rng).views) {
      EXPECT_EQ(view.stride, 2);  // clip.stride
      EXPECT_EQ(view.quarter_turns, 0);
    }
    const SamplePlan plan = named->plan(made_video(), again);
    ASSERT_EQ(plan.views.size(), 2U);
    for (size_t i = 0; i < 2; ++i) {
      EXPECT_EQ(plan.views[i].stride, int64_t{1} << plan.overlap->rate);
      EXPECT_EQ(plan.views[i].quarter_turns, plan.overlap->turns[i]);
      turn = turn || plan.views[i].quarter_turns != 0;
    }
    EXPECT_NEAR(plan.overlap->temporal_overlap, temporal_overlap(plan.views[0], plan.views[1]), 1e-12);
    rate = rate || plan.overlap->rate != 0;
  }
  EXPECT_TRUE(rate);
  EXPECT_TRUE(turn);
}

TEST(CstpPlan, RefusesVideosThatAreTooShort) {
  const auto objective = made_objective("{name: cstp, projector_hidden: 32}");
  Rng rng(1);
  VideoInfo video = made_video();
  video.frames = 7;
  EXPECT_THROW(objective->plan(video, rng), DataError);
}

TEST(CstpLoss, HasTheWorkedCrossEntropy) {
  const auto objective = made_objective("{name: cstp, projector_hidden: 32}");
  objective->train();
  answer_always(*objective, "spatial_head", torch::tensor({2.0, 1.0, 0.0, -1.0, -2.0}));
  const ViewBatch batch = with_labels(made_batch(*objective), {.spatial = 1});
  const LossTerms terms = objective->loss(batch);
  EXPECT_NEAR(part_of(terms, "spatial"), 1.451914, 1e-6);
  EXPECT_EQ(part_of(terms, "accuracy_spatial"), 0);
  EXPECT_EQ(part_of(objective->loss(with_labels(batch, {.spatial = 0})), "accuracy_spatial"), 1);
}

TEST(CstpLoss, WeighsItsTermsAsTheWorkedExample) {
  // L_ctr .48, L_s 1.2, L_t 1.5, L_p .9 + 1.1, L_r .4 + .6; the answers here are the same for both clips.
  const auto objective = made_objective("{name: cstp, projector_hidden: 32}");
  objective->train();
  answer_with_angle(*objective, 1 - 0.24 / 2);
  overwrite(tensor_of(*objective, "projector.layers.3.weight"),
            tensor_of(*objective, "twin.projector.layers.3.weight"));
  overwrite(tensor_of(*objective, "projector.layers.3.bias"), tensor_of(*objective, "twin.projector.layers.3.bias"));
  const OverlapLabels labels{.spatial = 1, .temporal = 2, .rate = 3, .turns = {1, 1}};
  answer_always(*objective, "spatial_head", logits_with_loss(1.2, 5, 1));
  answer_always(*objective, "temporal_head", logits_with_loss(1.5, 5, 2));
  answer_always(*objective, "rate_head", logits_with_loss(1.0, 4, 3));
  answer_always(*objective, "rotation_head", logits_with_loss(0.5, 4, 1));
  const LossTerms terms = objective->loss(with_labels(made_batch(*objective), labels));
  EXPECT_NEAR(part_of(terms, "contrast"), 0.48, 1e-5);
  EXPECT_NEAR(part_of(terms, "rate"), 2.0, 1e-5);
  EXPECT_NEAR(part_of(terms, "rotation"), 1.0, 1e-5);
  EXPECT_NEAR(terms.total.item<double>(), 5.748, 1e-5);
}

TEST(CstpLoss, StartsAtTheWorkedValueWhenNothingIsKnown) {
  for (const auto& [preset, ways, expected] :
       {std::tuple{"clean", 4, 9.164053}, std::tuple{"released", 5, 10.056627}}) {
    const auto objective = made_objective(cat("{name: cstp, projector_hidden: 32, momentum: 1, preset: ", preset, "}"));
    objective->train();
    answer_with_angle(*objective, 0);  // orthogonal: L_ctr = 4
    answer_always(*objective, "spatial_head", torch::zeros({5}));
    answer_always(*objective, "temporal_head", torch::zeros({5}));
    answer_always(*objective, "rate_head", torch::zeros({ways}));
    answer_always(*objective, "rotation_head", torch::zeros({ways}));
    EXPECT_NEAR(objective->loss(made_batch(*objective)).total.item<double>(), expected, 1e-5) << preset;
  }
}

TEST(CstpLoss, ReadsTheRotationOfEachClip) {
  // A head that names the clip by its brightness, and clips whose turns differ: accuracy 1 only if rows and labels
  // agree.
  const auto objective =
      made_objective("{name: cstp, heads: linear, contrast: none, weights: {spatial: 0, temporal: 0, rate: 0}}",
                     small_parts("r3d10_pool"));
  objective->eval();
  ViewBatch batch = with_labels(made_batch(*objective), {.turns = {0, 3}});
  batch.views.narrow(0, 4, 4).zero_();  // the second clips: nothing comes out of a network whose norms are at rest
  overwrite(tensor_of(*objective, "rotation_head.weight"), torch::zeros({1}));
  overwrite(tensor_of(*objective, "rotation_head.weight")[0], torch::ones({64}));
  overwrite(tensor_of(*objective, "rotation_head.bias"), torch::tensor({0.0, -9.0, -9.0, 1e-4}));
  EXPECT_EQ(part_of(objective->loss(batch), "accuracy_rotation"), 1);
  EXPECT_EQ(part_of(objective->loss(with_labels(batch, {.turns = {3, 0}})), "accuracy_rotation"), 0);
}

TEST(CstpLoss, ReadsOverlapsFromBothClipsInOrder) {
  const auto objective =
      made_objective("{name: cstp, heads: linear, contrast: none, weights: {temporal: 0, rate: 0, rotation: 0}}",
                     small_parts("r3d10_pool"));
  objective->eval();
  ViewBatch batch = made_batch(*objective);
  const double there = part_of(objective->loss(batch), "spatial");
  batch.views = batch.views.roll(4, 0);  // clips exchanged: another question
  EXPECT_NE(part_of(objective->loss(batch), "spatial"), there);
}

TEST(CstpLoss, TakesLabelsThatWereReadOffThePlansBefore) {  // as a step that is recorded as a CUDA graph must
  const auto objective = made_objective("{name: cstp, projector_hidden: 32}", small_parts("r2plus1d10"));
  ViewBatch batch = with_labels(made_batch(*objective), {.spatial = 1, .rate = 2, .turns = {0, 3}});
  ASSERT_TRUE(objective->capturable());
  objective->eval();
  const at::Tensor expected = objective->loss(batch).total;
  batch.plan_labels = objective->plan_labels(batch);
  for (SamplePlan& plan : batch.plans) plan.overlap.reset();  // nobody may look there any more
  EXPECT_TRUE(torch::equal(objective->loss(batch).total, expected));
}

TEST(CstpTarget, StartsAsACopyInCleanAndApartInReleased) {
  const auto same = [](const Objective& o) {
    return torch::equal(tensor_of(o, "backbone.stem.0.weight"), tensor_of(o, "twin.backbone.stem.0.weight"));
  };
  EXPECT_TRUE(same(*made_objective("{name: cstp, projector_hidden: 32}")));
  const auto released = made_objective("{name: cstp, projector_hidden: 32, preset: released}");
  EXPECT_FALSE(same(*released));
  EXPECT_LT(tensor_of(*released, "backbone.stem.1.weight").min().item<double>(), 0);  // norm gammas of both signs
  EXPECT_LT(tensor_of(*released, "twin.backbone.stem.1.weight").min().item<double>(), 0);
}

TEST(CstpTarget, MovesOncePerTrainingStepBeforeItLooks) {
  const std::string yaml = "{name: cstp, projector_hidden: 32, momentum: 0}";
  const auto objective = made_objective(yaml);
  const auto spoilt = made_objective(yaml);
  objective->train();
  spoilt->train();
  // At momentum 0 a target that moves first is the online network, so what it was before cannot be seen in the loss.
  overwrite(tensor_of(*spoilt, "twin.projector.layers.3.weight"), torch::randn({64, 32}));
  const ViewBatch batch = made_batch(*objective);
  EXPECT_EQ(part_of(objective->loss(batch), "contrast"), part_of(spoilt->loss(batch), "contrast"));

  const auto slow = made_objective("{name: cstp, projector_hidden: 32}");
  slow->train();
  const at::Tensor before = tensor_of(*slow, "twin.backbone.stem.0.weight").clone();
  overwrite(tensor_of(*slow, "backbone.stem.0.weight"), torch::ones({1}));
  slow->loss(batch);
  EXPECT_TRUE(torch::allclose(tensor_of(*slow, "twin.backbone.stem.0.weight"), 0.996 * before + 0.004, 1e-5, 1e-6));
  slow->after_step();
  EXPECT_TRUE(torch::allclose(tensor_of(*slow, "twin.backbone.stem.0.weight"), 0.996 * before + 0.004, 1e-5, 1e-6));
}

TEST(CstpTarget, StandsStillInEvaluation) {
  for (const char* contrast : {"byol", "queue"}) {
    const auto objective =
        made_objective(cat("{name: cstp, projector_hidden: 32, queue_size: 16, contrast: ", contrast, "}"));
    overwrite(tensor_of(*objective, "backbone.stem.0.weight"), torch::ones({1}));
    objective->eval();
    std::vector<at::Tensor> before;
    for (const auto& item : state_of(*objective)) before.push_back(item.second.clone());
    objective->loss(made_batch(*objective));
    size_t i = 0;
    for (const auto& item : state_of(*objective)) EXPECT_TRUE(torch::equal(item.second, before[i++])) << item.first;
  }
}

TEST(CstpTarget, IsNotTrained) {
  for (const auto& [name, parameter] : made_objective("{name: cstp, projector_hidden: 32}")->trainable()) {
    EXPECT_THAT(name, testing::Not(testing::StartsWith("twin."))) << name;
  }
}

TEST(CstpQueue, KeepsTheNewestClips) {
  const auto objective = made_objective("{name: cstp, projector_hidden: 32, contrast: queue, queue_size: 12}");
  objective->train();
  const ViewBatch batch = made_batch(*objective);  // 8 clips
  const at::Tensor before = tensor_of(*objective, "queue").clone();
  objective->loss(batch).total.backward();
  const at::Tensor after = tensor_of(*objective, "queue").clone();
  EXPECT_FALSE(torch::equal(after.narrow(0, 0, 8), before.narrow(0, 0, 8)));
  EXPECT_TRUE(torch::equal(after.narrow(0, 8, 4), before.narrow(0, 8, 4)));
  EXPECT_TRUE(torch::allclose(after.norm(2, 1), torch::ones({12}), 1e-5, 1e-5));
  objective->loss(batch);  // wraps around: rows 8..11, then 0..3
  EXPECT_EQ(tensor_of(*objective, "queue_next").item<int64_t>(), 4);
  EXPECT_FALSE(torch::equal(tensor_of(*objective, "queue").narrow(0, 8, 4), before.narrow(0, 8, 4)));
  EXPECT_TRUE(torch::equal(tensor_of(*objective, "queue").narrow(0, 4, 4), after.narrow(0, 4, 4)));
}

TEST(CstpStatistics, SeeBothClipsInCleanAndOneAtATimeInReleased) {
  const auto passes = [](const std::string& more) {
    const auto objective = made_objective("{name: cstp, projector_hidden: 32" + more + "}");
    objective->train();
    objective->loss(made_batch(*objective));
    const int64_t online = tensor_of(*objective, "backbone.stem.1.num_batches_tracked").item<int64_t>();
    EXPECT_EQ(online, tensor_of(*objective, "twin.backbone.stem.1.num_batches_tracked").item<int64_t>());
    EXPECT_EQ(online, tensor_of(*objective, "rate_head.layers.1.num_batches_tracked").item<int64_t>());
    return online;
  };
  EXPECT_EQ(passes(""), 1);
  EXPECT_EQ(passes(", preset: released"), 2);
  EXPECT_EQ(passes(", statistics: per_clip"), 2);
  EXPECT_EQ(passes(", preset: released, statistics: joint"), 1);
}

TEST(CstpStatistics, NeedTwoVideosAStep) {
  const auto objective = made_objective("{name: cstp, projector_hidden: 32}");
  objective->train();
  try {
    objective->loss(made_batch(*objective, 1));
    FAIL() << "a batch of one was taken";
  } catch (const ConfigError& error) {
    EXPECT_THAT(error.what(), HasSubstr("train.batch"));
  }
}

}  // namespace
}  // namespace cstp
