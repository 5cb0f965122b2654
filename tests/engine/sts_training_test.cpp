// STS through the loader, the trainer and the score of its own task; its recipes.
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <torch/torch.h>

#include <map>

#include "cstp/data/flow_dump.h"
#include "cstp/engine/checkpoint.h"
#include "cstp/engine/pretext.h"
#include "cstp/engine/trainer.h"
#include "cstp/models/tensor_file.h"
#include "tiny_run.h"

namespace cstp {
namespace {

RunConfig sts_config(const TinyRun& tiny, const std::string& output, const std::string& more = "",
                     const std::vector<std::string>& sets = {}) {
  std::vector<std::string> all = {"objective={name: sts" + more + "}", "clip.stride=1", "train.max_steps=4",
                                  "optimizer.bias_lr=2"};
  all.insert(all.end(), sets.begin(), sets.end());
  return tiny.config(output, all);
}

TrainResult run(const RunConfig& config) {
  const Dataset dataset = open_dataset(config.data, Split::train);
  torch::manual_seed(static_cast<uint64_t>(config.seed));
  ObjectiveParts parts;
  parts.clip = config.clip;
  parts.data_root = config.data.root;
  parts.make_backbone = [&] { return make_backbone(config.model); };
  const auto objective = make_objective(config.objective, parts);
  return train(config, dataset, *objective, {.write = true, .name = "sts"});
}

std::map<std::string, at::Tensor> weights_of(const std::string& checkpoint) {
  std::map<std::string, at::Tensor> weights;
  for (const auto& [name, tensor] : load_tensor_file(checkpoint).tensors) weights[name] = tensor;
  return weights;
}

void expect_equal(const std::string& a, const std::string& b) {
  const auto first = weights_of(a), second = weights_of(b);
  ASSERT_EQ(first.size(), second.size());
  for (const auto& [name, tensor] : first) EXPECT_TRUE(torch::equal(tensor, second.at(name))) << name;
}

TEST(StsTraining, LearnsFromWhatTheLoadersThreadsMeasuredWhateverTheirNumber) {
  const TinyRun tiny;
  const TrainResult one = run(sts_config(tiny, "one", "", {"loader.workers=1"}));
  const TrainResult four = run(sts_config(tiny, "four", "", {"loader.workers=4"}));
  EXPECT_EQ(one.steps, 4);
  EXPECT_GT(one.loss, 0);
  expect_equal(one.checkpoint, four.checkpoint);
}

TEST(StsTraining, ItsTaskIsScoredAgainstTheVarianceOfTheLabels) {
  const TinyRun tiny;
  const RunConfig config = sts_config(tiny, "run");
  const TrainResult trained = run(config);
  const auto objective = load_objective(config, trained.checkpoint);
  const PretextResult result = score_pretext(config, open_dataset(config.data, Split::test), *objective, 2);
  EXPECT_EQ(result.samples, 12);
  std::map<std::string, double> parts(result.parts.begin(), result.parts.end());
  std::map<std::string, double> constants(result.constants.begin(), result.constants.end());
  for (const char* part : {"motion", "appearance", "motion/p1.u.location", "appearance/global.color"}) {
    EXPECT_TRUE(parts.contains(part)) << part;
    EXPECT_TRUE(constants.contains(part)) << part;
  }
  EXPECT_GT(constants["motion"], 0);
  EXPECT_THAT(result.labels, testing::HasSubstr("motion.p1.u.location"));
}

TEST(StsTraining, StoredFlowIsReadBesideTheVideos) {
  const TinyRun tiny;
  FlowDumpSetup dump;
  dump.videos = videos_below(tiny.path("data"));
  dump.root = tiny.path("data");
  dump.folder = tiny.path("flow");
  dump.settings.flow = {.method = "dis", .preset = "ultrafast"};
  dump.settings.short_side = 48;
  dump.workers = 2;
  dump_flow(dump);
  const std::string stored = ", flow: {source: stored, root: " + dump.folder + "}";
  EXPECT_EQ(run(sts_config(tiny, "stored", stored)).steps, 4);
  EXPECT_ANY_THROW(run(sts_config(tiny, "absent", ", flow: {source: stored, root: " + tiny.path("nothing") + "}")));
}

TEST(StsRecipes, HaveTheNumbersOfTheSpecification) {  // sections 2, 7, 9 and 10
  int64_t recipes = 0;
  for (const std::string& name : shipped_configs()) {
    if (!name.starts_with("sts_ucf101_") && !name.starts_with("sts_k400_")) continue;
    const RunConfig config = load_run_config(name, {});
    const auto flat = flattened(config.objective);
    if (flat.at("name") != "sts") continue;
    ++recipes;
    EXPECT_EQ(config.clip.stride, 1) << name;
    EXPECT_EQ(config.optimizer.weight_decay, 5e-3) << name;
    EXPECT_EQ(config.optimizer.bias_lr, 2) << name;
    EXPECT_EQ(config.train.batch, 30) << name;
    EXPECT_EQ(flat.at("motion.weight"), "1") << name;
    EXPECT_EQ(flat.at("appearance.weight"), "0.1") << name;
    const auto rate = [&](double part) {
      return learning_rate(config.schedule, part * config.train.epochs, config.train.epochs);
    };
    EXPECT_NEAR(rate(0), 5e-4, 1e-12) << name;
    EXPECT_NEAR(rate(.32), 5e-4, 1e-12) << name;
    EXPECT_NEAR(rate(.34), 5e-5, 1e-12) << name;
    EXPECT_NEAR(rate(.67), 5e-6, 1e-12) << name;
    EXPECT_EQ(config.eval.topk, (std::vector<int64_t>{1, 5, 10, 20, 50})) << name;
    EXPECT_EQ(config.eval.clips, 10) << name;
    EXPECT_EQ(config.eval.finetune.lr, std::vector<double>{1e-3}) << name;
  }
  EXPECT_GE(recipes, 6);
}

}  // namespace
}  // namespace cstp
