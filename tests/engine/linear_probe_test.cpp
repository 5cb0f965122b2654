#include "cstp/engine/linear_probe.h"

#include <gtest/gtest.h>
#include <torch/torch.h>

#include "cstp/core/error.h"
#include "cstp/engine/evaluate.h"

namespace cstp {
namespace {

FeatureSet blobs(uint64_t seed, int64_t videos, int64_t clips, double spread) {
  torch::manual_seed(seed);
  FeatureSet set;
  set.labels = torch::arange(videos).remainder(3);
  const at::Tensor centres = torch::eye(3, 8) * 3;
  set.values = centres.index_select(0, set.labels).unsqueeze(1) + torch::randn({videos, clips, 8}) * spread;
  for (int64_t i = 0; i < videos; ++i) set.records.push_back(i);
  set.total = videos;
  return set;
}

TEST(LinearProbe, SeparatesWhatIsSeparableAndNothingElse) {
  DownstreamOptions options;
  options.epochs = 30;
  options.lr = {0.1, 1e-4};
  const ProbeResult good = linear_probe(blobs(1, 60, 4, 0.5), blobs(2, 30, 4, 0.5), 3, options, 1);
  EXPECT_GT(*score_videos(good.logits, blobs(2, 30, 4, 0.5).labels, "softmax").top1, 0.95);
  EXPECT_EQ(good.rate.lr, 0.1);
  FeatureSet shuffled = blobs(1, 60, 4, 0.5);
  shuffled.labels = shuffled.labels.index_select(0, torch::randperm(60));
  const ProbeResult bad = linear_probe(shuffled, blobs(2, 30, 4, 0.5), 3, options, 1);
  EXPECT_LT(*score_videos(bad.logits, blobs(2, 30, 4, 0.5).labels, "softmax").top1, 0.8);
  const ProbeResult again = linear_probe(blobs(1, 60, 4, 0.5), blobs(2, 30, 4, 0.5), 3, options, 1);
  EXPECT_TRUE(torch::equal(again.logits, good.logits));
}

TEST(LinearProbe, ChoosesItsRateAndTrainsWithoutLookingAtTest) {
  DownstreamOptions options;
  options.epochs = 10;
  options.lr = {1e-4, 0.1};
  const FeatureSet train = blobs(1, 60, 4, 0.5);
  FeatureSet test = blobs(2, 30, 4, 0.5);
  const ProbeResult honest = linear_probe(train, test, 3, options, 1);
  test.labels = (test.labels + 1).remainder(3);
  const ProbeResult permuted = linear_probe(train, test, 3, options, 1);
  EXPECT_EQ(honest.rate.lr, 0.1);
  EXPECT_EQ(permuted.rate.lr, honest.rate.lr);
  EXPECT_EQ(permuted.classifier, honest.classifier);
  EXPECT_LT(*score_videos(permuted.logits, test.labels, "logits").top1, 0.05);
}

TEST(LinearProbe, AClassWithOneVideoIsTrainedOn) {
  DownstreamOptions options;
  options.epochs = 50;
  options.lr = {0.1, 0.01};
  FeatureSet train = blobs(1, 3, 2, 0.1);  // one video a class: nothing can be held out
  const ProbeResult result = linear_probe(train, blobs(2, 6, 2, 0.1), 3, options, 1);
  EXPECT_EQ(result.rate.lr, 0.1);
  EXPECT_EQ(*score_videos(result.logits, blobs(2, 6, 2, 0.1).labels, "logits").top1, 1);
}

TEST(LinearProbe, ARateThatDivergesIsNotChosen) {
  DownstreamOptions options;
  options.epochs = 20;
  options.weight_decay = 10;  // lr * weight_decay > 2 makes the weights grow without limit
  options.lr = {1e30, 0.01};
  const FeatureSet train = blobs(1, 60, 4, 0.5);
  EXPECT_EQ(linear_probe(train, blobs(2, 30, 4, 0.5), 3, options, 1).rate.lr, 0.01);
  options.lr = {1e30};
  EXPECT_THROW(linear_probe(train, blobs(2, 30, 4, 0.5), 3, options, 1), NumericError);
}

}  // namespace
}  // namespace cstp
