// The unit-checkable facts of the HDC specification that are arithmetic (section 11, facts 1 to 16), in f64: heads are
// the identity, inputs are brought to unit length by unit_vectors().
#include "level_contrast.h"

#include <gtest/gtest.h>
#include <torch/torch.h>

#include <cmath>

namespace cstp {
namespace {

constexpr double kSixDigits = 1e-6;

at::Tensor f64(const std::vector<double>& values, const std::vector<int64_t>& shape) {
  return torch::tensor(values, torch::kDouble).reshape(shape);
}

/// Mean over anchors, of all videos.
at::Tensor loss_of(const at::Tensor& p, const at::Tensor& q, double temperature, const std::string& contrast) {
  return score_pair(unit_vectors(p), unit_vectors(q), 0, p.size(0), temperature, contrast).loss;
}

/// The same of two stage maps.
double pooled_loss(const at::Tensor& a, const at::Tensor& b, const std::string& pool,
                   const std::string& contrast = "ntxent") {
  return loss_of(pool_map(a, pool), pool_map(b, pool), 0.5, contrast).item<double>();
}

/// Fact 7: two videos, one vector each.
struct Pair {
  at::Tensor p = f64({1, 0, 0, 1}, {2, 1, 2});
  at::Tensor q = f64({.8, .6, -.6, .8}, {2, 1, 2});
};

/// Facts 11 to 14: [N=2][T=2][C=2] after pooling over space, as maps [N,C,T,1,1].
struct Maps {
  static at::Tensor map(const std::vector<double>& values) {
    return f64(values, {2, 2, 2}).transpose(1, 2).unsqueeze(3).unsqueeze(4);
  }
  at::Tensor a = map({2, 0, 0, 2, 1, 1, 1, -1});
  at::Tensor b = map({1, 0, 0, 3, 2, 1, 1, -2});
};

double weighted(const std::vector<double>& weights, const std::vector<double>& losses) {
  double sum = 0;
  for (size_t k = 0; k < weights.size(); ++k) sum += weights[k] * losses[k];
  return sum;
}

TEST(LevelWeights, AreTheTableOfTheSpecification) {
  const auto expect = [](const std::vector<double>& found, const std::vector<double>& wanted) {
    ASSERT_EQ(found.size(), wanted.size());
    for (size_t k = 0; k < wanted.size(); ++k) EXPECT_NEAR(found[k], wanted[k], kSixDigits) << k;
  };
  expect(level_weights("geometric", 3, .5), {.142857, .285714, .571429});  // fact 1
  expect(level_weights("uniform", 4, .5), {.25, .25, .25, .25});
  expect(level_weights("linear", 4, .5), {.1, .2, .3, .4});
  expect(level_weights("geometric", 4, .5), {.066667, .133333, .266667, .533333});
}

TEST(LevelWeights, FollowTheMeasuredInvariance) {  // fact 2
  const auto expect = [](const std::vector<double>& invariance, const std::vector<double>& wanted) {
    const at::Tensor found = measured_level_weights(f64(invariance, {4}), .05);
    EXPECT_TRUE(torch::allclose(found, f64(wanted, {4}), 0, kSixDigits)) << found;
  };
  expect({-.1, .3, .5, .7}, {.032258, .193548, .322581, .451613});
  expect({.12, .31, .55, .82}, {.066667, .172222, .305556, .455556});
}

TEST(LevelWeights, LetNoGradientThrough) {  // property g
  const at::Tensor invariance = f64({.1, .2}, {2}).requires_grad_();
  EXPECT_FALSE(measured_level_weights(invariance, .05).requires_grad());
  const Pair pair;
  EXPECT_FALSE(invariance_sums(pair.p.clone().requires_grad_(), pair.q).requires_grad());
}

TEST(RunningInvariance, StartsAtTheFirstBatchAndMovesSlowly) {  // fact 3
  at::Tensor running = running_invariance(f64({9}, {1}), f64({.5}, {1}), torch::zeros({1}, torch::kLong), .99);
  EXPECT_EQ(running.item<double>(), .5);
  for (const double batch : {.8, .6, .7}) {
    running = running_invariance(running, f64({batch}, {1}), torch::ones({1}, torch::kLong), .99);
  }
  EXPECT_NEAR(running.item<double>(), .505930, kSixDigits);
}

TEST(LevelWeights, CombineTheWorkedLosses) {  // facts 4, 5 and 6
  const std::vector<double> sc = {2, 1.6, 1.2, .8};
  const std::vector<double> tc = {2.4, 2, 1.5, 1};
  struct Row {
    const char* scheme;
    double sc, tc, total;
  };
  for (const Row& row : {Row{"uniform", 1.4, 1.725, 3.125}, Row{"linear", 1.2, 1.49, 2.69},
                         Row{"geometric", 1.093333, 1.36, 2.453333}}) {
    const std::vector<double> weights = level_weights(row.scheme, 4, .5);
    EXPECT_NEAR(weighted(weights, sc), row.sc, kSixDigits) << row.scheme;
    EXPECT_NEAR(weighted(weights, tc), row.tc, kSixDigits) << row.scheme;
    EXPECT_NEAR(weighted(weights, sc) + weighted(weights, tc), row.total, kSixDigits) << row.scheme;
    EXPECT_NEAR(weighted(weights, {1.5, 1.5, 1.5, 1.5}), 1.5, 1e-12) << row.scheme;
  }
}

TEST(ScorePair, HasTheWorkedValues) {  // fact 7
  const Pair pair;
  EXPECT_NEAR(loss_of(pair.p, pair.q, .5, "ntxent").item<double>(), .430190, kSixDigits);
  EXPECT_NEAR(loss_of(pair.p, pair.q, .1, "ntxent").item<double>(), .063780, kSixDigits);
  EXPECT_NEAR(loss_of(pair.p, pair.q, .5, "cross_view").item<double>(), .286024, kSixDigits);
  EXPECT_NEAR(loss_of(pair.p, pair.q, .1, "cross_view").item<double>(), .063464, kSixDigits);
  const at::Tensor sums = invariance_sums(pair.p, pair.q);
  EXPECT_NEAR(invariance_of(sums, 1, 2).item<double>(), .8, 1e-12);
}

TEST(ScorePair, HasTheWorkedGradient) {  // fact 8
  const Pair pair;
  const at::Tensor p = pair.p.clone().requires_grad_();
  loss_of(p, pair.q, .5, "ntxent").backward();
  const at::Tensor wanted = f64({0, -.029785, .622471, 0}, {2, 1, 2});
  EXPECT_TRUE(torch::allclose(p.grad(), wanted, 0, kSixDigits)) << p.grad();
}

TEST(ScorePair, OfEqualEmbeddingsIsTheLogOfTheirNumber) {  // fact 9
  for (const auto& [videos, wanted] : {std::pair{2, 1.098612}, {4, 1.945910}, {64, 4.844187}, {256, 6.236370}}) {
    const at::Tensor same = torch::ones({videos, 3, 5}, torch::kDouble);
    EXPECT_NEAR(loss_of(same, same, .1, "ntxent").item<double>(), wanted, kSixDigits);
    EXPECT_NEAR(loss_of(same, same, .1, "cross_view").item<double>(), std::log(videos), 1e-9);
    for (const char* contrast : {"ntxent", "cross_view"}) {
      const PairScores scores = score_pair(unit_vectors(same), unit_vectors(same), 0, videos, .1, contrast);
      EXPECT_NEAR(std::log(scores.candidates), scores.loss.item<double>(), 1e-9);
    }
  }
  const at::Tensor same = torch::ones({128, 1, 5}, torch::kDouble);
  const double level = loss_of(same, same, .1, "ntxent").item<double>();
  const double subtask = weighted(level_weights("geometric", 4, .5), {level, level, level, level});
  EXPECT_NEAR(2 * subtask, 11.082527, kSixDigits);
}

TEST(ScorePair, IsNearNothingWhenSolved) {  // fact 10
  const at::Tensor solved = f64({1, 0, 0, 1}, {2, 1, 2});
  EXPECT_NEAR(loss_of(solved, solved, .1, "ntxent").item<double>(), 9.0796e-05, 1e-9);
  const PairScores scores = score_pair(solved, solved, 0, 2, .1, "ntxent");
  EXPECT_EQ(scores.top1.item<double>(), 1);
  EXPECT_EQ(scores.positive.item<double>(), 1);
  EXPECT_EQ(scores.negative.item<double>(), 0);
  const PairScores swapped = score_pair(solved, solved.flip(0), 0, 2, .1, "ntxent");
  EXPECT_EQ(swapped.top1.item<double>(), 0);
  EXPECT_EQ(swapped.positive.item<double>(), 0);
  EXPECT_EQ(swapped.negative.item<double>(), 1);
}

TEST(PoolMap, OverSpaceAndTimeGivesTheWorkedTemporalContrast) {  // fact 11
  const Maps maps;
  EXPECT_TRUE(torch::equal(pool_map(maps.a, "3d"), f64({1, 1, 1, 0}, {2, 1, 2})));
  EXPECT_TRUE(torch::equal(pool_map(maps.b, "3d"), f64({.5, 1.5, 1.5, -.5}, {2, 1, 2})));
  EXPECT_NEAR(pooled_loss(maps.a, maps.b, "3d"), .547851, kSixDigits);
  EXPECT_NEAR(pooled_loss(maps.a, maps.b, "3d", "cross_view"), .294353, kSixDigits);
}

TEST(PoolMap, OverSpaceGivesTheWorkedSpatialContrast) {  // fact 12
  const Maps maps;
  EXPECT_NEAR(pooled_loss(maps.a.slice(2, 0, 1), maps.b.slice(2, 0, 1), "per_step"), .888479, kSixDigits);
  EXPECT_NEAR(pooled_loss(maps.a.slice(2, 1, 2), maps.b.slice(2, 1, 2), "per_step"), .056843, kSixDigits);
  EXPECT_NEAR(pooled_loss(maps.a, maps.b, "per_step"), .472661, kSixDigits);
  EXPECT_NEAR(pooled_loss(maps.a, maps.b, "per_step", "cross_view"), .283978, kSixDigits);
  EXPECT_NEAR(pooled_loss(maps.a, maps.b, "flatten"), .210897, kSixDigits);
  EXPECT_NEAR(pooled_loss(maps.a, maps.b, "flatten", "cross_view"), .114009, kSixDigits);
}

TEST(PoolMap, TellsTheOrderOfTimeToSpatialContrastAlone) {  // facts 13 and 14
  const Maps maps;
  const at::Tensor reversed = maps.b.flip(2);
  EXPECT_NEAR(pooled_loss(maps.a, reversed, "3d"), .547851, kSixDigits);
  EXPECT_NEAR(pooled_loss(maps.a, reversed, "per_step"), 1.859776, kSixDigits);
  EXPECT_NEAR(pooled_loss(maps.a, reversed, "flatten"), 1.543026, kSixDigits);
  EXPECT_NEAR(pooled_loss(maps.a.flip(2), reversed, "per_step"), .472661, kSixDigits);
}

TEST(PoolMap, AveragesOverSpace) {
  torch::manual_seed(1);
  const at::Tensor map = torch::randn({2, 3, 4, 5, 6}, torch::kDouble);
  const at::Tensor steps = pool_map(map, "per_step");
  EXPECT_EQ(steps.sizes(), (std::vector<int64_t>{2, 4, 3}));
  EXPECT_NEAR(steps[1][2][0].item<double>(), map[1][0][2].mean().item<double>(), 1e-12);
  EXPECT_EQ(pool_map(map, "flatten").sizes(), (std::vector<int64_t>{2, 1, 12}));
  EXPECT_TRUE(torch::allclose(pool_map(map, "3d").squeeze(1), steps.mean(1)));
  EXPECT_EQ(pool_map(map.to(torch::kBFloat16), "3d").scalar_type(), torch::kFloat);
}

TEST(Levels, CombineTheWorkedPairs) {  // fact 15
  const Maps maps;
  const Pair pair;
  const double one_step = loss_of(pair.p, pair.q, .5, "ntxent").item<double>();
  const std::vector<double> sc = {pooled_loss(maps.a, maps.b, "per_step"), one_step};
  const std::vector<double> tc = {pooled_loss(maps.a, maps.b, "3d"), one_step};
  const auto total = [&](const char* scheme) {
    const std::vector<double> weights = level_weights(scheme, 2, .5);
    return weighted(weights, sc) + weighted(weights, tc);
  };
  EXPECT_NEAR(total("geometric"), .913758, kSixDigits);
  EXPECT_NEAR(total("uniform"), .940447, kSixDigits);
}

TEST(ScorePair, ScoresARanksAnchorsAgainstTheVideosOfAll) {  // fact 16
  const at::Tensor n = .3 * torch::arange(4, torch::kDouble);
  const at::Tensor a = torch::stack({n.cos(), n.sin()}, 1).unsqueeze(1);  // [4,1,2]
  const at::Tensor b = torch::stack({(n + .1).cos(), (n + .1).sin()}, 1).unsqueeze(1);
  const double global = score_pair(a, b, 0, 4, .1, "ntxent").loss.item<double>();
  EXPECT_NEAR(global, 1.210593, kSixDigits);
  double ranks = 0, alone = 0;
  for (const int64_t first : {0, 2}) {
    ranks += score_pair(a, b, first, 2, .1, "ntxent").loss.item<double>() / 2;
    alone +=
        score_pair(a.slice(0, first, first + 2), b.slice(0, first, first + 2), 0, 2, .1, "ntxent").loss.item<double>() /
        2;
  }
  EXPECT_NEAR(ranks, global, 1e-12);
  EXPECT_NEAR(alone, .847579, kSixDigits);
}

TEST(ScorePair, MonitorsOfRanksAverageToThoseOfAll) {
  torch::manual_seed(2);
  const at::Tensor p = unit_vectors(torch::randn({6, 3, 4}, torch::kDouble));
  const at::Tensor q = unit_vectors(p + torch::randn({6, 3, 4}, torch::kDouble));
  const PairScores all = score_pair(p, q, 0, 6, .1, "ntxent");
  const PairScores one = score_pair(p, q, 0, 3, .1, "ntxent");
  const PairScores two = score_pair(p, q, 3, 3, .1, "ntxent");
  EXPECT_NEAR(((one.top1 + two.top1) / 2 - all.top1).item<double>(), 0, 1e-12);
  EXPECT_NEAR(((one.positive + two.positive) / 2 - all.positive).item<double>(), 0, 1e-12);
  EXPECT_NEAR(((one.negative + two.negative) / 2 - all.negative).item<double>(), 0, 1e-12);
  // The invariance of features that are unit vectors already is what the monitors say of them.
  const at::Tensor sums =
      invariance_sums(p.slice(0, 0, 3), q.slice(0, 0, 3)) + invariance_sums(p.slice(0, 3, 6), q.slice(0, 3, 6));
  EXPECT_NEAR(invariance_of(sums, 3, 6).item<double>(), (all.positive - all.negative).item<double>(), 1e-12);
}

TEST(ScorePair, OfASingleVideoHasNothingToTellApart) {
  const at::Tensor one = torch::ones({1, 2, 3}, torch::kDouble);
  const PairScores scores = score_pair(unit_vectors(one), unit_vectors(one), 0, 1, .1, "ntxent");
  EXPECT_NEAR(scores.loss.item<double>(), 0, 1e-12);
  EXPECT_EQ(scores.negative.item<double>(), 0);
  EXPECT_NEAR(invariance_of(invariance_sums(one, one), 2, 1).item<double>(), 1, 1e-12);
}

TEST(ScorePair, IsSymmetricAndDoesNotSeeLengths) {  // properties a and b
  torch::manual_seed(3);
  const at::Tensor p = torch::randn({5, 3, 4}, torch::kDouble);
  const at::Tensor q = torch::randn({5, 3, 4}, torch::kDouble);
  const at::Tensor lengths = torch::rand({5, 3, 1}, torch::kDouble) + .1;
  for (const char* contrast : {"ntxent", "cross_view"}) {
    const double loss = loss_of(p, q, .2, contrast).item<double>();
    EXPECT_NEAR(loss_of(q, p, .2, contrast).item<double>(), loss, 1e-12);
    EXPECT_NEAR(loss_of(p * lengths, q, .2, contrast).item<double>(), loss, 1e-12);
  }
}

TEST(PoolMap, OfOneStepMakesTheSubtasksOne) {  // property d
  torch::manual_seed(4);
  const at::Tensor a = torch::randn({3, 4, 1, 2, 2}, torch::kDouble);
  const at::Tensor b = torch::randn({3, 4, 1, 2, 2}, torch::kDouble);
  EXPECT_NEAR(pooled_loss(a, b, "per_step"), pooled_loss(a, b, "3d"), 1e-12);
  EXPECT_NEAR(pooled_loss(a, b, "flatten"), pooled_loss(a, b, "3d"), 1e-12);
}

}  // namespace
}  // namespace cstp
