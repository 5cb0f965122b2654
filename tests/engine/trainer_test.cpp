#include "cstp/engine/trainer.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <torch/torch.h>

#include <cstdlib>
#include <filesystem>
#include <thread>

#include "cstp/core/error.h"
#include "cstp/engine/checkpoint.h"
#include "cstp/engine/device.h"
#include "cstp/models/tensor_file.h"
#include "tiny_run.h"

namespace cstp {
namespace {

using testing::HasSubstr;

TrainResult run(const RunConfig& config, bool fresh = false) {
  const Dataset dataset = open_dataset(config.data, Split::train);
  const auto objective = TinyRun::objective(config, dataset);
  return train(config, dataset, *objective, {.write = true, .fresh = fresh, .name = "test"});
}

void expect_equal_files(const std::string& a, const std::string& b) {
  const TensorFile first = load_tensor_file(a);
  const TensorFile second = load_tensor_file(b);
  ASSERT_EQ(first.tensors.size(), second.tensors.size());
  ASSERT_GT(first.tensors.size(), 20U);
  for (size_t i = 0; i < first.tensors.size(); ++i) {
    ASSERT_EQ(first.tensors[i].first, second.tensors[i].first);
    EXPECT_TRUE(torch::equal(first.tensors[i].second, second.tensors[i].second)) << first.tensors[i].first;
  }
}

class Resume : public testing::TestWithParam<int> {};

TEST_P(Resume, TenStepsEqualFiveAndFiveToTheBit) {
  const TinyRun tiny;
  const std::string workers = cat("loader.workers=", GetParam());
  const TrainResult whole = run(tiny.config("whole", {workers, "train.max_steps=10"}));
  EXPECT_EQ(whole.steps, 10);
  (void)run(tiny.config("parts", {workers, "train.max_steps=5"}));
  const TrainResult rest = run(tiny.config("parts", {workers, "train.max_steps=10"}));
  EXPECT_EQ(rest.steps, 10);
  expect_equal_files(whole.checkpoint, rest.checkpoint);
  // Three steps an epoch, so step 5 stands in the middle of one.
  EXPECT_NEAR(rest.epochs, 10.0 / 3, 1e-12);
}
INSTANTIATE_TEST_SUITE_P(WithWorkers, Resume, testing::Values(1, 4));

TEST(Train, WorkersDoNotChangeTheResult) {
  const TinyRun tiny;
  const TrainResult one = run(tiny.config("one", {"loader.workers=1", "train.max_steps=3"}));
  const TrainResult four = run(tiny.config("four", {"loader.workers=4", "train.max_steps=3"}));
  expect_equal_files(one.checkpoint, four.checkpoint);
}

TEST(Train, RefusesAnotherRecipeInTheSameFolder) {
  const TinyRun tiny;
  (void)run(tiny.config("run", {"train.max_steps=1", "schedule.lr=0.25"}));
  try {
    (void)run(tiny.config("run", {"train.max_steps=2", "schedule.lr=0.5"}));
    FAIL();
  } catch (const CheckpointError& error) {
    EXPECT_THAT(error.what(), HasSubstr("schedule.lr: was 0.25, now 0.5"));
    EXPECT_THAT(error.what(), HasSubstr("--fresh"));
  }
  const TrainResult fresh = run(tiny.config("run", {"train.max_steps=2", "schedule.lr=0.5"}), true);
  EXPECT_EQ(fresh.steps, 2);
  EXPECT_TRUE(std::filesystem::exists(tiny.path("run/previous-1/checkpoints")));
}

TEST(Train, RefusesChangedData) {
  const TinyRun tiny;
  (void)run(tiny.config("run", {"train.max_steps=1"}));
  std::filesystem::remove(tiny.path("data/train/drift/0000.mp4"));
  EXPECT_THROW((void)run(tiny.config("run", {"train.max_steps=2"})), CheckpointError);
}

TEST(Train, KeepsTheNewestCheckpointsAndPointsAtTheLast) {
  const TinyRun tiny;
  (void)run(tiny.config("run", {"train.max_steps=4", "train.checkpoint_every=1", "train.keep=2"}));
  EXPECT_FALSE(std::filesystem::exists(tiny.path("run/checkpoints/step-00000002.safetensors")));
  EXPECT_TRUE(std::filesystem::exists(tiny.path("run/checkpoints/step-00000003.safetensors")));
  EXPECT_EQ(std::filesystem::read_symlink(tiny.path("run/checkpoints/last.safetensors")), "step-00000004.safetensors");
}

TEST(Train, StopsWhereTheLossIsNotFinite) {
  const TinyRun tiny;
  const RunConfig config = tiny.config("run", {"schedule.lr=1e30", "schedule.min_lr=1e30", "optimizer.clip_norm=0",
                                               "train.max_steps=9", "train.log_every=3"});
  EXPECT_THROW((void)run(config), NumericError);
  EXPECT_FALSE(newest_checkpoint(config.output).has_value());
}

TEST(Train, SavesNothingWhileTheEmbeddingsAreLowAndStopsOnlyAfterTheWarmUp) {
  const TinyRun tiny;  // a threshold that every report is below
  const std::vector<std::string> low = {"train.collapse_rank=1000", "train.collapse_reports=2", "train.log_every=2",
                                        "train.checkpoint_every=1"};
  std::vector<std::string> short_run = low;
  short_run.emplace_back("train.max_steps=4");  // two reports of warm-up
  EXPECT_EQ(run(tiny.config("short", short_run)).steps, 4);
  try {
    (void)run(tiny.config("long", low));
    FAIL();
  } catch (const NumericError& error) {
    EXPECT_THAT(error.what(), HasSubstr("step 8: the embeddings have collapsed"));
    EXPECT_THAT(error.what(), HasSubstr("the last good checkpoint is " + tiny.path("long/checkpoints/step-00000004")));
  }
  EXPECT_EQ(newest_checkpoint(tiny.path("long")), tiny.path("long/checkpoints/step-00000004.safetensors"));
  std::vector<std::string> ends_low = low;  // a run that ends before its collapse is certain keeps what it has
  ends_low.emplace_back("train.max_steps=6");
  EXPECT_EQ(run(tiny.config("ends", ends_low)).checkpoint, tiny.path("ends/checkpoints/step-00000006.safetensors"));
}

TEST(Train, LogsTheHealthOfEveryReport) {
  const TinyRun tiny;
  (void)run(tiny.config("run", {"train.max_steps=4", "train.log_every=2"}));
  const auto lines = split_lines(read_text_file(tiny.path("run/metrics.jsonl")));
  ASSERT_EQ(lines.size(), 2U);
  EXPECT_THAT(lines[0], HasSubstr("\"embedding_std\":0."));
  EXPECT_THAT(lines[0], HasSubstr("\"health_rows\":16"));  // two steps of four videos, two views each
  EXPECT_THAT(lines[1], HasSubstr("\"rank_ceiling\":32"));
}

TEST(Train, ReplacesABadVideoTheSameWayEveryTimeAndWritesItDown) {
  const TinyRun tiny;
  write_file_atomically(tiny.path("data/train/drift/0001.mp4"), "no video at all");
  const std::vector<std::string> more = {"train.max_steps=3", "data.max_bad=0.5"};
  const TrainResult first = run(tiny.config("first", more));
  const TrainResult second = run(tiny.config("second", more));
  expect_equal_files(first.checkpoint, second.checkpoint);
  EXPECT_THAT(read_text_file(tiny.path("first/bad.jsonl")), HasSubstr("0001.mp4"));
  EXPECT_THROW((void)run(tiny.config("third", {"train.max_steps=3", "data.on_bad_video=error"})), DataError);
}

TEST(Train, Bf16TakesTheSameStepsInAnotherType) {
  const TinyRun tiny;
  const TrainResult f32 = run(tiny.config("f32", {"train.max_steps=2", "train.log_every=1"}));
  const TrainResult bf16 = run(tiny.config("bf16", {"train.max_steps=2", "train.log_every=1", "train.precision=bf16"}));
  EXPECT_NEAR(bf16.loss, f32.loss, 0.1 * f32.loss);
  EXPECT_NE(bf16.loss, f32.loss);
}

TEST(ComputeThreads, FollowTheConfigThenTheEnvironmentThenTheMachine) {
  const char* before = std::getenv("OMP_NUM_THREADS");
  const std::string kept = before == nullptr ? "" : before;
  ::setenv("OMP_NUM_THREADS", "3", 1);
  EXPECT_EQ(set_compute_threads(0), 3);
  EXPECT_EQ(set_compute_threads(2), 2);
  ::setenv("OMP_NUM_THREADS", "many", 1);
  EXPECT_EQ(set_compute_threads(0), std::thread::hardware_concurrency());
  ::unsetenv("OMP_NUM_THREADS");
  EXPECT_EQ(set_compute_threads(0), std::thread::hardware_concurrency());
  if (before != nullptr) ::setenv("OMP_NUM_THREADS", kept.c_str(), 1);
  set_compute_threads(1);
}

}  // namespace
}  // namespace cstp
