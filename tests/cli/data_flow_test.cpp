// cstp data flow, as a user calls it.
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <sys/resource.h>

#include <chrono>
#include <fstream>
#include <thread>

#include "cstp/data/flow_store.h"
#include "cstp/video/flow.h"
#include "program.h"

namespace cstp {
namespace {

namespace fs = std::filesystem;
using testing::HasSubstr;

/// The finished files of a dump, by path below it.
std::map<std::string, std::string> flow_files(const std::string& folder) {
  std::map<std::string, std::string> files;
  if (!fs::exists(folder)) return files;
  for (const auto& entry : fs::recursive_directory_iterator(folder)) {
    if (entry.path().extension() == ".flow") {
      files[fs::relative(entry.path(), folder).string()] = read_text_file(entry.path().string());
    }
  }
  return files;
}

std::vector<std::string> flow_arguments(const Program& program, const std::string& output,
                                        const std::string& short_side = "64") {
  return {
      "data",         "flow",     "--config", "synthetic_quick",    "--set",     "data.root=" + program.path("data"),
      "--method",     "dis",      "--output", program.path(output), "--workers", "2",
      "--short-side", short_side, "--json"};
}

TEST(DataFlowCommand, WritesTheTrainingSplitAndKeepsItTheNextTime) {
  const Program program;
  program.make_videos();
  const Outcome outcome = program.run(flow_arguments(program, "dump"));
  ASSERT_EQ(outcome.code, 0) << outcome.err;
  const auto json = outcome.json();
  EXPECT_EQ(json["videos"], 12);
  EXPECT_EQ(json["made"], 12);
  EXPECT_EQ(json["fields"], 12 * 39);
  EXPECT_EQ(json["settings"]["method"], "dis");
  EXPECT_EQ(json["settings"]["short_side"], 64);
  EXPECT_GT(json["bytes_per_field"], 0);
  const auto files = flow_files(program.path("dump"));
  ASSERT_EQ(files.size(), 12U);
  EXPECT_THAT(files.begin()->first, HasSubstr("train/"));
  EXPECT_THAT(files.begin()->first, HasSubstr(".mp4.flow"));
  const FlowStore store(program.path("dump"), program.path("data"));
  EXPECT_EQ(store.read(program.path("data/train/drift/0000.mp4"), 24, 15).count, 15);

  const auto again = program.run(flow_arguments(program, "dump"), {"--split", "all"}).json();
  EXPECT_EQ(again["kept"], 12);
  EXPECT_EQ(again["made"], 6);
}

TEST(DataFlowCommand, KilledItGoesOnToTheSameBytes) {
  const Program program;
  program.make_videos();
  ASSERT_EQ(program.run(flow_arguments(program, "whole", "256")).code, 0);
  const pid_t child = program.start(flow_arguments(program, "killed", "256"));
  const auto some_are_there = [&] {
    const size_t there = flow_files(program.path("killed")).size();
    return there >= 2;
  };
  for (int tries = 0; tries < 5000 && !some_are_there(); ++tries) {
    std::this_thread::sleep_for(std::chrono::milliseconds(2));
  }
  ::kill(child, SIGKILL);
  ASSERT_EQ(program.finish(child).code, 128 + SIGKILL);
  const size_t there = flow_files(program.path("killed")).size();
  EXPECT_LT(there, 12U);
  const Outcome outcome = program.run(flow_arguments(program, "killed", "256"));
  ASSERT_EQ(outcome.code, 0) << outcome.err;
  EXPECT_EQ(outcome.json()["kept"], there);
  EXPECT_EQ(flow_files(program.path("killed")), flow_files(program.path("whole")));
}

TEST(DataFlowCommand, StoppedBySignalItLeavesWith75) {
  const Program program;
  program.make_videos();
  const pid_t child = program.start(flow_arguments(program, "dump", "256"));
  for (int tries = 0; tries < 5000 && flow_files(program.path("dump")).empty(); ++tries) {
    std::this_thread::sleep_for(std::chrono::milliseconds(2));
  }
  ::kill(child, SIGTERM);
  const Outcome outcome = program.finish(child);
  EXPECT_EQ(outcome.code, 75) << outcome.err;
  EXPECT_EQ(outcome.json()["stopped"], true);
  EXPECT_EQ(program.run(flow_arguments(program, "dump", "256")).code, 0);
}

TEST(DataFlowCommand, ShardsShareTheVideosOfAFolder) {
  const Program program;
  program.make_videos();
  const std::vector<std::string> common = {"data",         "flow", "--input",  program.path("data/test"),
                                           "--method",     "dis",  "--preset", "fast",
                                           "--short-side", "64",   "--output", program.path("dump")};
  for (const char* shard : {"1/2", "2/2"}) {
    const auto json = program.run(common, {"--json", "--shard", shard}).json();
    EXPECT_EQ(json["made"], 3);
    EXPECT_EQ(json["kept"], 0);
  }
  const Outcome text = program.run(common);
  EXPECT_THAT(text.out, HasSubstr("flow of 0 videos made, of 6 kept, 0 bad"));
}

TEST(DataFlowCommand, ListsBadVideosAndFailsWhenTheyAreMany) {
  const Program program;
  program.make_videos();
  for (const char* name : {"0000.mp4", "0001.mp4"}) {
    std::ofstream(program.path(cat("data/train/drift/", name)), std::ios::trunc) << "broken";
  }
  const Outcome many = program.run(flow_arguments(program, "dump"));
  EXPECT_EQ(many.code, 3);
  EXPECT_THAT(many.err, HasSubstr("2 of 12 videos got no flow"));
  ASSERT_EQ(many.json()["bad"].size(), 2U);
  EXPECT_THAT(many.json()["bad"][0]["path"].get<std::string>(), HasSubstr("drift/0000.mp4"));
  EXPECT_EQ(many.json()["made"], 10);
  const Outcome allowed = program.run(flow_arguments(program, "dump"), {"--set", "data.max_bad=0.5"});
  EXPECT_EQ(allowed.code, 0) << allowed.err;
}

TEST(DataFlowCommand, AFullDiskIsSaidAndNothingHalfIsLeft) {
  const Program program;
  program.make_videos();
  rlimit before{};
  ASSERT_EQ(::getrlimit(RLIMIT_FSIZE, &before), 0);
  const rlimit small{20'000, before.rlim_max};  // a file may not grow past this, as on a full disk
  const auto ignore = ::signal(SIGXFSZ, SIG_IGN);
  ::setrlimit(RLIMIT_FSIZE, &small);
  const Outcome outcome = program.run(flow_arguments(program, "dump"));
  ::setrlimit(RLIMIT_FSIZE, &before);
  ::signal(SIGXFSZ, ignore);
  EXPECT_EQ(outcome.code, 3);
  EXPECT_THAT(outcome.err, HasSubstr(".flow.part: writing it failed (File too large)"));
  for (const auto& entry : fs::recursive_directory_iterator(program.path("dump"))) {
    EXPECT_NE(entry.path().extension(), ".part") << entry.path();
  }
  EXPECT_EQ(program.run(flow_arguments(program, "dump")).code, 0);
}

TEST(DataFlowCommand, SaysWhatItWants) {
  const Program program;
  program.make_videos();
  const auto refused = [&](const std::vector<std::string>& more) {
    std::vector<std::string> arguments = {"data", "flow", "--output", program.path("dump")};
    const Outcome outcome = program.run(arguments, more);
    EXPECT_NE(outcome.code, 0);
    return cat(outcome.code, " ", outcome.err);
  };
  EXPECT_THAT(refused({}), HasSubstr("2 "));
  EXPECT_THAT(refused({}), HasSubstr("either --config"));
  EXPECT_THAT(refused({"--input", program.path("data"), "--shard", "3/2"}), HasSubstr("wanted K/N"));
  EXPECT_THAT(refused({"--input", program.path("data"), "--method", "brox"}), HasSubstr("tvl1"));
  EXPECT_THAT(refused({"--input", program.path("none")}), HasSubstr("3 "));
  ASSERT_EQ(program
                .run({"data", "flow", "--input", program.path("data/test"), "--method", "dis", "--short-side", "64",
                      "--output", program.path("dump")})
                .code,
            0);
  if (!FlowSolver::has_tvl1()) return;
  EXPECT_THAT(refused({"--input", program.path("data/test")}), HasSubstr("there: dis medium, short side 64, png"));
}

TEST(DataFlowCommand, WritesTvl1AsPublished) {
  if (!FlowSolver::has_tvl1()) GTEST_SKIP() << "built without OpenCV's contrib modules";
  const Program program;
  SyntheticOptions options;
  options.classes = 2;
  options.train_per_class = 1;
  options.test_per_class = 0;
  options.frames = 4;
  options.width = 64;
  options.height = 48;
  make_synthetic(program.path("data"), options, 1);
  const Outcome outcome = program.run({"data", "flow", "--input", program.path("data"), "--output",
                                       program.path("dump"), "--short-side", "64", "--json"});
  ASSERT_EQ(outcome.code, 0) << outcome.err;
  EXPECT_EQ(outcome.json()["settings"]["method"], "tvl1");
  EXPECT_EQ(outcome.json()["fields"], 6);
}

}  // namespace
}  // namespace cstp
