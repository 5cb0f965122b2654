#include "cstp/engine/online_knn.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <torch/torch.h>

#include <algorithm>
#include <filesystem>
#include <map>
#include <nlohmann/json.hpp>

#include "cstp/core/error.h"
#include "cstp/engine/trainer.h"
#include "cstp/models/tensor_file.h"
#include "tiny_run.h"

namespace cstp {
namespace {

using testing::HasSubstr;

Dataset made(const std::vector<int64_t>& labels) {
  Dataset dataset;
  dataset.classes = {"a", "b", "c"};
  for (size_t i = 0; i < labels.size(); ++i) dataset.videos.push_back({cat("v", i), labels[i]});
  return dataset;
}

TEST(Stratified, TakesEveryClassEquallyAsFarAsItGoes) {
  const Dataset dataset = made({0, 0, 0, 0, 0, 0, 1, 1, 1, 1, 2, -1, -1});
  const Dataset part = stratified(dataset, 7, 1);
  std::map<int64_t, int> counts;
  for (const VideoRecord& video : part.videos) ++counts[video.label];
  EXPECT_EQ(counts, (std::map<int64_t, int>{{0, 3}, {1, 3}, {2, 1}}));
  EXPECT_EQ(stratified(dataset, 100, 1).videos.size(), 11U);  // those without a label never
  EXPECT_EQ(part.classes, dataset.classes);
}

TEST(Stratified, IsDrawnBySeedAndKeepsTheOrder) {
  const Dataset dataset = made(std::vector<int64_t>(50, 0));
  const auto numbers = [&](uint64_t seed) {
    std::vector<int> result;
    for (const VideoRecord& video : stratified(dataset, 5, seed).videos)
      result.push_back(std::stoi(video.path.substr(1)));
    return result;
  };
  const std::vector<int> first = numbers(1);
  EXPECT_EQ(first.size(), 5U);
  EXPECT_EQ(numbers(1), first);
  EXPECT_NE(numbers(2), first);
  EXPECT_TRUE(std::is_sorted(first.begin(), first.end()));
}

TrainResult run(const RunConfig& config) {
  const Dataset dataset = open_dataset(config.data, Split::train);
  const auto objective = TinyRun::objective(config, dataset);
  return train(config, dataset, *objective, {.write = true, .fresh = false, .name = "test"});
}

std::vector<nlohmann::json> metrics_of(const std::string& folder) {
  std::vector<nlohmann::json> lines;
  for (const std::string& line : split_lines(read_text_file(folder + "/metrics.jsonl")))
    lines.push_back(nlohmann::json::parse(line));
  return lines;
}

class KnnWhileTraining : public testing::TestWithParam<std::string> {};

TEST_P(KnnWhileTraining, ChangesNoBitOfTheRun) {
  const TinyRun tiny;
  std::vector<std::string> settings = {"train.max_steps=6", "train.log_every=1"};
  if (GetParam() == "supervised") {  // with dropout, so that the random state matters
    settings = {"train.max_steps=6", "train.log_every=1", "objective={name: supervised, dropout: 0.5, stride: 2}"};
  }
  const TrainResult without = run(tiny.config("without", settings));
  settings.insert(settings.end(), {"train.knn_every=2", "train.knn_videos=4", "eval.crops=3"});
  const TrainResult with = run(tiny.config("with", settings));
  const TensorFile a = load_tensor_file(without.checkpoint);
  const TensorFile b = load_tensor_file(with.checkpoint);
  ASSERT_EQ(a.tensors.size(), b.tensors.size());
  bool random_state = false;
  for (size_t i = 0; i < a.tensors.size(); ++i) {
    ASSERT_EQ(a.tensors[i].first, b.tensors[i].first);
    EXPECT_TRUE(torch::equal(a.tensors[i].second, b.tensors[i].second)) << a.tensors[i].first;
    random_state |= a.tensors[i].first == "rng/cpu";
  }
  EXPECT_TRUE(random_state);
  for (const auto& line : metrics_of(tiny.path("with"))) {
    EXPECT_EQ(line.contains("knn_top1"), line["step"].get<int64_t>() % 2 == 0) << line;
    if (!line.contains("knn_top1")) continue;
    EXPECT_GE(line["knn_top1"].get<double>(), 0);
    EXPECT_EQ(line["knn_gallery"], 4);
    EXPECT_EQ(line["knn_queries"], 4);
  }
  EXPECT_FALSE(metrics_of(tiny.path("without")).back().contains("knn_top1"));
}
INSTANTIATE_TEST_SUITE_P(Objectives, KnnWhileTraining, testing::Values("cstp", "supervised"),
                         [](const auto& row) { return row.param; });

TEST(OnlineKnn, ScoresAtTheFirstReportOnceItIsDueAndAtTheEnd) {
  const TinyRun tiny;
  (void)run(tiny.config("run", {"train.max_steps=8", "train.log_every=3", "train.knn_every=4", "train.knn_videos=2"}));
  std::vector<std::pair<int64_t, bool>> seen;
  for (const auto& line : metrics_of(tiny.path("run"))) seen.emplace_back(line["step"], line.contains("knn_top1"));
  EXPECT_THAT(seen, testing::ElementsAre(std::pair<int64_t, bool>(3, false), std::pair<int64_t, bool>(6, true),
                                         std::pair<int64_t, bool>(8, true)));
}

TEST(OnlineKnn, LeavesTheObjectiveInTrainModeAndFindsEveryGalleryVideoInItself) {
  const TinyRun tiny;
  const RunConfig config = tiny.config("run", {"train.knn_every=1"});
  const Dataset dataset = open_dataset(config.data, Split::train);
  const auto objective = TinyRun::objective(config, dataset);
  objective->set_train_mode();
  const OnlineKnn::Score score = OnlineKnn(config, dataset, c10::kCPU).score(*objective);
  EXPECT_TRUE(objective->is_training());
  EXPECT_TRUE(objective->backbone()->is_training());
  EXPECT_EQ(score.gallery, 12);
  EXPECT_EQ(score.queries, 6);  // the test split
  ASSERT_TRUE(score.top1.has_value());
  // The gallery as its own test split: with one neighbour every query finds itself.
  RunConfig self = config;
  self.data.test = "train";
  self.eval.knn = 1;
  EXPECT_EQ(OnlineKnn(self, dataset, c10::kCPU).score(*objective).top1, 1.0);
}

TEST(OnlineKnn, HoldsATenthOfTrainOutWhereThereIsNoTestSplit) {
  const TinyRun tiny;
  std::filesystem::remove_all(tiny.path("data/test"));
  const RunConfig config = tiny.config("run", {"train.knn_every=1"});
  const Dataset dataset = open_dataset(config.data, Split::train);
  const auto objective = TinyRun::objective(config, dataset);
  const OnlineKnn::Score score = OnlineKnn(config, dataset, c10::kCPU).score(*objective);
  EXPECT_EQ(score.queries, 2);  // one of six, in both classes
  EXPECT_EQ(score.gallery, 10);
}

TEST(OnlineKnn, WantsLabels) {
  const TinyRun tiny;
  const RunConfig config = tiny.config("run", {"train.knn_every=1"});
  try {
    const OnlineKnn knn(config, made({-1, -1}), c10::kCPU);
    FAIL();
  } catch (const ConfigError& error) {
    EXPECT_THAT(error.what(), HasSubstr("train.knn_every: the k-NN needs class labels"));
  }
}

}  // namespace
}  // namespace cstp
