// A run that is killed goes on as if nothing had happened: ten steps equal five, kill -9, and five, to the bit.
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <torch/torch.h>

#include <chrono>
#include <filesystem>
#include <thread>

#include "cstp/models/tensor_file.h"
#include "program.h"

namespace cstp {
namespace {

using testing::HasSubstr;

class KillAndResume : public testing::TestWithParam<int> {};

TEST_P(KillAndResume, GivesTheSameCheckpointToTheBit) {
  const Program program;
  program.make_videos();
  const std::string workers = cat("loader.workers=", GetParam());
  const Outcome whole = program.run_tiny("train", {"--json", "--set", "train.max_steps=10", "--set", workers}, "whole");
  ASSERT_EQ(whole.code, 0) << whole.err;

  // The killed run would go on to step 30; it is killed once the checkpoint of step 5 stands.
  std::vector<std::string> arguments = {"train"};
  for (const std::string& argument : program.tiny("parts")) arguments.push_back(argument);
  for (const std::string& argument : {std::string("--set"), std::string("train.keep=0"), std::string("--set"), workers})
    arguments.push_back(argument);
  const pid_t child = program.start(arguments);
  const std::string fifth = program.path("parts/checkpoints/step-00000005.safetensors");
  for (int i = 0; i < 1200 && !std::filesystem::exists(fifth); ++i)
    std::this_thread::sleep_for(std::chrono::milliseconds(50));
  ::kill(child, SIGKILL);
  EXPECT_EQ(program.finish(child).code, 128 + SIGKILL);
  ASSERT_TRUE(std::filesystem::exists(fifth));
  // What it had written past step 5 is taken away: the resumed half starts at 5 however fast the machine was.
  for (const auto& entry : std::filesystem::directory_iterator(program.path("parts/checkpoints"))) {
    if (entry.path().filename().string().starts_with("step-") && entry.path() != fifth)
      std::filesystem::remove(entry.path());
  }
  const Outcome rest = program.run_tiny(
      "train", {"--json", "--set", "train.max_steps=10", "--set", "train.keep=0", "--set", workers}, "parts");
  ASSERT_EQ(rest.code, 0) << rest.err;
  EXPECT_THAT(rest.err, HasSubstr("at step 5"));
  EXPECT_EQ(rest.json()["steps"], 10);

  const TensorFile a = load_tensor_file(whole.json()["checkpoint"]);
  const TensorFile b = load_tensor_file(rest.json()["checkpoint"]);
  ASSERT_EQ(a.tensors.size(), b.tensors.size());
  for (size_t i = 0; i < a.tensors.size(); ++i) {
    ASSERT_EQ(a.tensors[i].first, b.tensors[i].first);
    EXPECT_TRUE(torch::equal(a.tensors[i].second, b.tensors[i].second)) << a.tensors[i].first;
  }
}
INSTANTIATE_TEST_SUITE_P(WithWorkers, KillAndResume, testing::Values(1, 4));

TEST(Resume, GivesTheSameMeasuredInvarianceOfHdc) {
  const Program program;
  program.make_videos();
  const std::vector<std::string> hdc = {"train", "--config", "hdc_k400_r2plus1d10.yaml"};
  const auto arguments = [&](const std::string& output, int steps) {
    std::vector<std::string> all = hdc;
    for (const char* set :
         {"data.format=folder", "model.width=0.125", "clip.frames=8", "clip.size=32", "objective.weights=measured",
          "objective.head_hidden=32", "objective.head_out=16", "train.batch=4", "train.epochs=10", "train.log_every=2",
          "train.checkpoint_every=2", "train.threads=1", "train.device=cpu", "loader.workers=2"}) {
      all.insert(all.end(), {"--set", set});
    }
    all.insert(all.end(), {"--set", "data.root=" + program.path("data"), "--set", cat("train.max_steps=", steps),
                           "--output", program.path(output), "--json"});
    return all;
  };
  const Outcome whole = program.run(arguments("whole", 6));
  ASSERT_EQ(whole.code, 0) << whole.err;
  EXPECT_THAT(whole.err, HasSubstr("sc_top1"));
  EXPECT_THAT(whole.err, testing::Not(HasSubstr("sc4/invariance")));
  EXPECT_THAT(read_text_file(program.path("whole/metrics.jsonl")), HasSubstr("\"sc4/invariance\":"));
  ASSERT_EQ(program.run(arguments("parts", 4)).code, 0);
  const Outcome rest = program.run(arguments("parts", 6));
  ASSERT_EQ(rest.code, 0) << rest.err;
  const TensorFile a = load_tensor_file(whole.json()["checkpoint"]);
  const TensorFile b = load_tensor_file(rest.json()["checkpoint"]);
  ASSERT_NE(a.find("model/sc_invariance"), nullptr);
  EXPECT_EQ(a.find("model/invariance_batches")->item<int64_t>(), 6);
  ASSERT_EQ(a.tensors.size(), b.tensors.size());
  for (size_t i = 0; i < a.tensors.size(); ++i) {
    EXPECT_TRUE(torch::equal(a.tensors[i].second, b.tensors[i].second)) << a.tensors[i].first;
  }
}

TEST(Signal, SavesAndLeavesWithSeventyFive) {
  const Program program;
  program.make_videos();
  std::vector<std::string> arguments = {"train"};
  for (const std::string& argument : program.tiny()) arguments.push_back(argument);
  for (const char* argument : {"--set", "train.epochs=100000", "--set", "train.checkpoint_every=1000000", "--set",
                               "train.log_every=1", "--json"}) {
    arguments.emplace_back(argument);
  }
  const pid_t child = program.start(arguments);
  for (int i = 0; i < 1200 && !std::filesystem::exists(program.path("run/metrics.jsonl")); ++i) {
    std::this_thread::sleep_for(std::chrono::milliseconds(50));
  }
  ::kill(child, SIGTERM);
  const Outcome outcome = program.finish(child);
  EXPECT_EQ(outcome.code, 75) << outcome.err;
  EXPECT_THAT(outcome.err, HasSubstr("resume with the same command"));
  EXPECT_TRUE(std::filesystem::exists(outcome.json()["checkpoint"].get<std::string>()));
}

}  // namespace
}  // namespace cstp
