// HDC-style contrast: its form, what it cuts from a video, and how its levels make up the loss. The arithmetic of a
// level is in level_contrast_test.cpp (facts 1 to 16 of the specification's section 11); the counts of trunks (19) in
// tests/models/backbone_test.cpp; the learning rate (18) and retrieval (21) in tests/engine/hdc_facts_test.cpp. No fact
// is left out.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <set>
#include <string>

#include "cstp/core/error.h"
#include "cstp/core/text.h"
#include "cstp/sampling/draw.h"
#include "made_batch.h"

namespace cstp {
namespace {

using testing::HasSubstr;

std::shared_ptr<Objective> hdc(const std::string& more, const ObjectiveParts& parts = small_parts()) {
  return made_objective("{name: hdc, head_hidden: 32, head_out: 16" + (more.empty() ? "" : ", " + more) + "}", parts);
}

/// The specification's clip, on a network that is not run.
ObjectiveParts full_clip(const std::string& backbone = "r2plus1d10", double width = 0.125) {
  ObjectiveParts parts = small_parts(backbone, width);
  parts.clip = {.frames = 16, .stride = 2, .size = 112};
  return parts;
}

VideoInfo video(int64_t frames) { return {.frames = frames, .fps = 25, .width = 340, .height = 256, .seconds = 10}; }

SamplePlan plan_of(const Objective& objective, const VideoInfo& of, uint64_t position) {
  Rng rng(7, 0, position);
  return objective.plan(of, rng);
}

int64_t head_parameters(const Objective& objective) {
  int64_t count = 0;
  for (const auto& [name, parameter] : objective.trainable()) {
    if (!name.starts_with("backbone.")) count += parameter.numel();
  }
  return count;
}

TEST(HdcForm, HasTheHeadsOfTheSpecification) {  // fact 20
  EXPECT_EQ(head_parameters(*made_objective("{name: hdc}", full_clip("r2plus1d10", 1))), 1'512'448);
  EXPECT_EQ(head_parameters(*made_objective("{name: hdc}", full_clip("c3d_bn", 1))), 1'971'200);
}

TEST(HdcForm, FlattensAllStepsIntoOneVector) {
  const auto widths = [](const std::string& backbone) {
    const auto objective = made_objective("{name: hdc, sc: {pool: flatten}}", full_clip(backbone, 1));
    std::vector<int64_t> found;
    for (const int64_t level : {1, 2, 3, 4}) {
      found.push_back(tensor_of(*objective, cat("sc_head", level, ".0.weight")).size(1));
    }
    EXPECT_TRUE(objective->backbone()->is_training());
    return found;
  };
  EXPECT_THAT(widths("r2plus1d10"), testing::ElementsAre(1024, 1024, 1024, 1024));
  EXPECT_THAT(widths("c3d"), testing::ElementsAre(2048, 2048, 2048, 1024));
}

TEST(HdcForm, BuildsOnlyTheHeadsOfItsLevelsAndSubtasks) {
  const auto objective = hdc("levels: [2, 4], tc: {weight: 0}");
  std::set<std::string> children;
  for (const auto& child : objective->named_children()) children.insert(child.key());
  EXPECT_THAT(children, testing::ElementsAre("backbone", "sc_head2", "sc_head4"));
}

TEST(HdcForm, HandsOverABackboneWithoutHeads) {  // property h
  const auto objective = hdc("");
  std::vector<std::string> handed, plain;
  for (const auto& [name, tensor] : state_of(*objective->backbone())) handed.push_back(name);
  for (const auto& [name, tensor] : state_of(*small_parts().make_backbone())) plain.push_back(name);
  EXPECT_EQ(handed, plain);
}

TEST(HdcForm, RefusesWhatContradictsItself) {
  EXPECT_THROW(hdc("levels: []"), ConfigError);
  EXPECT_THROW(hdc("levels: [2, 1]"), ConfigError);
  EXPECT_THROW(hdc("levels: [2, 2]"), ConfigError);
  EXPECT_THROW(hdc("levels: [5]"), ConfigError);
  EXPECT_THROW(hdc("levels: [1, 2]"), ConfigError);
  EXPECT_THROW(hdc("sc: {weight: 0}, tc: {weight: 0}"), ConfigError);
  EXPECT_THROW(hdc("crop: {area_min: 0.9, area_max: 0.3}"), ConfigError);
  EXPECT_THROW(hdc("color: {blur_sigma_min: 3}"), ConfigError);
}

TEST(HdcPlan, SharesTheAnchorsFramesInSpaceAndDrawsNewOnesInTime) {  // property e
  const auto objective = hdc("", full_clip());
  int same = 0;
  for (uint64_t position = 0; position < 200; ++position) {
    const SamplePlan plan = plan_of(*objective, video(250), position);
    ASSERT_EQ(plan.views.size(), 3U);
    EXPECT_EQ(plan.views[1].frames, plan.views[0].frames);
    EXPECT_NE(plan.views[1].crop, plan.views[0].crop);
    EXPECT_NE(plan.views[2].crop, plan.views[0].crop);
    EXPECT_NE(plan.views[2].crop, plan.views[1].crop);
    same += plan.views[2].frames == plan.views[0].frames ? 1 : 0;
    for (const ViewPlan& view : plan.views) EXPECT_EQ(view.stride, 2);
  }
  EXPECT_LT(same, 6);  // one in 220
}

TEST(HdcPlan, DrawsTwoPairsWhereViewsAreIndependent) {
  const auto objective = hdc("views: independent", full_clip());
  const SamplePlan plan = plan_of(*objective, video(250), 0);
  ASSERT_EQ(plan.views.size(), 4U);
  EXPECT_EQ(plan.views[1].frames, plan.views[0].frames);
  EXPECT_NE(plan.views[2].frames, plan.views[0].frames);
  EXPECT_NE(plan.views[3].frames, plan.views[2].frames);
  EXPECT_NE(plan.views[3].crop, plan.views[2].crop);
}

TEST(HdcPlan, DrawsThePairsOfASingleSubtaskOnly) {
  for (const char* views : {"shared", "independent"}) {
    const SamplePlan joint = plan_of(*hdc(cat("views: ", views, ", sc: {weight: 0}"), full_clip()), video(250), 0);
    ASSERT_EQ(joint.views.size(), 2U) << views;
    EXPECT_NE(joint.views[1].frames, joint.views[0].frames) << views;
    const SamplePlan spatial = plan_of(*hdc(cat("views: ", views, ", tc: {weight: 0}"), full_clip()), video(250), 0);
    ASSERT_EQ(spatial.views.size(), 2U) << views;
    EXPECT_EQ(spatial.views[1].frames, spatial.views[0].frames) << views;
  }
}

TEST(HdcPlan, AllowsEveryCombinationOfTimeAndSpace) {
  const SamplePlan plan = plan_of(*hdc("sc: {time: new}, tc: {spatial: same}", full_clip()), video(250), 0);
  EXPECT_NE(plan.views[1].frames, plan.views[0].frames);
  EXPECT_NE(plan.views[2].frames, plan.views[0].frames);
  EXPECT_NE(plan.views[2].frames, plan.views[1].frames);
  EXPECT_EQ(plan.views[2].crop, plan.views[0].crop);
  EXPECT_EQ(plan.views[2].color, plan.views[0].color);
  EXPECT_EQ(plan.views[2].flip, plan.views[0].flip);
}

TEST(HdcPlan, KeepsTheTemporalPairWithinItsGap) {
  const auto objective = hdc("tc: {max_gap: 10}", full_clip());
  int64_t farthest = 0;
  for (uint64_t position = 0; position < 300; ++position) {
    const SamplePlan plan = plan_of(*objective, video(250), position);
    farthest = std::max(farthest, std::abs(plan.views[2].frames[0] - plan.views[0].frames[0]));
    EXPECT_LE(plan.views[2].frames.back(), 249);
  }
  EXPECT_EQ(farthest, 10);
}

TEST(HdcPlan, HasTheWindowsOfTheSpecification) {  // fact 17: F = 250, T = 16, r = 2
  EXPECT_EQ(clip_span(16, 2) + 1, 31);
  const int64_t starts = 220;
  double gap = 0, overlap = 0, shared = 0, same = 0;  // exactly, over all pairs of starts
  for (int64_t s0 = 0; s0 < starts; ++s0) {
    const std::vector<int64_t> first = clip_frames(s0, 16, 2, 250);
    for (int64_t s1 = 0; s1 < starts; ++s1) {
      const std::vector<int64_t> second = clip_frames(s1, 16, 2, 250);
      gap += static_cast<double>(std::abs(s0 - s1));
      overlap += std::max(s0, s1) <= std::min(first.back(), second.back()) ? 1 : 0;
      const auto found = std::find_first_of(first.begin(), first.end(), second.begin(), second.end());
      shared += found != first.end() ? 1 : 0;
      same += s0 == s1 ? 1 : 0;
    }
  }
  const double pairs = starts * starts;
  EXPECT_NEAR(gap / pairs, 73.331818, 1e-6);
  EXPECT_NEAR(overlap / pairs, .258058, 1e-6);
  EXPECT_NEAR(shared / pairs, .130992, 1e-6);
  EXPECT_NEAR(same / pairs, .004545, 1e-6);

  const auto objective = hdc("", full_clip());  // and what is drawn
  constexpr int kDraws = 20000;
  double drawn_gap = 0;
  std::set<int64_t> seen;
  for (uint64_t position = 0; position < kDraws; ++position) {
    const SamplePlan plan = plan_of(*objective, video(250), position);
    seen.insert(plan.views[0].frames[0]);
    seen.insert(plan.views[2].frames[0]);
    drawn_gap += static_cast<double>(std::abs(plan.views[0].frames[0] - plan.views[2].frames[0]));
  }
  EXPECT_EQ(seen.size(), 220U);
  EXPECT_EQ(*seen.rbegin(), 219);
  EXPECT_NEAR(drawn_gap / kDraws, 73.33, 1.5);  // 4 deviations of the mean
}

TEST(HdcPlan, RepeatsAVideoThatIsTooShort) {
  const auto objective = hdc("", full_clip());
  std::set<int64_t> starts;
  for (uint64_t position = 0; position < 400; ++position) {
    const SamplePlan plan = plan_of(*objective, video(20), position);  // twice: 40 frames, starts 0 to 9
    for (size_t t = 1; t < 16; ++t) {
      EXPECT_EQ(plan.views[0].frames[t], (plan.views[0].frames[t - 1] + 2) % 20);
    }
    starts.insert(plan.views[0].frames[0]);
  }
  EXPECT_EQ(starts.size(), 10U);
  EXPECT_EQ(*starts.rbegin(), 9);
}

TEST(HdcPlan, DrawsOneFlipAndOneColourAClip) {  // property f: nothing in a view's colours depends on the frame
  const auto objective = hdc("", full_clip());
  double grey = 0, jitter = 0, blur = 0, flip = 0;
  constexpr int kPlans = 1000;
  for (uint64_t position = 0; position < kPlans; ++position) {
    for (const ViewPlan& view : plan_of(*objective, video(250), position).views) {
      EXPECT_TRUE(view.color.grey_channel.empty());
      EXPECT_EQ(view.tilt_degrees, 0);
      grey += view.color.grey ? 1 : 0;
      jitter += view.color.jitter.size() == 4 ? 1 : 0;
      blur += view.color.blur_sigma > 0 ? 1 : 0;
      flip += view.flip ? 1 : 0;
    }
  }
  EXPECT_NEAR(grey / (3 * kPlans), .2, .03);
  EXPECT_NEAR(jitter / (3 * kPlans), .8, .03);
  EXPECT_NEAR(blur / (3 * kPlans), .5, .04);
  EXPECT_NEAR(flip / (3 * kPlans), .5, .04);
}

/// The loss as the logged parts say that it is made.
double recombined(const LossTerms& terms, const std::vector<int64_t>& levels) {
  double sum = 0;
  for (const char* task : {"sc", "tc"}) {
    for (const int64_t level : levels) {
      const std::string name = cat(task, level, "/");
      sum += part_of(terms, name + "weight") * part_of(terms, name + "loss");
    }
  }
  return sum;
}

TEST(HdcLoss, IsTheWeightedSumOfItsLevels) {
  for (const char* scheme : {"uniform", "linear", "geometric", "measured"}) {
    const auto objective = hdc(cat("weights: ", scheme));
    objective->eval();
    const LossTerms terms = objective->loss(made_batch(*objective));
    EXPECT_NEAR(terms.total.item<double>(), recombined(terms, {1, 2, 3, 4}), 1e-5) << scheme;
    EXPECT_NEAR(part_of(terms, "sc") + part_of(terms, "tc"), terms.total.item<double>(), 1e-5) << scheme;
    EXPECT_EQ(part_of(terms, "sc_top1"), part_of(terms, "sc4/top1"));
  }
  const auto objective = hdc("sc: {weight: 2}, tc: {weight: 0.5}");
  objective->eval();
  const LossTerms terms = objective->loss(made_batch(*objective));
  EXPECT_NEAR(terms.total.item<double>(), 2 * part_of(terms, "sc") + .5 * part_of(terms, "tc"), 1e-5);
}

TEST(HdcLoss, OfOneLevelIsThatLevelsContrast) {  // property c
  const auto four = hdc("");
  const auto one = hdc("levels: [4]");
  for (const auto& [name, tensor] : state_of(*one)) overwrite(tensor, tensor_of(*four, name));
  four->eval();
  one->eval();
  const ViewBatch batch = made_batch(*four);
  const LossTerms all = four->loss(batch);
  const LossTerms deepest = one->loss(batch);
  EXPECT_NEAR(deepest.total.item<double>(), part_of(all, "sc4/loss") + part_of(all, "tc4/loss"), 1e-5);
  EXPECT_EQ(part_of(deepest, "sc4/weight"), 1);
}

TEST(HdcLoss, OfVideosThatLookTheSameIsTheLogOfTheirNumber) {
  const auto objective = hdc("");
  objective->eval();
  ViewBatch batch = made_batch(*objective);  // 4 videos
  batch.views = batch.views.slice(0, 0, 1).expand_as(batch.views).contiguous();
  EXPECT_NEAR(objective->loss(batch).total.item<double>(), 2 * std::log(7.0), 1e-4);
}

TEST(HdcLoss, LogsTheInvarianceOfEveryLevelWhateverTheScheme) {
  const auto uniform = hdc("weights: uniform");
  uniform->eval();
  const LossTerms terms = uniform->loss(made_batch(*uniform));
  for (const char* task : {"sc", "tc"}) {
    for (const int64_t level : {1, 2, 3, 4}) {
      const std::string name = cat(task, level, "/");
      for (const char* what : {"loss", "weight", "invariance", "positive", "negative", "top1", "std"}) {
        EXPECT_TRUE(std::isfinite(part_of(terms, name + what))) << name << what;
      }
      EXPECT_EQ(part_of(terms, name + "weight"), .25);
    }
  }
}

TEST(HdcLoss, MeasuresTheInvarianceBeforeTheHead) {
  const auto objective = hdc("");
  objective->eval();
  const ViewBatch batch = made_batch(*objective);
  const double before = part_of(objective->loss(batch), "tc4/invariance");
  const torch::NoGradGuard no_grad;
  const at::Tensor y = objective->backbone()->embed(batch.views);  // [3*4,64]
  const at::Tensor unit = y / y.norm(2, 1, true);
  const at::Tensor cosines = unit.slice(0, 0, 4).mm(unit.slice(0, 8, 12).t());  // V0 x V2
  const double matching = cosines.diagonal().mean().item<double>();
  const double unlike = (cosines.sum() - cosines.diagonal().sum()).item<double>() / 12;
  EXPECT_NEAR(before, matching - unlike, 1e-5);
  for (const auto& [name, tensor] : state_of(*objective)) {
    if (name.starts_with("tc_head4")) overwrite(tensor, torch::rand_like(tensor));
  }
  EXPECT_EQ(part_of(objective->loss(batch), "tc4/invariance"), before);
}

TEST(HdcLoss, WeighsLevelsByTheRunningInvariance) {
  const auto objective = hdc("weights: measured");
  objective->set_train_mode();
  const at::Tensor running = tensor_of(*objective, "sc_invariance");
  ViewBatch batch = made_batch(*objective);
  const auto expected = [&](const LossTerms& terms) {
    std::vector<float> found;
    for (const int64_t level : {1, 2, 3, 4})
      found.push_back(static_cast<float>(part_of(terms, cat("sc", level, "/invariance"))));
    return torch::tensor(found);
  };
  const at::Tensor first = expected(objective->loss(batch));
  EXPECT_TRUE(torch::allclose(running, first, 1e-5, 1e-6));  // seeded by the first batch
  torch::manual_seed(10);
  batch.views = torch::randn_like(batch.views);
  const LossTerms terms = objective->loss(batch);
  EXPECT_TRUE(torch::allclose(running, .99 * first + .01 * expected(terms), 1e-5, 1e-6));
  const at::Tensor raw = running.clamp_min(.05);
  EXPECT_NEAR(part_of(terms, "sc3/weight"), (raw[2] / raw.sum()).item<double>(), 1e-6);
  objective->eval();
  const at::Tensor kept = running.clone();
  objective->loss(batch);
  EXPECT_TRUE(torch::equal(running, kept));
}

TEST(HdcLoss, ExchangesThePoolsOfTheSubtasks) {
  const auto swapped = hdc("sc: {pool: 3d}, tc: {pool: per_step}");
  const auto plain = hdc("");
  swapped->eval();
  plain->eval();
  const ViewBatch batch = made_batch(*plain);
  const LossTerms a = plain->loss(batch);
  const LossTerms b = swapped->loss(batch);
  // The same weights, since heads apply to steps as to clips. conv5 has one step of 8 frames: there nothing changes.
  EXPECT_NE(part_of(a, "sc1/loss"), part_of(b, "sc1/loss"));
  EXPECT_NE(part_of(a, "tc1/loss"), part_of(b, "tc1/loss"));
  EXPECT_NEAR(part_of(a, "sc4/loss"), part_of(b, "sc4/loss"), 1e-5);
  EXPECT_NEAR(part_of(a, "tc4/loss"), part_of(b, "tc4/loss"), 1e-5);
}

TEST(HdcLoss, OfALevelReachesEveryLayerBelowItAndNoneAbove) {
  for (const int64_t level : {1, 2, 3}) {
    const auto objective = hdc(cat("levels: [", level, ", 4]"));
    for (const char* head : {"sc_head4.2.weight", "tc_head4.2.weight"}) {
      overwrite(tensor_of(*objective, head), torch::zeros({1}));  // the deepest level is mute
    }
    objective->set_train_mode();
    objective->loss(made_batch(*objective)).total.backward();
    const auto gradient = [&](const std::string& name) {
      return tensor_of(*objective->backbone(), name).grad().abs().max().item<double>();
    };
    EXPECT_GT(gradient("stem.0.weight"), 0) << level;
    EXPECT_GT(gradient(cat("layer", level, ".0.conv2.1.weight")), 0) << level;
    EXPECT_EQ(gradient(cat("layer", level + 1, ".0.conv2.1.weight")), 0) << level;
  }
}

}  // namespace
}  // namespace cstp
