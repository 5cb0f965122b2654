#include "cstp/engine/evaluate.h"

#include <gtest/gtest.h>
#include <torch/torch.h>

#include <cmath>
#include <limits>

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

TEST(ScoreVideos, CountsClipsOneByOne) {
  // One video of class 5 with two clips: the first puts 5 at rank 3, the second at rank 6 of 7.
  const at::Tensor logits = torch::tensor({{{9.F, 8.F, 0.F, 0.F, 0.F, 1.F, 0.F}, {9.F, 8.F, 7.F, 6.F, 5.F, 1.F, 0.F}}});
  const Accuracy accuracy = score_videos(logits, torch::tensor({5}), "logits");
  EXPECT_EQ(*accuracy.clip_top1, 0);
  EXPECT_EQ(*accuracy.clip_top5, 0.5);
  EXPECT_EQ(*accuracy.top5, 0);  // means 9 8 3.5 3 2.5 1 0
}

TEST(ScoreVideos, GivesNothingAwayToTiesAndToNumbersThatAreNone) {
  const at::Tensor same = torch::zeros({7, 1, 7});
  EXPECT_NEAR(*score_videos(same, torch::arange(7), "logits").top1, 1.0 / 7, 1e-12);
  EXPECT_NEAR(*score_videos(same, torch::arange(7), "logits").top5, 5.0 / 7, 1e-12);
  const at::Tensor broken = torch::full({7, 1, 7}, std::numeric_limits<float>::quiet_NaN());
  EXPECT_EQ(*score_videos(broken, torch::arange(7), "logits").top5, 0);
}

TEST(Knn, AClassWithoutAVoteIsNoHit) {
  const at::Tensor one = torch::tensor({{1.0F, 0.0F}});
  const Accuracy accuracy = knn_accuracy(one, torch::tensor({6}), one, torch::tensor({0}), 7, 1, 0.07);
  EXPECT_EQ(*accuracy.top5, 0);
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

}  // namespace
}  // namespace cstp
