// Joint objectives: what a sum of objectives shares, what stays with its parts, and which parts cannot go together.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <set>
#include <string>

#include "cstp/core/error.h"
#include "cstp/core/text.h"
#include "made_batch.h"

namespace cstp {
namespace {

using testing::AllOf;
using testing::HasSubstr;

const std::string kCstp = "name: cstp, projector_hidden: 32";
const std::string kLevels = "name: hdc, head_hidden: 32, head_out: 16, sc: {weight: 0}";
const std::string kHdc = "name: hdc, head_hidden: 32, head_out: 16";

std::string joint(const std::vector<std::string>& parts) {
  return cat("{name: joint, parts: [{", join(parts, "}, {"), "}]}");
}

/// "" where it is accepted.
std::string refusal(const std::vector<std::string>& parts) {
  try {
    (void)resolve_objective(ConfigNode::parse(joint(parts), "here.yaml"));
  } catch (const ConfigError& error) {
    return error.what();
  }
  return "";
}

/// Every tensor of `to` takes the value that the joint has for it: of its backbone, or under its own name.
void take_state(const Objective& to, const Objective& from, const std::string& name) {
  for (const auto& [key, tensor] : state_of(to)) {
    overwrite(tensor, tensor_of(from, key.starts_with("backbone.") ? key : cat(name, ".", key)));
  }
}

class JointOfOne : public testing::TestWithParam<std::string> {};

TEST_P(JointOfOne, IsThatPartToTheBit) {
  const auto alone = made_objective(cat("{", GetParam(), "}"));
  const auto within = made_objective(joint({GetParam()}));
  const std::string name = GetParam().substr(6, GetParam().find(',') - 6);
  alone->set_train_mode();
  within->set_train_mode();
  const ViewBatch batch = made_batch(*alone);
  EXPECT_EQ(made_batch(*within).plans, batch.plans);
  for (int step = 0; step < 2; ++step) {
    for (const auto& objective : {alone, within}) {
      const LossTerms terms = objective->loss(batch);
      terms.total.backward();
      const torch::NoGradGuard no_grad;
      for (const auto& [key, parameter] : objective->trainable()) {
        at::Tensor(parameter).sub_(0.02 * parameter.grad());
        parameter.grad().zero_();
      }
      objective->after_step();
    }
  }
  const LossTerms a = alone->loss(batch), b = within->loss(batch);
  EXPECT_EQ(a.total.item<double>(), b.total.item<double>());
  EXPECT_TRUE(torch::equal(a.embeddings, b.embeddings));
  for (const auto& [part, value] : a.parts) EXPECT_EQ(part_of(b, cat(name, ".", part)), value.item<double>()) << part;
  EXPECT_EQ(part_of(b, name + ".loss"), a.total.item<double>());
  EXPECT_EQ(state_of(*alone).size(), state_of(*within).size());
  for (const auto& [key, tensor] : state_of(*alone)) {
    EXPECT_TRUE(torch::equal(tensor, tensor_of(*within, key.starts_with("backbone.") ? key : cat(name, ".", key))))
        << key;
  }
}
INSTANTIATE_TEST_SUITE_P(Parts, JointOfOne,
                         testing::Values(kCstp, kCstp + ", preset: released", kCstp + ", contrast: queue",
                                         "name: cvrl, gap: linear", kHdc + ", weights: measured",
                                         "name: supervised, dropout: 0"));

TEST(Joint, IsTheWeightedSumOfItsPartsOnTheSameViews) {
  const std::vector<std::string> parts = {kCstp + ", contrast: infonce", kLevels, "name: cvrl, gap: linear"};
  const auto sum = made_objective(joint({parts[0], "weight: 0.5, " + parts[1], "weight: 0.25, " + parts[2]}));
  sum->eval();  // so that a second pass sees the same statistics
  const ViewBatch batch = made_batch(*sum);
  const LossTerms terms = sum->loss(batch);
  terms.total.backward();
  at::Tensor total = torch::zeros({}), gradient = torch::zeros_like(tensor_of(*sum, "backbone.stem.0.weight"));
  const double weights[] = {1, 0.5, 0.25};
  const char* names[] = {"cstp", "hdc", "cvrl"};
  for (size_t i = 0; i < parts.size(); ++i) {
    const auto alone = made_objective(cat("{", parts[i], "}"), small_parts(), 7);
    alone->eval();
    take_state(*alone, *sum, names[i]);
    const LossTerms own = alone->loss(batch);
    own.total.backward();
    total = total + weights[i] * own.total.detach();
    gradient = gradient + weights[i] * tensor_of(*alone, "backbone.stem.0.weight").grad();
    EXPECT_NEAR(part_of(terms, cat(names[i], ".loss")), own.total.item<double>(), 1e-6) << names[i];
    for (const auto& [name, value] : own.parts) {
      EXPECT_NEAR(part_of(terms, cat(names[i], ".", name)), value.item<double>(), 1e-6) << names[i] << "." << name;
    }
  }
  EXPECT_NEAR(terms.total.item<double>(), total.item<double>(), 1e-5);
  EXPECT_TRUE(torch::allclose(tensor_of(*sum, "backbone.stem.0.weight").grad(), gradient, 1e-4, 1e-6));
}

TEST(Joint, RunsTheBackboneOnce) {
  const auto sum = made_objective(joint({kCstp, kLevels, "name: cvrl", "name: supervised"}));
  sum->set_train_mode();
  sum->loss(made_batch(*sum));
  EXPECT_EQ(tensor_of(*sum, "backbone.stem.1.num_batches_tracked").item<int64_t>(), 1);
  EXPECT_EQ(tensor_of(*sum, "cstp.twin.backbone.stem.1.num_batches_tracked").item<int64_t>(), 1);
}

TEST(Joint, RegistersTheBackboneOnceAndHeadsUnderTheirPart) {
  const auto sum = made_objective(joint({kCstp, kLevels}));
  std::set<std::string> first, names;
  for (const auto& [name, tensor] : state_of(*sum)) {
    first.insert(name.substr(0, name.find('.')));
    EXPECT_TRUE(names.insert(name).second) << name;
    EXPECT_FALSE(name.starts_with("cstp.backbone.") || name.starts_with("hdc.backbone.")) << name;
  }
  EXPECT_THAT(first, testing::UnorderedElementsAre("backbone", "cstp", "hdc"));
  std::set<at::TensorImpl*> trained;
  for (const auto& [name, parameter] : sum->trainable()) {
    EXPECT_TRUE(trained.insert(parameter.unsafeGetTensorImpl()).second) << name;
    EXPECT_FALSE(name.starts_with("cstp.twin.")) << name;
  }
  EXPECT_TRUE(trained.contains(tensor_of(*sum->backbone(), "stem.0.weight").unsafeGetTensorImpl()));
}

TEST(Joint, PutsThePartsNameBeforeWhatItLogs) {
  const auto sum = made_objective(joint({kCstp, kLevels}));
  const LossTerms terms = sum->loss(made_batch(*sum));
  std::vector<std::string> parts, constants;
  for (const auto& [name, value] : terms.parts) parts.push_back(name);
  for (const auto& [name, value] : terms.constants) constants.push_back(name);
  EXPECT_THAT(parts, testing::IsSupersetOf({"cstp.loss", "cstp.contrast", "cstp.accuracy_spatial", "hdc.loss", "hdc.tc",
                                            "hdc.tc_top1", "hdc.tc4/invariance"}));
  EXPECT_THAT(constants, testing::Contains("hdc.tc_top1"));
}

TEST(Joint, LeavesAPartOfWeightZeroOut) {
  const auto sum = made_objective(joint({kCstp, "weight: 0, " + kLevels}));
  EXPECT_FALSE(has_module(*sum, "hdc"));
  for (const auto& [name, value] : sum->loss(made_batch(*sum)).parts) EXPECT_FALSE(name.starts_with("hdc")) << name;
  // Of weight 0, the first part still draws and nothing else.
  const auto drawn = made_objective(joint({"weight: 0, " + kCstp, "name: cvrl"}));
  EXPECT_FALSE(has_module(*drawn, "cstp"));
  const ViewBatch batch = made_batch(*drawn);
  EXPECT_TRUE(batch.plans.front().overlap.has_value());
  const LossTerms terms = drawn->loss(batch);
  EXPECT_EQ(terms.total.item<double>(), part_of(terms, "cvrl.loss"));
  EXPECT_THAT(refusal({"weight: 0, " + kCstp}), HasSubstr("every part has weight 0"));
}

TEST(Joint, StartsTheBackboneAsTheFirstPartWould) {
  const auto weight = [](const std::string& yaml) {
    return tensor_of(*made_objective(yaml)->backbone(), "stem.0.weight");
  };
  EXPECT_TRUE(torch::equal(weight(joint({kCstp, "name: cvrl"})), weight(cat("{", kCstp, "}"))));
  EXPECT_TRUE(torch::equal(weight(joint({"name: cvrl", kLevels})), weight("{name: cvrl}")));
  EXPECT_FALSE(torch::equal(weight("{name: cvrl}"), weight(cat("{", kCstp, "}"))));
}

TEST(Joint, ContrastsTheFirstAndTheLastOfThreeViews) {  // cvrl on the views of hdc
  const auto sum = made_objective(joint({kHdc, "name: cvrl"}));
  sum->eval();
  ViewBatch batch = made_batch(*sum);
  ASSERT_EQ(batch.views.size(0), 12);
  const LossTerms before = sum->loss(batch);
  batch.views = batch.views.clone();
  batch.views.narrow(0, 4, 4).normal_();  // the middle view
  const LossTerms middle = sum->loss(batch);
  EXPECT_NEAR(part_of(middle, "cvrl.loss"), part_of(before, "cvrl.loss"), 1e-5);
  EXPECT_GT(std::abs(part_of(middle, "hdc.loss") - part_of(before, "hdc.loss")), 1e-4);
  batch.views.narrow(0, 8, 4).normal_();
  EXPECT_GT(std::abs(part_of(sum->loss(batch), "cvrl.loss") - part_of(before, "cvrl.loss")), 1e-4);
}

TEST(Joint, ClassifiesEveryViewByTheVideosLabel) {
  const auto sum = made_objective(joint({"name: cvrl", "name: supervised, norm: false"}));
  sum->eval();
  overwrite(tensor_of(*sum, "supervised.classifier.weight"), torch::zeros({1}));
  overwrite(tensor_of(*sum, "supervised.classifier.bias"), torch::tensor({1.0, 0.0, 0.0}));  // always class 0
  ViewBatch batch = made_batch(*sum);
  batch.labels = torch::tensor({0, 0, 1, -1});
  const LossTerms terms = sum->loss(batch);
  EXPECT_NEAR(part_of(terms, "supervised.top1"), 2.0 / 3, 1e-6);
  EXPECT_NEAR(part_of(terms, "supervised.loss"), std::log(std::exp(1.0) + 2) - 2.0 / 3, 1e-5);
}

TEST(Joint, TrainsByolOnTheViewsOfAnother) {  // no label of a pair is asked for
  const auto sum =
      made_objective(joint({"name: cvrl", kCstp + ", weights: {spatial: 0, temporal: 0, rate: 0, rotation: 0}"}));
  const LossTerms terms = sum->loss(made_batch(*sum));
  EXPECT_GT(part_of(terms, "cstp.contrast"), 0);
}

TEST(JointRefusal, NamesBothPartsWhatIsDrawnWhatIsWantedAndAWayOut) {
  EXPECT_EQ(refusal({kCstp, kHdc}),
            "here.yaml:1:59: objective.parts.1: hdc cannot learn from the views of cstp: cstp draws two clips of a "
            "video, whose overlap is known, turned, tilted, hdc wants three clips of a video: an anchor, the same "
            "frames under another "
            "crop and colours for sc, and other frames for tc; set its sc.weight to 0, which leaves tc to pair two "
            "clips, or give hdc the first place, so that it draws, or train them apart");
  EXPECT_THAT(refusal({"name: cvrl", kCstp}), AllOf(HasSubstr("cvrl draws two clips of a video, near in time"),
                                                    HasSubstr("whose overlap it draws itself"),
                                                    HasSubstr("weights of spatial, temporal, rate and rotation to 0")));
  EXPECT_THAT(refusal({"name: supervised", "name: cvrl"}),
              HasSubstr("supervised draws one clip of a video, cvrl wants at least two clips of a video"));
  EXPECT_THAT(refusal({kCstp, "name: hdc, tc: {weight: 0}"}), HasSubstr("an anchor, and the same frames"));
  EXPECT_EQ(refusal({kCstp, "name: hdc, sc: {time: new}, tc: {weight: 0}"}), "");
  EXPECT_EQ(refusal({kHdc, "name: cvrl", "name: supervised"}), "");
}

TEST(JointRefusal, KeepsBatchNormsToOneWayOfPassing) {
  EXPECT_THAT(refusal({kCstp + ", statistics: per_clip", "name: cvrl"}),
              AllOf(HasSubstr("cvrl cannot share a pass of the backbone with cstp"),
                    HasSubstr("cstp runs it on one view at a time (by its option statistics), cvrl trains it on all")));
  EXPECT_THAT(refusal({"name: cvrl", "name: supervised, freeze: true"}),
              HasSubstr("supervised freezes it (by its option freeze)"));
}

TEST(JointRefusal, FindsOptionsThatWouldDoNothing) {
  EXPECT_THAT(
      refusal({kCstp, kLevels + ", crop: {area_min: 0.5}"}),
      AllOf(HasSubstr("here.yaml:1:"), HasSubstr("objective.parts.1.crop: cstp draws the views, so this would do "
                                                 "nothing")));
  EXPECT_THAT(refusal({kCstp, "name: hdc, sc: {weight: 0}, tc: {max_gap: 3}"}), HasSubstr("parts.1.tc.max_gap"));
  EXPECT_EQ(refusal({kCstp, kLevels + ", crop: {area_min: 0.2}"}), "");  // as it is anyway
}

TEST(JointRefusal, PointsAtThePartThatIsWrong) {
  EXPECT_THAT(refusal({kCstp, "name: hcd"}),
              AllOf(HasSubstr("objective.parts.1.name"), HasSubstr("did you mean 'hdc'?")));
  EXPECT_THAT(refusal({kCstp, "weight: 2"}), HasSubstr("objective.parts.1: it has no name"));
  EXPECT_THAT(refusal({kCstp + ", temprature: 1"}),
              HasSubstr("objective.parts.0.temprature: unknown key; did you mean 'temperature'?"));
  EXPECT_THAT(refusal({kCstp, "name: hdc, levels: [1]"}), HasSubstr("objective.parts.1 (hdc): objective.levels: [1]"));
  EXPECT_THAT(refusal({"weight: -1, " + kCstp}), HasSubstr("objective.parts.0.weight: wanted a number >= 0"));
  EXPECT_THAT(refusal({kCstp, kCstp}), HasSubstr("cstp stands twice"));
  EXPECT_THAT(refusal({kCstp, "name: joint, parts: [{name: cvrl}]"}), HasSubstr("list its parts beside the others"));
  EXPECT_THROW(resolve_objective(ConfigNode::parse("{name: joint}", "here")), ConfigError);
}

TEST(SharedViews, AreAcceptedWhereEveryNeedIsMet) {
  const ViewsDrawn turned{.text = "", .count = 2, .upright = false};
  EXPECT_TRUE(ViewNeeds{}.accepts(turned));
  EXPECT_FALSE(ViewNeeds{.upright = true}.accepts(turned));
  EXPECT_FALSE(ViewNeeds{.least = 3}.accepts(turned));
  EXPECT_FALSE(ViewNeeds{.most = 1}.accepts(turned));
  EXPECT_FALSE(ViewNeeds{.rates = true}.accepts(turned));
  const auto drawn = [](const std::string& yaml) {
    const ConfigNode section = ConfigNode::parse(yaml, "here");
    return find_objective(section).shared_views(section).draws;
  };
  EXPECT_FALSE(drawn("{name: cstp}").upright);
  EXPECT_FALSE(drawn("{name: cstp, weights: {rotation: 0}}").upright);
  EXPECT_TRUE(drawn("{name: cstp, weights: {rotation: 0}, color: {tilt_degrees: 0}}").upright);
  EXPECT_TRUE(drawn("{name: cvrl}").upright);
}

TEST(BackbonePass, GivesTheMapsAndTheEmbeddingsOfOnePass) {
  torch::manual_seed(1);
  const auto backbone = make_backbone({.name = "r3d10", .width = 0.125});
  const at::Tensor views = torch::randn({4, 3, 8, 32, 32});
  const at::Tensor seen = tensor_of(*backbone, "stem.1.num_batches_tracked");
  for (const bool view_by_view : {false, true}) {
    const int64_t before = seen.item<int64_t>();
    BackbonePass pass(*backbone, views, 2, {.view_by_view = view_by_view});
    EXPECT_EQ(seen.item<int64_t>(), before);  // nothing runs before it is asked for
    const at::Tensor pooled = pass.pooled();
    const std::vector<at::Tensor> maps = pass.stages();
    EXPECT_EQ(seen.item<int64_t>(), before + (view_by_view ? 2 : 1));
    EXPECT_TRUE(torch::allclose(maps.back().mean({2, 3, 4}), pooled, 1e-5, 1e-6));
    for (size_t k = 0; k < 4; ++k) EXPECT_EQ(maps[k].size(0), 4);
    const at::Tensor expected =
        view_by_view ? torch::cat({backbone->embed(views.narrow(0, 0, 2)), backbone->embed(views.narrow(0, 2, 2))})
                     : backbone->embed(views);
    EXPECT_TRUE(torch::equal(pooled, expected));
  }
  BackbonePass frozen(*backbone, views, 2, {.gradient = false});
  EXPECT_FALSE(frozen.pooled().requires_grad());
}

}  // namespace
}  // namespace cstp
