// A run whose embeddings become all alike stops with a sentence, though its loss looks better than ever.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <filesystem>

#include "program.h"

namespace cstp {
namespace {

using testing::ContainsRegex;
using testing::HasSubstr;

std::vector<nlohmann::json> metrics_of(const Program& program) {
  std::vector<nlohmann::json> lines;
  for (const std::string& line : split_lines(read_text_file(program.path("run/metrics.jsonl"))))
    lines.push_back(nlohmann::json::parse(line));
  return lines;
}

/// BYOL alone, under a weight decay that shrinks every weight to nothing: the network ends at one embedding for all.
std::vector<std::string> collapsing() {
  std::vector<std::string> arguments;
  for (const char* set :
       {"objective.weights={contrast: 1, spatial: 0, temporal: 0, rate: 0, rotation: 0}", "optimizer.weight_decay=200",
        "train.epochs=100", "train.log_every=5", "train.checkpoint_every=10", "train.keep=2"}) {
    arguments.emplace_back("--set");
    arguments.emplace_back(set);
  }
  return arguments;
}

TEST(Collapse, StopsWithFiveAndNamesWhatCollapsedAndTheLastGoodCheckpoint) {
  const Program program;
  program.make_videos();
  const Outcome outcome = program.run_tiny("train", collapsing());
  ASSERT_EQ(outcome.code, 5) << outcome.err;
  EXPECT_THAT(outcome.err, ContainsRegex("step [0-9]+: the embeddings have collapsed, every clip gets nearly the same "
                                         "one: embedding std [0-9.e-]+ \\(train.collapse_std is 0.02\\)"));
  EXPECT_THAT(outcome.err, HasSubstr("for 3 reports in a row"));
  EXPECT_THAT(outcome.err, HasSubstr("a lower optimizer.weight_decay"));

  const auto lines = metrics_of(program);
  ASSERT_GT(lines.size(), 6U);
  EXPECT_GT(lines.front()["embedding_std"].get<double>(), 0.2);
  EXPECT_LT(lines.back()["embedding_std"].get<double>(), 0.02);
  EXPECT_LT(lines.back()["contrast"].get<double>(), lines.front()["contrast"].get<double>());  // the loss hides it

  // The checkpoints that are left are from before the first low report, and the newest is the one that was named.
  const auto first_low = std::find_if(lines.begin(), lines.end(), [](const nlohmann::json& line) {
    return line["embedding_std"].get<double>() < 0.02 || line["effective_rank"].get<double>() < 1.5;
  });
  ASSERT_NE(first_low, lines.end());
  std::vector<std::string> left;
  for (const auto& entry : std::filesystem::directory_iterator(program.path("run/checkpoints"))) {
    if (entry.path().filename().string().starts_with("step-")) left.push_back(entry.path().string());
  }
  ASSERT_EQ(left.size(), 2U);
  std::sort(left.begin(), left.end());
  std::string step = std::to_string((*first_low)["step"].get<int64_t>());
  step.insert(0, 8 - step.size(), '0');
  EXPECT_LT(left.back(), program.path("run/checkpoints/step-" + step + ".safetensors"));
  EXPECT_THAT(outcome.err, HasSubstr("the last good checkpoint is " + left.back()));
}

TEST(Collapse, IsLetRunOnWhereTheGuardIsOff) {
  const Program program;
  program.make_videos();
  std::vector<std::string> arguments = collapsing();
  arguments.insert(arguments.end(), {"--set", "train.collapse_reports=0", "--set", "train.max_steps=60"});
  const Outcome outcome = program.run_tiny("train", arguments);
  EXPECT_EQ(outcome.code, 0) << outcome.err;
  EXPECT_LT(metrics_of(program).back()["embedding_std"].get<double>(), 0.02);
}

TEST(Collapse, IsNoneWhereABackboneIsFrozenOrLearnsFromLabels) {
  const Program program;
  program.make_videos();
  for (const char* freeze : {"true", "false"}) {  // thresholds that nothing could pass
    const Outcome outcome = program.run_tiny(
        "train", {"--fresh", "--set", std::string("objective={name: supervised, stride: 2, freeze: ") + freeze + "}",
                  "--set", "train.collapse_std=1", "--set", "train.collapse_rank=1000", "--set", "train.log_every=1",
                  "--set", "train.max_steps=8"});
    EXPECT_EQ(outcome.code, 0) << outcome.err;
    EXPECT_GT(metrics_of(program).back()["effective_rank"].get<double>(), 1);  // logged all the same
    EXPECT_TRUE(metrics_of(program).back()["alignment"].is_null());            // one view a video
  }
}

}  // namespace
}  // namespace cstp
