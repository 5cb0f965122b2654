#include "cstp/engine/run_config.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "cstp/core/error.h"

namespace cstp {
namespace {

using testing::HasSubstr;

std::string error_of(const std::string& yaml) {
  try {
    (void)parse_run_config(yaml, "x.yaml");
  } catch (const ConfigError& error) {
    return error.what();
  }
  return "no error";
}

TEST(RunConfig, EveryShippedConfigLoadsAndDumpsToItself) {
  const auto names = shipped_configs();
  ASSERT_GE(names.size(), 7U);
  for (const std::string& name : names) {
    const RunConfig config = load_run_config(name, {});
    EXPECT_EQ(parse_run_config(config.yaml(), "dump").yaml(), config.yaml()) << name;
  }
}

TEST(RunConfig, FindsShippedConfigsByNameAndSuggestsTheNearest) {
  EXPECT_EQ(load_run_config("k400_stor_contrast", {}).train.batch, 128);
  try {
    (void)load_run_config("k400_stor_contrst.yaml", {});
    FAIL();
  } catch (const ConfigError& error) {
    EXPECT_THAT(error.what(), HasSubstr("did you mean 'k400_stor_contrast.yaml'?"));
  }
}

TEST(RunConfig, MistypedKeysAreNamedWithTheirPlace) {
  EXPECT_EQ(error_of("objective:\n  name: cstp\n  temprature: 1\n"),
            "x.yaml:3:3: objective.temprature: unknown key; did you mean 'temperature'?");
  EXPECT_EQ(error_of("trian: {batch: 4}\nobjective: {name: cstp}\n"),
            "x.yaml:1:1: trian: unknown key; did you mean 'train'?");
  EXPECT_THAT(error_of("objective: {name: cstpp}"), HasSubstr("did you mean 'cstp'?"));
  EXPECT_THAT(error_of("objective: {name: cstp}\nmodel: {name: r3d19}"), HasSubstr("r3d18"));
  EXPECT_THAT(error_of("seed: 1"), HasSubstr("the section 'objective' is missing"));
  EXPECT_THAT(error_of("objective: {name: cstp}\neval: {crops: 2}"), HasSubstr("wanted 1 or 3"));
}

TEST(RunConfig, NamesTheChangesThatAResumedRunMayNotMake) {
  const auto yaml = [](const std::vector<std::string>& sets) {
    return load_run_config("synthetic_quick", sets).yaml();
  };
  EXPECT_TRUE(
      forbidden_changes(yaml({}), yaml({"loader.workers=3", "train.max_steps=5", "train.log_every=1", "eval.clips=3",
                                        "train.checkpoint_every=7", "train.keep=1", "train.knn_every=10",
                                        "train.collapse_std=0.5", "train.collapse_reports=9", "output=elsewhere"}))
          .empty());
  const auto changes = forbidden_changes(yaml({}), yaml({"schedule.lr=0.5", "objective.momentum=0.5"}));
  ASSERT_EQ(changes.size(), 2U);
  EXPECT_EQ(changes[0].key, "objective.momentum");
  EXPECT_EQ(changes[1].key, "schedule.lr");
  EXPECT_EQ(changes[1].now, "0.5");
}

TEST(RunConfig, ARunFromBeforeBiasesHadARateIsTheSameRun) {
  const std::string now = load_run_config("synthetic_quick", {}).yaml();
  std::string before = now;
  const size_t at = before.find("  bias_lr: 1\n");
  ASSERT_NE(at, std::string::npos);
  before.erase(at, std::string("  bias_lr: 1\n").size());
  EXPECT_TRUE(forbidden_changes(before, now).empty());
  EXPECT_EQ(forbidden_changes(before, load_run_config("synthetic_quick", {"optimizer.bias_lr=2"}).yaml()).size(), 1U);
}

TEST(RunConfig, RecipesAreTheOnesOfTheSpecification) {
  const RunConfig k400 = load_run_config("k400_stor_contrast", {});
  EXPECT_EQ(k400.schedule.lr, 0.09);
  EXPECT_EQ(k400.schedule.warmup, 0.5);
  EXPECT_EQ(k400.optimizer.clip_norm, 18);
  EXPECT_EQ(k400.optimizer.weight_decay, 5e-4);
  EXPECT_EQ(k400.train.epochs, 300);
  EXPECT_EQ(k400.data.videos / k400.train.batch, 1870);  // steps an epoch
  const RunConfig ucf = load_run_config("ucf101_stor_contrast", {});
  EXPECT_EQ(ucf.schedule.lr, 0.03);
  EXPECT_EQ(ucf.train.batch, 60);
  EXPECT_EQ(load_run_config("ucf101_finetune", {}).eval.finetune.lr, std::vector<double>{0.025});
}

}  // namespace
}  // namespace cstp
