// Ranks through the program: its own launcher, plain variables, and the real torchrun.
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <torch/torch.h>

#include <algorithm>
#include <cctype>
#include <chrono>
#include <filesystem>
#include <fstream>
#include <thread>

#include "cstp/distributed/ranks.h"
#include "cstp/models/tensor_file.h"
#include "program.h"

namespace cstp {
namespace {

using std::chrono::seconds;
using testing::AllOf;
using testing::HasSubstr;
using testing::Not;
namespace fs = std::filesystem;

#define SKIP_WITHOUT_GLOO() \
  if (!has_gloo()) GTEST_SKIP() << "this build has no Gloo headers, so no ranks on CPUs"

std::vector<std::string> train_command(const Program& program, const std::string& output,
                                       const std::vector<std::string>& more) {
  std::vector<std::string> arguments = {"train"};
  for (const std::string& argument : program.tiny(output)) arguments.push_back(argument);
  arguments.insert(arguments.end(), more.begin(), more.end());
  return arguments;
}

std::vector<std::string> steps(int64_t count, int64_t checkpoint_every = 2) {
  return {"--json",
          "--set",
          cat("train.max_steps=", count),
          "--set",
          cat("train.checkpoint_every=", checkpoint_every),
          "--set",
          "train.keep=0"};
}

bool wait_for(const std::string& path) {
  for (int i = 0; i < 2400 && !fs::exists(path); ++i) std::this_thread::sleep_for(std::chrono::milliseconds(50));
  return fs::exists(path);
}

std::string checkpoint(const Program& program, const std::string& output, int64_t step) {
  return program.path(cat(output, "/checkpoints/step-000000", step < 10 ? "0" : "", step, ".safetensors"));
}

void expect_equal(const std::string& a, const std::string& b, double tolerance) {
  const TensorFile x = load_tensor_file(a), y = load_tensor_file(b);
  ASSERT_EQ(x.tensors.size(), y.tensors.size());
  for (size_t i = 0; i < x.tensors.size(); ++i) {
    ASSERT_EQ(x.tensors[i].first, y.tensors[i].first);
    if (x.tensors[i].first.starts_with("rng/")) continue;
    const at::Tensor p = x.tensors[i].second.to(torch::kFloat64), q = y.tensors[i].second.to(torch::kFloat64);
    EXPECT_LE((p - q).abs().max().item<double>(), tolerance * (1 + p.abs().max().item<double>())) << x.tensors[i].first;
  }
}

/// Processes whose environment says RANK=`rank` and whose command line names `output`.
std::vector<pid_t> processes_of_rank(int64_t rank, const std::string& output) {
  std::vector<pid_t> found;
  std::error_code error;
  for (const auto& entry : fs::directory_iterator("/proc", error)) {
    const std::string name = entry.path().filename().string();
    if (!std::all_of(name.begin(), name.end(), [](unsigned char c) { return std::isdigit(c) != 0; })) continue;
    const auto content = [&entry](const char* file) {
      std::ifstream in(entry.path() / file, std::ios::binary);
      return std::string(std::istreambuf_iterator<char>(in), {});
    };
    const std::string environment = '\0' + content("environ");
    const std::string wanted = '\0' + cat("RANK=", rank) + '\0';
    if (environment.find(wanted) == std::string::npos) continue;
    if (content("cmdline").find(output) != std::string::npos) found.push_back(static_cast<pid_t>(std::stol(name)));
  }
  return found;
}

TEST(OwnLauncher, TrainsTheRunOfOneRankOnTwo) {
  SKIP_WITHOUT_GLOO();
  const Program program;
  program.make_videos();
  const Outcome one = program.run(train_command(program, "one", steps(4)));
  ASSERT_EQ(one.code, 0) << one.err;
  const Outcome two = program.run(train_command(program, "two", steps(4)), {"--ranks", "2", "--set", "data.videos=99"});
  ASSERT_EQ(two.code, 0) << two.err;
  EXPECT_EQ(two.json()["steps"], 4);  // one document: rank 0 alone prints
  EXPECT_THAT(two.err, AllOf(HasSubstr("2 ranks"), HasSubstr("data.videos says 99"), Not(HasSubstr("rank 1:"))));
  expect_equal(checkpoint(program, "one", 4), checkpoint(program, "two", 4), 2e-3);

  // What was trained is looked at by two ranks as by one.
  const std::vector<std::string> weights = {"--json", "--checkpoint", program.path("one")};
  const Outcome alone = program.run_tiny("retrieve", weights, "r1");
  std::vector<std::string> shared = weights;
  shared.insert(shared.end(), {"--ranks", "2"});
  const Outcome together = program.run_tiny("retrieve", shared, "r2");
  ASSERT_EQ(together.code, 0) << together.err;
  EXPECT_EQ(alone.json()["decoded"], together.json()["decoded"]);
  EXPECT_EQ(alone.json()["recall"], together.json()["recall"]);
}

TEST(OwnLauncher, RefusesABatchThatTheRanksCannotShare) {
  SKIP_WITHOUT_GLOO();
  const Program program;
  program.make_videos();
  const Outcome outcome = program.run(train_command(program, "run", steps(4)), {"--ranks", "3"});
  EXPECT_EQ(outcome.code, 2) << outcome.err;
  EXPECT_THAT(outcome.err, HasSubstr("train.batch: 4 videos a step cannot be shared by 3 ranks"));
}

TEST(OwnLauncher, StopsAllRanksAtTheSameStepOnASignal) {
  SKIP_WITHOUT_GLOO();
  const Program program;
  program.make_videos();
  const pid_t child = program.start(train_command(
      program, "run", {"--json", "--ranks", "2", "--set", "train.epochs=100000", "--set", "train.log_every=1"}));
  ASSERT_TRUE(wait_for(program.path("run/metrics.jsonl")));
  ::kill(child, SIGTERM);
  const Outcome stopped = program.finish(child);
  EXPECT_EQ(stopped.code, 75) << stopped.err;
  EXPECT_TRUE(fs::exists(stopped.json()["checkpoint"].get<std::string>()));
}

TEST(OwnLauncher, NamesTheRankThatWasKilled) {
  SKIP_WITHOUT_GLOO();
  const Program program;
  program.make_videos();
  const pid_t child = program.start(
      train_command(program, "run", {"--ranks", "2", "--set", "train.epochs=100000", "--set", "train.log_every=1"}));
  ASSERT_TRUE(wait_for(program.path("run/metrics.jsonl")));
  for (const pid_t pid : processes_of_rank(1, program.path("run"))) ::kill(pid, SIGKILL);
  const auto begin = std::chrono::steady_clock::now();
  const Outcome outcome = program.finish(child);
  EXPECT_LT(std::chrono::steady_clock::now() - begin, seconds(60));
  EXPECT_EQ(outcome.code, 6) << outcome.err;
  EXPECT_THAT(outcome.err, HasSubstr("rank 1 of 2 was killed by signal 9"));
  EXPECT_TRUE(processes_of_rank(0, program.path("run")).empty()) << "rank 0 outlived the launcher";
}

TEST(KilledRank, EndsTheJobWithinAMinuteUnderAnyLauncher) {
  SKIP_WITHOUT_GLOO();
  const Program program;
  program.make_videos();
  const std::string port = std::to_string(free_port());
  std::vector<pid_t> ranks;
  for (const std::string rank : {"0", "1"}) {
    ranks.push_back(program.start_other(
        CSTP_PROGRAM, train_command(program, "run", {"--set", "train.epochs=100000", "--set", "train.log_every=1"}),
        {{"OMPI_COMM_WORLD_RANK", rank},
         {"OMPI_COMM_WORLD_SIZE", "2"},
         {"OMPI_COMM_WORLD_LOCAL_RANK", rank},
         {"OMPI_COMM_WORLD_LOCAL_SIZE", "2"},
         {"MASTER_PORT", port}},
        rank));
  }
  ASSERT_TRUE(wait_for(program.path("run/metrics.jsonl")));
  ::kill(ranks[1], SIGKILL);
  const auto begin = std::chrono::steady_clock::now();
  const Outcome survivor = program.finish(ranks[0], "0");
  EXPECT_LT(std::chrono::steady_clock::now() - begin, seconds(60));
  EXPECT_EQ(survivor.code, 6) << survivor.err;
  EXPECT_THAT(survivor.err, HasSubstr("rank 1 of 2 is lost"));
  program.finish(ranks[1], "1");
}

TEST(Torchrun, LaunchesTheProgramAndRestartsItOnTheSameTrajectory) {
  SKIP_WITHOUT_GLOO();
  if (!fs::exists(CSTP_TORCHRUN)) GTEST_SKIP() << "there is no torchrun at " << CSTP_TORCHRUN;
  const Program program;
  program.make_videos();
  const Outcome whole = program.run(train_command(program, "whole", steps(30, 5)), {"--ranks", "2"});
  ASSERT_EQ(whole.code, 0) << whole.err;

  std::vector<std::string> arguments = {"--no-python", "--nproc-per-node=2", "--max-restarts=1",
                                        cat("--master-port=", free_port()), CSTP_PROGRAM};
  for (const std::string& argument : train_command(program, "parts", steps(30, 5))) arguments.push_back(argument);
  const pid_t agent = program.start_other(CSTP_TORCHRUN, arguments);
  ASSERT_TRUE(wait_for(checkpoint(program, "parts", 5)));
  const std::vector<pid_t> victims = processes_of_rank(1, program.path("parts"));
  ASSERT_FALSE(victims.empty());
  for (const pid_t pid : victims) ::kill(pid, SIGKILL);
  const Outcome outcome = program.finish(agent);
  ASSERT_EQ(outcome.code, 0) << outcome.err;
  EXPECT_THAT(outcome.err, AllOf(HasSubstr("2 ranks (torchrun)"), HasSubstr("resuming")));
  EXPECT_EQ(outcome.json()["steps"], 30);
  expect_equal(checkpoint(program, "whole", 30), checkpoint(program, "parts", 30), 0);
}

}  // namespace
}  // namespace cstp
