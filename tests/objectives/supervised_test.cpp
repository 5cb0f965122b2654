// Fine-tuning and the linear probe: what trains, what stands still, and how clips are cut.
#include "cstp/objectives/supervised.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <set>
#include <string>

#include "cstp/core/error.h"
#include "made_batch.h"

namespace cstp {
namespace {

std::shared_ptr<Classifier> made_classifier(const std::string& yaml) {
  return std::dynamic_pointer_cast<Classifier>(made_objective(yaml));
}

std::set<std::string> trainable_names(const Objective& objective) {
  std::set<std::string> names;
  for (const auto& item : objective.trainable()) names.insert(item.first);
  return names;
}

TEST(Supervised, TrainsEverythingUnlessFrozen) {
  const auto finetune = made_classifier("{name: supervised}");
  const auto names = trainable_names(*finetune);
  EXPECT_EQ(names.size(), finetune->backbone()->parameters().size() + 4);  // norm and classifier: weight and bias
  EXPECT_TRUE(names.contains("norm.weight"));
  EXPECT_EQ(tensor_of(*finetune, "classifier.weight").sizes(), (std::vector<int64_t>{3, 64}));
  const auto probe = made_classifier("{name: supervised, freeze: true, norm_affine: false}");
  EXPECT_THAT(trainable_names(*probe), testing::UnorderedElementsAre("classifier.weight", "classifier.bias"));
}

TEST(Supervised, KeepsAFrozenBackboneAtRest) {
  const auto probe = made_classifier("{name: supervised, freeze: true}");
  std::vector<at::Tensor> before;
  for (const auto& item : state_of(*probe->backbone())) before.push_back(item.second.clone());
  probe->set_train_mode();
  EXPECT_TRUE(probe->is_training());
  EXPECT_FALSE(probe->backbone()->is_training());
  probe->loss(made_batch(*probe)).total.backward();
  size_t i = 0;
  for (const auto& item : state_of(*probe->backbone()))
    EXPECT_TRUE(torch::equal(item.second, before[i++])) << item.first;
  EXPECT_EQ(tensor_of(*probe, "norm.num_batches_tracked").item<int64_t>(), 1);
}

TEST(Supervised, ClassifiesTheNormalizedFeature) {
  const auto classifier = made_classifier("{name: supervised, norm: false}");
  classifier->eval();
  const ViewBatch batch = made_batch(*classifier);
  const at::Tensor y = classifier->backbone()->embed(batch.views);
  const at::Tensor unit = y / y.norm(2, 1, true);
  const at::Tensor expected =
      unit.mm(tensor_of(*classifier, "classifier.weight").t()) + tensor_of(*classifier, "classifier.bias");
  EXPECT_TRUE(torch::allclose(classifier->logits(batch.views), expected, 1e-4, 1e-5));

  const auto plain = made_classifier("{name: supervised, norm: false, normalize: false}");
  plain->eval();
  const at::Tensor raw = y.mm(tensor_of(*plain, "classifier.weight").t());
  EXPECT_TRUE(torch::allclose(plain->logits(batch.views), raw, 1e-4, 1e-5));
}

TEST(Supervised, DropsOnlyInTraining) {
  const auto classifier = made_classifier("{name: supervised, norm: false, dropout: 0.5, freeze: true}");
  const ViewBatch batch = made_batch(*classifier);
  classifier->eval();
  EXPECT_TRUE(torch::equal(classifier->logits(batch.views), classifier->logits(batch.views)));
  classifier->set_train_mode();
  EXPECT_FALSE(torch::equal(classifier->logits(batch.views), classifier->logits(batch.views)));
}

TEST(Supervised, CountsOnlyLabelledVideos) {
  const auto classifier = made_classifier("{name: supervised, norm: false}");
  classifier->eval();
  overwrite(tensor_of(*classifier, "classifier.weight"), torch::zeros({1}));
  overwrite(tensor_of(*classifier, "classifier.bias"), torch::tensor({1.0, 0.0, 0.0}));  // always class 0
  ViewBatch batch = made_batch(*classifier);                                             // labels 0, 1, 2, 0
  EXPECT_EQ(part_of(classifier->loss(batch), "top1"), 0.5);
  batch.labels = torch::tensor({0, 0, 1, -1});
  const LossTerms terms = classifier->loss(batch);
  EXPECT_NEAR(part_of(terms, "top1"), 2.0 / 3, 1e-6);
  const double all = std::log(std::exp(1.0) + 2);
  EXPECT_NEAR(terms.total.item<double>(), (3 * all - 2) / 3, 1e-5);
}

TEST(Supervised, NeedsClasses) {
  ObjectiveParts parts = small_parts();
  parts.classes = 0;
  EXPECT_THROW(made_objective("{name: supervised}", parts), ConfigError);
}

TEST(SupervisedPlan, CutsOneClipAtTheWantedStrideWithoutFlips) {
  const auto classifier = made_classifier("{name: supervised, stride: 4}");
  std::set<int64_t> starts;
  int jittered = 0;
  for (uint64_t position = 0; position < 300; ++position) {
    Rng rng(1, 0, position);
    const SamplePlan plan = classifier->plan(made_video(), rng);
    ASSERT_EQ(plan.views.size(), 1U);
    const ViewPlan& view = plan.views.front();
    EXPECT_EQ(view.stride, 4);
    EXPECT_EQ(view.frames.back() - view.frames.front(), 28);
    EXPECT_FALSE(view.flip);
    EXPECT_EQ(view.tilt_degrees, 0);
    EXPECT_EQ(view.color.blur_sigma, 0);
    EXPECT_TRUE(view.color.grey_channel.empty());
    jittered += view.color.jitter.empty() ? 0 : 1;
    starts.insert(view.frames.front());
  }
  EXPECT_GT(starts.size(), 100U);
  EXPECT_NEAR(jittered / 300.0, 0.3, 0.1);
}

TEST(SupervisedPlan, WithoutAugmentationTakesTheCentre) {
  const auto classifier = made_classifier("{name: supervised, augment: false}");
  Rng rng(1);
  const ViewPlan view = classifier->plan(made_video(), rng).views.front();
  EXPECT_EQ(view.crop, centre_crop(made_video()));
  EXPECT_EQ(view.color, ColorPlan{});
}

TEST(SupervisedPlan, WrapsShortVideosAndRefusesEmptyOnes) {
  const auto classifier = made_classifier("{name: supervised, stride: 4}");
  Rng rng(1);
  VideoInfo video = made_video();
  video.frames = 1;
  EXPECT_EQ(classifier->plan(video, rng).views.front().frames, std::vector<int64_t>(8, 0));
  video.frames = 0;
  EXPECT_THROW(classifier->plan(video, rng), DataError);
}

}  // namespace
}  // namespace cstp
