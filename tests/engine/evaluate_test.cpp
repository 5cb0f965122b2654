#include "cstp/engine/evaluate.h"

#include <gtest/gtest.h>
#include <torch/torch.h>

#include <cmath>
#include <set>

namespace cstp {
namespace {

TEST(ScoreVideos, AveragesClipsBySoftmaxOrLogits) {
  // Two clips: one very sure of class 0, one mildly for class 1. Logit means follow the sure one, softmax means too
  // less so.
  const at::Tensor logits = torch::tensor({{{9.0F, 0.0F, 0.0F}, {0.0F, 4.0F, 0.0F}}});  // [1,2,3]
  const at::Tensor label = torch::tensor({0});
  EXPECT_EQ(*score_videos(logits, label, "logits").top1, 1);
  EXPECT_EQ(*score_videos(logits, label, "softmax").top1, 1);
  EXPECT_EQ(*score_videos(logits, label, "logits").clip_top1, 0.5);
  const at::Tensor other = torch::tensor({{{2.0F, 0.0F}, {2.0F, 0.0F}, {-9.0F, 0.0F}}});
  EXPECT_EQ(score_videos(other, label, "softmax").predicted[0].item<int64_t>(), 0);
  EXPECT_EQ(score_videos(other, label, "logits").predicted[0].item<int64_t>(), 1);
}

TEST(ScoreVideos, TopFiveIsUndefinedForFewClasses) {
  EXPECT_FALSE(score_videos(torch::zeros({2, 1, 5}), torch::zeros({2}, torch::kInt64), "logits").top5.has_value());
  EXPECT_TRUE(score_videos(torch::zeros({2, 1, 6}), torch::zeros({2}, torch::kInt64), "logits").top5.has_value());
}

TEST(Knn, VotesByWeightedNeighbours) {
  const auto unit = [](double degrees) {
    const double a = degrees * 3.14159265358979 / 180;
    return std::vector<float>{static_cast<float>(std::cos(a)), static_cast<float>(std::sin(a))};
  };
  std::vector<float> rows;
  for (const double degrees : {0.0, 40.0, 50.0}) {
    const auto u = unit(degrees);
    rows.insert(rows.end(), u.begin(), u.end());
  }
  const at::Tensor train = torch::tensor(rows).reshape({3, 2});
  const at::Tensor labels = torch::tensor({0, 1, 1});
  const at::Tensor test = torch::tensor(unit(5)).reshape({1, 2});
  // One very near neighbour of class 0 against two far ones of class 1: a low temperature lets the near one win.
  EXPECT_EQ(knn_accuracy(train, labels, test, torch::tensor({0}), 2, 3, 0.07).predicted[0].item<int64_t>(), 0);
  EXPECT_EQ(knn_accuracy(train, labels, test, torch::tensor({0}), 2, 3, 10).predicted[0].item<int64_t>(), 1);
}

TEST(Retrieve, CountsHitsAmongTheNearestAndAveragesPrecision) {
  const at::Tensor gallery = torch::tensor({{1.0F, 0.0F}, {0.9F, 0.1F}, {0.0F, 1.0F}, {-1.0F, 0.0F}});
  const at::Tensor gallery_labels = torch::tensor({7, 3, 3, 7});
  const at::Tensor queries = torch::tensor({{1.0F, 0.0F}, {1.0F, 0.0F}});
  const Retrieval result = retrieve(gallery, gallery_labels, queries, torch::tensor({7, 3}), {1, 2, 4, 5});
  EXPECT_EQ(*result.recall[0].second, 0.5);  // query 0 hits at rank 1, query 1 at rank 2
  EXPECT_EQ(*result.recall[1].second, 1.0);
  EXPECT_EQ(*result.recall[2].second, 1.0);
  EXPECT_FALSE(result.recall[3].second.has_value());  // k above the gallery
  const double first = (1.0 + 2.0 / 4) / 2;           // class 7 at ranks 1 and 4
  const double second = (1.0 / 2 + 2.0 / 3) / 2;      // class 3 at ranks 2 and 3
  EXPECT_NEAR(*result.map, (first + second) / 2, 1e-12);
  EXPECT_EQ(result.ranking[0][0].item<int64_t>(), 0);
}

TEST(Retrieve, AQueryOfAnUnknownClassIsAMiss) {
  const Retrieval result = retrieve(torch::eye(2), torch::tensor({0, 0}), torch::eye(2), torch::tensor({0, 5}), {1, 2});
  EXPECT_EQ(*result.recall[1].second, 0.5);
  EXPECT_NEAR(*result.map, 0.5, 1e-12);
}

TEST(Retrieve, SaysWhereTheFirstHitStandsAndRanksTheUnlabelledWithoutCountingThem) {
  const at::Tensor gallery = torch::eye(3);
  const at::Tensor labels = torch::tensor({0, 1, -1});
  const at::Tensor queries = torch::tensor({{3.0F, 2.0F, 1.0F}, {3.0F, 2.0F, 1.0F}, {1.0F, 2.0F, 3.0F}});
  const Retrieval result = retrieve(gallery, labels, queries, torch::tensor({1, 7, -1}), {1, 2});
  EXPECT_TRUE(torch::equal(result.first_hit, torch::tensor({2, 0, 0})));
  EXPECT_EQ(result.precision[0].item<double>(), 0.5);
  EXPECT_EQ(*result.recall[0].second, 0);
  EXPECT_EQ(*result.recall[1].second, 0.5);  // of the two queries that have a label
  EXPECT_EQ(*result.map, 0.25);
  EXPECT_TRUE(torch::equal(result.ranking[2], torch::tensor({2, 1, 0})));
  const Retrieval nothing = retrieve(gallery, labels, queries, torch::tensor({-1, -1, -1}), {1});
  EXPECT_FALSE(nothing.recall[0].second.has_value());
  EXPECT_FALSE(nothing.map.has_value());
}

TEST(VideoEmbeddings, AreUnitMeansOfClips) {
  const at::Tensor clips = torch::tensor({{{3.0F, 0.0F}, {0.0F, 1.0F}}});
  EXPECT_TRUE(torch::allclose(video_embeddings(clips, false), torch::tensor({{0.948683F, 0.316228F}}), 1e-5, 1e-6));
  EXPECT_TRUE(torch::allclose(video_embeddings(clips, true), torch::tensor({{0.707107F, 0.707107F}}), 1e-5, 1e-6));
}

TEST(HoldOut, TakesATenthOfEveryClassAndIsStable) {
  const at::Tensor labels = torch::arange(60).remainder(3);
  const HeldOut parts = hold_out_a_tenth(labels, 5);
  EXPECT_EQ(parts.held_out.size(), 6U);
  EXPECT_EQ(parts.fit.size(), 54U);
  std::set<int64_t> all(parts.fit.begin(), parts.fit.end());
  all.insert(parts.held_out.begin(), parts.held_out.end());
  EXPECT_EQ(all.size(), 60U);
  EXPECT_EQ(hold_out_a_tenth(labels, 5).held_out, parts.held_out);
  EXPECT_NE(hold_out_a_tenth(labels, 6).held_out, parts.held_out);
}

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
  EXPECT_EQ(good.lr, 0.1);
  FeatureSet shuffled = blobs(1, 60, 4, 0.5);
  shuffled.labels = shuffled.labels.index_select(0, torch::randperm(60));
  const ProbeResult bad = linear_probe(shuffled, blobs(2, 30, 4, 0.5), 3, options, 1);
  EXPECT_LT(*score_videos(bad.logits, blobs(2, 30, 4, 0.5).labels, "softmax").top1, 0.8);
  const ProbeResult again = linear_probe(blobs(1, 60, 4, 0.5), blobs(2, 30, 4, 0.5), 3, options, 1);
  EXPECT_TRUE(torch::equal(again.logits, good.logits));
}

}  // namespace
}  // namespace cstp
