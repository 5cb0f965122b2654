// The training loop and the features on ranks: the same run as on one, written once.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <fstream>

#include "cstp/engine/checkpoint.h"
#include "cstp/engine/features.h"
#include "cstp/engine/trainer.h"
#include "cstp/models/tensor_file.h"
#include "engine/tiny_run.h"
#include "forked_ranks.h"

namespace cstp {
namespace {

using testing::HasSubstr;

/// Trains on so many ranks, as `cstp train` does.
void train_on(int64_t size, const RunConfig& config) {
  on_ranks(size, [&config](const World& world) {
    const Dataset dataset = open_dataset(config.data, Split::train);
    // Another start on every rank: rank 0's must win.
    torch::manual_seed(static_cast<uint64_t>(config.seed + 100 * world.rank));
    ObjectiveParts parts;
    parts.clip = config.clip;
    parts.classes = static_cast<int64_t>(dataset.classes.size());
    parts.make_backbone = [&] { return make_backbone(config.model); };
    parts.world = world;
    const auto objective = make_objective(config.objective, parts);
    train(config, dataset, *objective, {.name = "train", .world = world});
  });
}

TensorFile newest(const RunConfig& config) { return load_tensor_file(newest_checkpoint(config.output).value()); }

void expect_close(const TensorFile& a, const TensorFile& b, double tolerance) {
  ASSERT_EQ(a.tensors.size(), b.tensors.size());
  for (size_t i = 0; i < a.tensors.size(); ++i) {
    ASSERT_EQ(a.tensors[i].first, b.tensors[i].first);
    if (a.tensors[i].first.starts_with("rng/")) continue;
    const at::Tensor x = a.tensors[i].second.to(torch::kFloat64), y = b.tensors[i].second.to(torch::kFloat64);
    EXPECT_LE((x - y).abs().max().item<double>(), tolerance * (1 + x.abs().max().item<double>())) << a.tensors[i].first;
  }
}

int64_t lines_of(const std::string& path) {
  const std::string text = read_text_file(path);
  return std::count(text.begin(), text.end(), '\n');
}

TEST(TrainingOnRanks, IsTheRunOfOneRankAndMayGoOnWithAnother) {
  SKIP_WITHOUT_GLOO();
  const TinyRun tiny;
  const RunConfig one = tiny.config("one", {"train.max_steps=4", "train.checkpoint_every=2", "train.log_every=2"});
  const RunConfig two = tiny.config("two", {"train.max_steps=4", "train.checkpoint_every=2", "train.log_every=2"});
  train_on(1, one);
  train_on(2, two);
  // After four steps in f32 with batch norms over four clips, rounding has grown; another batch would be far away.
  expect_close(newest(one), newest(two), 2e-3);
  EXPECT_EQ(lines_of(tiny.path("two/metrics.jsonl")), lines_of(tiny.path("one/metrics.jsonl")));
  EXPECT_EQ(newest(two).text.at("world_size"), "2");

  // Two steps on two ranks, then on four: the same four steps.
  const RunConfig half = tiny.config("parts", {"train.max_steps=2", "train.log_every=2"});
  const RunConfig rest = tiny.config("parts", {"train.max_steps=4", "train.log_every=2"});
  train_on(2, half);
  train_on(4, rest);
  expect_close(newest(two), newest(rest), 2e-3);
}

TEST(TrainingOnRanks, ResumesToTheBit) {
  SKIP_WITHOUT_GLOO();
  const TinyRun tiny;
  const auto config = [&](const std::string& name, int64_t steps) {
    std::vector<std::string> settings = {cat("train.max_steps=", steps), "train.checkpoint_every=2"};
    RunConfig run = tiny.config(name, settings);
    run.objective = resolve_objective(ConfigNode::parse("{name: supervised, dropout: 0.5}", "test"));
    return run;
  };
  train_on(2, config("whole", 4));
  train_on(2, config("parts", 2));
  train_on(2, config("parts", 4));
  expect_close(newest(config("whole", 4)), newest(config("parts", 4)), 0);
}

TEST(TrainingOnRanks, CountsABadVideoOnceAndJournalsItWhereItWasFound) {
  SKIP_WITHOUT_GLOO();
  const TinyRun tiny;
  std::string broken;
  for (const auto& entry : std::filesystem::recursive_directory_iterator(tiny.path("data/train"))) {
    if (entry.is_regular_file() && (broken.empty() || entry.path().string() < broken)) broken = entry.path().string();
  }
  std::ofstream(broken, std::ios::trunc) << "no video";
  // Two steps see the bad video in its first epoch or its replacement; more would magnify what rounding leaves.
  const std::vector<std::string> settings = {"train.max_steps=6", "data.max_bad=0.2", "train.log_every=3",
                                             "schedule.lr=1.0e-5", "schedule.min_lr=0"};
  const RunConfig two = tiny.config("two", settings);
  const RunConfig one = tiny.config("one", settings);
  train_on(2, two);
  train_on(1, one);
  expect_close(newest(one), newest(two), 5e-3);
  int64_t journalled = 0;
  for (const char* name : {"two/bad.jsonl", "two/bad-1.jsonl"}) {
    if (std::filesystem::exists(tiny.path(name))) journalled += lines_of(tiny.path(name));
  }
  EXPECT_EQ(journalled, lines_of(tiny.path("one/bad.jsonl")));
  EXPECT_THAT(read_text_file(tiny.path("two/metrics.jsonl")), HasSubstr("\"bad_videos\":1"));
}

TEST(TrainingOnRanks, RefusesABatchThatTheRanksCannotShare) {
  SKIP_WITHOUT_GLOO();
  const TinyRun tiny;
  const RunConfig config = tiny.config("run", {"train.batch=4"});
  const auto ends = fork_ranks(3, [&](const World& world) {
    const Dataset dataset = open_dataset(config.data, Split::train);
    train(config, dataset, *TinyRun::objective(config, dataset), {.world = world});
  });
  for (const RankEnd& end : ends) {
    EXPECT_EQ(end.code, static_cast<int>(ExitCode::usage));
    EXPECT_THAT(end.message, HasSubstr("train.batch: 4 videos a step cannot be shared by 3 ranks"));
  }
}

TEST(SyncNormOption, IsNoChangeForARunFromBeforeIt) {
  const TinyRun tiny;
  const std::string now = tiny.config("run").yaml();
  std::string before;
  for (const std::string& line : split_lines(now)) {
    if (line.find("sync_norm") == std::string::npos) before += line + "\n";
  }
  ASSERT_NE(before, now);
  EXPECT_TRUE(forbidden_changes(before, now).empty());
  const RunConfig off = tiny.config("run", {"train.sync_norm=off"});
  EXPECT_EQ(forbidden_changes(before, off.yaml()).size(), 1U);
  EXPECT_NE(recipe_hash(off), recipe_hash(tiny.config("run")));
}

TEST(FeaturesOnRanks, CountEveryVideoOnceInTheOrderOfTheDataSet) {
  SKIP_WITHOUT_GLOO();
  const TinyRun tiny;
  const RunConfig config = tiny.config("run");
  Dataset dataset = open_dataset(config.data, Split::test);
  dataset.videos[2].path = tiny.path("absent.mp4");
  for (const int64_t size : {1, 4}) {
    on_ranks(size, [&](const World& world) {
      torch::manual_seed(1);
      const auto backbone = make_backbone(config.model);
      backbone->eval();
      FeatureOptions options;
      options.eval = config.eval;
      options.clips = 2;
      options.clip = config.clip;
      options.input = config.input;
      options.loader = config.loader;
      options.world = world;
      const FeatureSet features =
          extract_features(dataset, options, [&](const at::Tensor& views) { return backbone->embed(views); });
      require(features.total == 6 && features.records == std::vector<int64_t>{0, 1, 3, 4, 5}, "records");
      require(features.labels.size(0) == 5 && features.values.size(0) == 5, "rows");
      TensorFile file;
      file.tensors = {{"values", features.values}, {"labels", features.labels}};
      save_tensor_file(tiny.path(cat("features-", size, "-", world.rank)), file);
    });
  }
  const TensorFile one = load_tensor_file(tiny.path("features-1-0"));
  for (int64_t rank = 0; rank < 4; ++rank) {
    expect_close(one, load_tensor_file(tiny.path(cat("features-4-", rank))), 1e-5);
  }
}

}  // namespace
}  // namespace cstp
