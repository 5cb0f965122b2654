// The facts of the HDC specification's section 11 that the engine must hold; the others: tests/objectives/hdc_test.cpp.
#include <gtest/gtest.h>
#include <torch/torch.h>

#include "cstp/engine/evaluate.h"
#include "cstp/engine/run_config.h"

namespace cstp {
namespace {

TEST(HdcFacts, TheRecipesRateWarmsUpForTenEpochs) {  // fact 18
  for (const char* name : {"hdc_k400_c3d", "hdc_k400_r3d18", "hdc_k400_r2plus1d10"}) {
    const RunConfig config = load_run_config(name, {});
    const auto rate = [&](double epoch) { return learning_rate(config.schedule, epoch, config.train.epochs); };
    EXPECT_NEAR(rate(0), 0, 1e-9) << name;
    EXPECT_NEAR(rate(5), .05, 1e-9) << name;
    EXPECT_NEAR(rate(10), .1, 1e-9) << name;
    EXPECT_NEAR(rate(105), .05, 1e-9) << name;
    EXPECT_NEAR(rate(199), .000007, 5e-7) << name;
    EXPECT_EQ(config.train.batch, 256) << name;
    EXPECT_FALSE(config.optimizer.decay_norms) << name;
  }
}

TEST(HdcFacts, RetrievalHasTheWorkedRecall) {  // fact 21
  const auto embedded = [](const at::Tensor& features) { return video_embeddings(features.unsqueeze(1), false); };
  const at::Tensor gallery = embedded(torch::tensor({{1.0, 0.0}, {.9, .1}, {0.0, 1.0}, {-1.0, 0.0}}));
  const at::Tensor queries = embedded(torch::tensor({{1.0, .05}, {.2, 1.0}, {.9, .2}}));
  const Retrieval result = retrieve(gallery, torch::tensor({0, 1, 1, 0}), queries, torch::tensor({0, 0, 1}), {1, 2, 3});
  ASSERT_EQ(result.recall.size(), 3U);
  EXPECT_NEAR(*result.recall[0].second, 2.0 / 3, 1e-6);
  EXPECT_NEAR(*result.recall[1].second, 2.0 / 3, 1e-6);
  EXPECT_EQ(*result.recall[2].second, 1);
}

}  // namespace
}  // namespace cstp
