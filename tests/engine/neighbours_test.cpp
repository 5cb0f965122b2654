#include "cstp/engine/neighbours.h"

#include <ATen/Parallel.h>
#include <gtest/gtest.h>
#include <torch/torch.h>

#include <algorithm>
#include <cmath>
#include <limits>
#include <numeric>

#include "cstp/core/text.h"
#include "cstp/engine/evaluate.h"

namespace cstp {
namespace {

/// Every pair in double precision, one after the other; ties to the lower row.
std::vector<std::vector<int64_t>> brute_force(const at::Tensor& gallery, const at::Tensor& queries, int64_t k) {
  const auto rows = gallery.accessor<float, 2>();
  const auto asked = queries.accessor<float, 2>();
  std::vector<std::vector<int64_t>> result;
  for (int64_t q = 0; q < queries.size(0); ++q) {
    std::vector<double> scores;
    for (int64_t i = 0; i < gallery.size(0); ++i) {
      double sum = 0;
      for (int64_t c = 0; c < gallery.size(1); ++c) sum += static_cast<double>(asked[q][c]) * rows[i][c];
      scores.push_back(sum);
    }
    auto& order = result.emplace_back(scores.size());
    std::iota(order.begin(), order.end(), 0);
    std::stable_sort(order.begin(), order.end(), [&](int64_t a, int64_t b) {
      return scores[static_cast<size_t>(a)] > scores[static_cast<size_t>(b)];
    });
    order.resize(static_cast<size_t>(std::min(k, gallery.size(0))));
  }
  return result;
}

std::vector<std::vector<int64_t>> rows_of(const Neighbours& near) {
  std::vector<std::vector<int64_t>> result;
  for (int64_t q = 0; q < near.rows.size(0); ++q) {
    const at::Tensor row = near.rows[q].contiguous();
    result.emplace_back(row.const_data_ptr<int64_t>(), row.const_data_ptr<int64_t>() + row.numel());
  }
  return result;
}

at::Tensor unit(const at::Tensor& rows) { return torch::nn::functional::normalize(rows); }

/// Numbers of few bits: products and their sums are exact in every arithmetic, so equal scores are many and real.
at::Tensor coarse(at::IntArrayRef sizes) { return torch::randint(-2, 3, sizes).to(torch::kFloat32); }

struct Case {
  std::string name;
  at::Tensor gallery, queries;
  int64_t k;
};

std::vector<Case> cases() {
  torch::manual_seed(3);
  const at::Tensor rows = unit(torch::randn({700, 48}));
  const at::Tensor copies = rows.index_select(0, torch::randint(0, 40, {700}));
  const at::Tensor alike = unit(torch::ones({900, 33}) + 1e-3 * torch::randn({900, 33}));  // a collapsed network
  at::Tensor with_zeros = rows.clone();
  with_zeros.slice(0, 100, 300).zero_();
  at::Tensor loud = rows.clone();  // one row sets the error bound of its block
  loud[350] *= 1000;
  at::Tensor wide = rows * torch::logspace(-30, 15, 700).unsqueeze(1);
  std::vector<Case> result;
  result.push_back({"random", rows, unit(torch::randn({130, 48})), 7});
  result.push_back({"its own rows", rows, rows, 50});
  result.push_back({"copies", copies, unit(torch::randn({90, 48})), 60});
  result.push_back({"ties of coarse numbers", coarse({1500, 17}), coarse({70, 17}), 20});
  result.push_back({"all nearly alike", alike, alike.slice(0, 0, 70), 11});
  result.push_back({"all the same", torch::ones({1200, 8}), torch::ones({66, 8}), 5});
  result.push_back({"zero rows", with_zeros, unit(torch::randn({70, 48})), 30});
  result.push_back({"zero queries", rows, torch::zeros({3, 48}), 9});
  result.push_back({"a loud row", loud, unit(torch::randn({64, 48})), 10});
  result.push_back({"lengths of all sizes", wide, torch::randn({64, 48}), 25});
  result.push_back({"numbers beyond f32's products", rows * 1e30, rows.slice(0, 0, 65) * 1e25, 6});
  result.push_back({"one query", rows, unit(torch::randn({1, 48})), 50});
  result.push_back({"one row", rows.slice(0, 0, 1), rows, 3});
  result.push_back({"k above the gallery", rows.slice(0, 0, 20), rows, 100});
  result.push_back({"k of the whole gallery", rows, rows.slice(0, 0, 70), 700});
  result.push_back({"many channels", unit(torch::randn({500, 2050})), unit(torch::randn({64, 2050})), 10});
  result.push_back({"one channel", torch::randn({3000, 1}), torch::randn({80, 1}), 4});
  return result;
}

class NearestRows : public testing::TestWithParam<ScoreKind> {};

TEST_P(NearestRows, AreThoseOfComparingEveryPairInDoublePrecision) {
  for (const Case& made : cases()) {
    const auto wanted = brute_force(made.gallery, made.queries, made.k);
    const Neighbours near = nearest_rows(made.gallery, made.queries, made.k, {.kind = GetParam()});
    ASSERT_EQ(rows_of(near), wanted) << made.name;
    const at::Tensor again =  // f32, rounded from double
        (made.queries.to(torch::kFloat64).unsqueeze(1) * made.gallery.to(torch::kFloat64)
                                                             .index_select(0, near.rows.reshape(-1))
                                                             .reshape({near.rows.size(0), near.rows.size(1), -1}))
            .sum(2);
    EXPECT_TRUE(torch::allclose(near.similarity, again.to(torch::kFloat32), 1e-6, 1e-30)) << made.name;
  }
}

TEST_P(NearestRows, DoNotDependOnBlocksOrThreads) {
  for (const Case& made : cases()) {
    const Neighbours whole = nearest_rows(made.gallery, made.queries, made.k, {.kind = ScoreKind::f32});
    for (const SearchBlocks& blocks : {SearchBlocks{.queries = 3, .gallery = 64, .chunk_bytes = 0},
                                       SearchBlocks{.queries = 7, .gallery = 129, .chunk_bytes = 60000},
                                       SearchBlocks{.queries = 64, .gallery = 5000, .chunk_bytes = 1 << 20}}) {
      for (const int threads : {1, 3}) {
        const int before = at::get_num_threads();
        at::set_num_threads(threads);
        SearchBlocks cut = blocks;
        cut.kind = GetParam();
        const Neighbours near = nearest_rows(made.gallery, made.queries, made.k, cut);
        at::set_num_threads(before);
        ASSERT_TRUE(torch::equal(near.rows, whole.rows)) << made.name << ", blocks of " << cut.queries;
        ASSERT_TRUE(torch::equal(near.similarity, whole.similarity)) << made.name << ", blocks of " << cut.queries;
      }
    }
  }
}

TEST_P(NearestRows, RankRowsThatAreNoNumbersLast) {
  torch::manual_seed(5);
  at::Tensor gallery = unit(torch::randn({300, 24}));
  const at::Tensor queries = unit(torch::randn({70, 24}));
  const auto wanted = brute_force(gallery.slice(0, 2), queries, 298);
  gallery[0] = std::numeric_limits<float>::quiet_NaN();
  gallery[1][3] = std::numeric_limits<float>::quiet_NaN();
  const Neighbours near = nearest_rows(gallery, queries, 300, {.kind = GetParam()});
  for (size_t q = 0; q < wanted.size(); ++q) {
    const auto found = rows_of(near)[q];
    for (size_t i = 0; i < 298; ++i) ASSERT_EQ(found[i], wanted[q][i] + 2);
    EXPECT_EQ(found[298], 0);
    EXPECT_EQ(found[299], 1);
  }
  EXPECT_EQ(near.similarity[0][299].item<float>(), -std::numeric_limits<float>::infinity());
  const at::Tensor nothing = torch::full({64, 24}, std::numeric_limits<float>::quiet_NaN());
  EXPECT_TRUE(torch::equal(nearest_rows(gallery, nothing, 3, {.kind = GetParam()}).rows[0], torch::tensor({0, 1, 2})));
}

std::string kind_name(const testing::TestParamInfo<ScoreKind>& kind) {
  if (kind.param == ScoreKind::automatic) return "automatic";
  return kind.param == ScoreKind::f32 ? "f32" : "bf16";
}
INSTANTIATE_TEST_SUITE_P(Arithmetic, NearestRows,
                         testing::Values(ScoreKind::automatic, ScoreKind::f32, ScoreKind::bf16), kind_name);

TEST(NearestRows, AreFoundAmongManyBlocksAndParts) {  // more queries than are under way at a time, a ragged last block
  torch::manual_seed(7);
  const at::Tensor gallery = unit(torch::randn({5003, 32}));
  const at::Tensor queries = unit(torch::randn({16500, 32}));
  const Neighbours near = nearest_rows(gallery, queries, 3);
  const at::Tensor scores = torch::mm(queries.to(torch::kFloat64), gallery.to(torch::kFloat64).t());
  const auto [best, rows] = scores.topk(3, 1);
  EXPECT_TRUE(torch::equal(near.rows, rows));
}

TEST(OrderRows, GivesTheOrderOfTheExactSearchAndPutsWhatIsMissingLast) {
  torch::manual_seed(9);
  const at::Tensor gallery = unit(torch::randn({50, 16}));
  const at::Tensor queries = unit(torch::randn({4, 16}));
  const Neighbours near = nearest_rows(gallery, queries, 6);
  at::Tensor mixed = near.rows.flip(1).clone();
  mixed.select(1, 2).fill_(-1);  // the fourth nearest
  const Neighbours ordered = order_rows(gallery, queries, mixed);
  EXPECT_TRUE(torch::equal(ordered.rows.slice(1, 0, 3), near.rows.slice(1, 0, 3)));
  EXPECT_TRUE(torch::equal(ordered.rows.slice(1, 3, 5), near.rows.slice(1, 4, 6)));
  EXPECT_EQ(ordered.rows[0][5].item<int64_t>(), -1);
  EXPECT_TRUE(torch::equal(ordered.similarity.slice(1, 0, 3), near.similarity.slice(1, 0, 3)));
  EXPECT_DOUBLE_EQ(neighbour_recall(ordered, near, 6), 5.0 / 6);
  EXPECT_DOUBLE_EQ(neighbour_recall(ordered, near, 3), 1);
}

TEST(NeighbourRecall, CountsACopyOfTheRightRow) {
  const at::Tensor gallery = torch::tensor({{1.0F, 0.0F}, {1.0F, 0.0F}, {0.0F, 1.0F}});
  const at::Tensor queries = torch::tensor({{1.0F, 0.0F}});
  const Neighbours exact = nearest_rows(gallery, queries, 1);
  EXPECT_EQ(neighbour_recall(order_rows(gallery, queries, torch::tensor({{1}})), exact, 1), 1);
  EXPECT_EQ(neighbour_recall(order_rows(gallery, queries, torch::tensor({{2}})), exact, 1), 0);
}

TEST(Retrieve, AveragesPrecisionAsSortingTheWholeGalleryDoes) {
  torch::manual_seed(11);
  const at::Tensor coarse_rows = coarse({5000, 12});  // ties, and more than a block of rows
  const at::Tensor labels = torch::randint(0, 30, {5000});
  const at::Tensor queries = coarse({100, 12});
  const at::Tensor wanted = torch::randint(-1, 33, {100});  // some unlabelled, some of no class of the gallery
  const Retrieval result = retrieve(coarse_rows, labels, queries, wanted, {1, 5, 200});
  const auto orders = brute_force(coarse_rows, queries, 5000);
  double sum = 0;
  int64_t labelled = 0, hits_at_200 = 0;
  for (int64_t q = 0; q < 100; ++q) {
    const int64_t label = wanted[q].item<int64_t>();
    double precision = 0;
    int64_t found = 0, first = 0;
    for (size_t i = 0; i < 5000; ++i) {
      if (label < 0 || labels[orders[static_cast<size_t>(q)][i]].item<int64_t>() != label) continue;
      precision += static_cast<double>(++found) / static_cast<double>(i + 1);
      if (first == 0) first = static_cast<int64_t>(i) + 1;
    }
    if (found > 0) precision /= static_cast<double>(found);
    ASSERT_EQ(result.first_hit[q].item<int64_t>(), first) << q;
    ASSERT_NEAR(result.precision[q].item<double>(), precision, 1e-12) << q;
    if (label < 0) continue;
    sum += precision;
    ++labelled;
    hits_at_200 += first > 0 && first <= 200;
  }
  EXPECT_NEAR(*result.map, sum / static_cast<double>(labelled), 1e-12);
  EXPECT_DOUBLE_EQ(*result.recall[2].second, static_cast<double>(hits_at_200) / static_cast<double>(labelled));
  // What an index found, ranked: the same but for the precision.
  const Retrieval ranked = retrieve_ranked(nearest_rows(coarse_rows, queries, 200), labels, wanted, {1, 5, 200, 300});
  for (size_t i = 0; i < 3; ++i) EXPECT_EQ(ranked.recall[i], result.recall[i]);
  EXPECT_FALSE(ranked.recall[3].second.has_value());
  EXPECT_FALSE(ranked.map.has_value());
  EXPECT_TRUE(torch::equal(ranked.ranking, result.ranking));
}

}  // namespace
}  // namespace cstp
