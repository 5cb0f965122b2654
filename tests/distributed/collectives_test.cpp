#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <torch/torch.h>

#include "cstp/distributed/gather.h"
#include "cstp/distributed/gradient_sync.h"
#include "cstp/distributed/sync_norm.h"
#include "forked_ranks.h"

namespace cstp {
namespace {

/// What rank r has of a batch of `all` rows.
at::Tensor part_of(const at::Tensor& all, const World& world) {
  return all.chunk(world.size, 0)[static_cast<size_t>(world.rank)];
}

TEST(Collectives, DoNothingInAWorldOfOne) {
  const World alone;
  at::Tensor values = torch::ones({3});
  sum_over_ranks(values, alone);
  EXPECT_TRUE(values.equal(torch::ones({3})));
  EXPECT_TRUE(gather(values, alone).is_same(values));
  EXPECT_EQ(join_texts("a", alone), std::vector<std::string>{"a"});
  AgreedFlag flag(alone);
  EXPECT_TRUE(flag.ask(true));
  EXPECT_FALSE(flag.ask(false));
}

TEST(Collectives, JoinWhatRanksHaveInRankOrder) {
  SKIP_WITHOUT_GLOO();
  on_ranks(3, [](const World& world) {
    at::Tensor sum = torch::full({2}, world.rank + 1);
    sum_over_ranks(sum, world);
    require(sum.equal(torch::full({2}, 6)), "sum");
    // Ranks 0, 1, 2 have 0, 1, 2 rows.
    const at::Tensor rows = join_rows(torch::full({world.rank, 2}, world.rank), world);
    require(rows.equal(torch::tensor({{1, 1}, {2, 2}, {2, 2}})), "rows");
    require(join_rows(torch::zeros({0, 2}), world).size(0) == 0, "no rows");
    const auto texts = join_texts(std::string(static_cast<size_t>(world.rank), 'x'), world);
    require(texts == std::vector<std::string>{"", "x", "xx"}, "texts");
    require(take_from_first(world.rank + 5, world) == 5, "number");
    require(take_from_first(cat("rank ", world.rank), world) == "rank 0", "text");
  });
}

TEST(Collectives, KeepATensorsMemoryOrder) {
  SKIP_WITHOUT_GLOO();
  on_ranks(2, [](const World& world) {
    const at::Tensor wanted = torch::arange(2 * 3 * 2 * 2 * 2, torch::kFloat32).reshape({2, 3, 2, 2, 2});
    const auto last = at::MemoryFormat::ChannelsLast3d;
    const at::Tensor mine = (world.is_first() ? wanted : torch::zeros_like(wanted)).contiguous(last);
    take_from_first(std::vector<at::Tensor>{mine}, world);
    require(mine.equal(wanted) && mine.is_contiguous(last), "channels-last");
  });
}

TEST(AgreedFlag, RisesForAllAtTheSameQuestion) {
  SKIP_WITHOUT_GLOO();
  on_ranks(3, [](const World& world) {
    AgreedFlag flag(world);
    std::vector<bool> answers;
    for (int step = 0; step < 5; ++step) answers.push_back(flag.ask(world.rank == 1 && step == 2));
    require(answers == std::vector<bool>{false, false, false, true, false}, "the question after the one that rose");
  });
}

TEST(Gather, SumsTheGradientsOfAllRanks) {
  SKIP_WITHOUT_GLOO();
  on_ranks(2, [](const World& world) {
    at::Tensor mine = torch::full({2, 1}, static_cast<double>(world.rank + 1), torch::kFloat64).requires_grad_();
    const at::Tensor all = gather(mine, world);
    require(all.detach().flatten().equal(torch::tensor({1., 1., 2., 2.}, torch::kFloat64)), "rows in rank order");
    // Rank 0 weighs row i by i, rank 1 by 10 i: together 11 i.
    const at::Tensor weight = torch::arange(4, torch::kFloat64).unsqueeze(1) * (world.rank == 0 ? 1 : 10);
    (all * weight).sum().backward();
    const double first = world.rank == 0 ? 0 : 22;
    require(mine.grad().flatten().equal(torch::tensor({first, first + 11}, torch::kFloat64)), "gradient");
  });
}

TEST(Gather, PutsViewsInTheOrderOfTheJoinedBatch) {
  SKIP_WITHOUT_GLOO();
  on_ranks(2, [](const World& world) {
    // Two views of videos 0..3, two a rank: view v of video b is 10 v + b.
    const at::Tensor videos = torch::arange(2) + 2 * world.rank;
    const at::Tensor rows = torch::cat({videos, videos + 10}).unsqueeze(1);
    const at::Tensor all = gather_views_in_order(rows, 2, world).flatten();
    require(all.equal(torch::tensor({0, 1, 2, 3, 10, 11, 12, 13})), "order");
  });
}

class SyncNormOnRanks : public testing::TestWithParam<std::pair<int64_t, bool>> {};

TEST_P(SyncNormOnRanks, EqualsTheNormOfTheJoinedBatch) {
  SKIP_WITHOUT_GLOO();
  const auto [size, affine] = GetParam();
  on_ranks(size, [affine = affine](const World& world) {
    torch::manual_seed(3);
    // Far from 0 beside its spread.
    const at::Tensor all = torch::randn({8, 3, 2, 2, 2}, torch::kFloat64) * 0.1 + 10;
    const at::Tensor weight_of_loss = torch::randn_like(all);
    const auto options = torch::nn::BatchNormOptions(3).affine(affine);
    Norm3d whole(options), mine(options);
    whole->to(torch::kFloat64);
    mine->to(torch::kFloat64);
    if (affine) {
      const torch::NoGradGuard no_grad;
      for (const auto& norm : {whole, mine}) {
        norm->weight.copy_(torch::tensor({1., -2., 0.5}, torch::kFloat64));
        norm->bias.copy_(torch::tensor({0., 1., 2.}, torch::kFloat64));
      }
    }
    torch::nn::Sequential holder(mine);
    synchronize_norms(*holder, world);
    const at::Tensor x_all = all.clone().requires_grad_();
    const at::Tensor x = part_of(all, world).clone().requires_grad_();
    for (int step = 0; step < 2; ++step) {
      const at::Tensor y_all = whole->forward(x_all);
      const at::Tensor y = mine->forward(x);
      require_close(y, part_of(y_all, world), 1e-9, "output");
      (y_all * weight_of_loss).sum().backward();
      (y * part_of(weight_of_loss, world)).sum().backward();
    }
    require_close(x.grad(), part_of(x_all.grad(), world), 1e-7, "gradient of the input");
    if (affine) {
      at::Tensor gradient = mine->weight.grad().clone();
      sum_over_ranks(gradient, world);
      require_close(gradient, whole->weight.grad(), 1e-8, "gradient of gamma, summed over ranks");
    }
    require_close(mine->running_mean, whole->running_mean, 1e-12, "running mean");
    require_close(mine->running_var, whole->running_var, 1e-9, "running variance");
    require(mine->num_batches_tracked.equal(whole->num_batches_tracked), "batches tracked");
    mine->eval();
    whole->eval();
    require(mine->forward(x).equal(whole->forward(x)) ||
                (mine->forward(x) - whole->forward(x)).abs().max().item<double>() < 1e-6,
            "eval mode");
  });
}
INSTANTIATE_TEST_SUITE_P(WithRanks, SyncNormOnRanks,
                         testing::Values(std::pair{2, true}, std::pair{4, true}, std::pair{2, false}));

TEST(SyncNorm, IsLibTorchsNormToTheBitOnOneRank) {
  torch::manual_seed(1);
  const at::Tensor x = torch::randn({4, 5});
  Norm1d ours(5);
  torch::nn::BatchNorm1d theirs(5);
  EXPECT_TRUE(ours->forward(x).equal(theirs->forward(x)));
  EXPECT_TRUE(ours->running_var.equal(theirs->running_var));
  EXPECT_EQ(ours->named_parameters().keys(), theirs->named_parameters().keys());
  EXPECT_EQ(ours->named_buffers().keys(), theirs->named_buffers().keys());
}

TEST(GradientSync, GivesEveryRankTheMeanGradient) {
  SKIP_WITHOUT_GLOO();
  on_ranks(4, [](const World& world) {
    torch::manual_seed(1);
    torch::nn::Sequential net(torch::nn::Linear(3, 700), torch::nn::Linear(700, 700), torch::nn::Linear(700, 2));
    net->to(torch::kFloat64);
    const at::Tensor all = torch::randn({8, 3}, torch::kFloat64);
    net->forward(all).square().mean().backward();
    std::vector<at::Tensor> wanted;
    for (const at::Tensor& parameter : net->parameters()) wanted.push_back(parameter.grad().clone());
    GradientSync sync(net->parameters(), world);  // 4 MB of gradients: several buckets
    for (int step = 0; step < 3; ++step) {
      net->zero_grad();
      sync.expect_backward();
      net->forward(part_of(all, world)).square().mean().backward();
      for (size_t i = 0; i < wanted.size(); ++i) {
        require_close(net->parameters()[i].grad(), wanted[i], 1e-12, cat("gradient ", i, " of step ", step));
      }
    }
  });
}

}  // namespace
}  // namespace cstp
