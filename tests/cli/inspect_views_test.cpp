// cstp inspect views: what STS asks, drawn over the clips.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "program.h"

namespace cstp {
namespace {

using testing::HasSubstr;

std::vector<std::string> sts_settings(const Program& program,
                                      const std::string& objective = "objective.flow.preset=ultrafast") {
  std::vector<std::string> arguments = {"--config", "sts_ucf101_r3d10", "--output", program.path("run")};
  for (const std::string& set :
       {std::string("data.format=folder"), "data.root=" + program.path("data"), std::string("data.videos=0"),
        std::string("model.width=0.125"), std::string("clip.frames=6"), std::string("clip.size=32"),
        std::string("train.batch=4"), std::string("train.threads=1"), std::string("train.device=cpu"),
        std::string("loader.workers=2"), objective}) {
    arguments.push_back("--set");
    arguments.push_back(set);
  }
  return arguments;
}

/// Width and height of a PNG file, from its header.
std::pair<int64_t, int64_t> png_size(const std::string& path) {
  const std::string bytes = read_text_file(path);
  const auto number = [&](size_t at) {
    int64_t value = 0;
    for (size_t i = 0; i < 4; ++i) value = value * 256 + static_cast<uint8_t>(bytes[at + i]);
    return value;
  };
  EXPECT_EQ(bytes.substr(1, 3), "PNG");
  return {number(16), number(20)};
}

TEST(InspectViews, DrawsTheLabelsOfStsAndBesideThemTheAnswersOfACheckpoint) {
  const Program program;
  program.make_videos();
  std::vector<std::string> settings = sts_settings(program);
  std::vector<std::string> inspect = {"inspect", "views", "--count", "2", "--json", "--png", program.path("true.png")};
  inspect.insert(inspect.end(), settings.begin(), settings.end());
  const Outcome labels = program.run(inspect);
  ASSERT_EQ(labels.code, 0) << labels.err;
  EXPECT_EQ(labels.json()["views"], 2);
  EXPECT_FALSE(std::filesystem::exists(program.path("run")));

  std::vector<std::string> train = {"train", "--set", "train.max_steps=2"};
  train.insert(train.end(), settings.begin(), settings.end());
  ASSERT_EQ(program.run(train).code, 0);
  inspect[6] = program.path("both.png");
  const Outcome both = program.run(inspect, {"--checkpoint", program.path("run"), "--split", "test"});
  ASSERT_EQ(both.code, 0) << both.err;
  const auto [width, height] = png_size(program.path("true.png"));
  const auto [both_width, both_height] = png_size(program.path("both.png"));
  EXPECT_EQ(width, both_width);
  EXPECT_GT(both_height, height + 100);  // a row of answers
}

TEST(InspectViews, DrawsTheStsPartOfAJointObjectiveWithItsAnswers) {
  const Program program;
  program.make_videos();
  const std::vector<std::string> settings =
      sts_settings(program,
                   "objective={name: joint, parts: [{weight: 0.1, name: cvrl}, {name: sts, targets: standard, "
                   "flow: {preset: ultrafast, margin: 8}}]}");
  std::vector<std::string> train = {"train", "--set", "train.max_steps=2"};
  train.insert(train.end(), settings.begin(), settings.end());
  const Outcome trained = program.run(train);
  ASSERT_EQ(trained.code, 0) << trained.err;
  std::vector<std::string> inspect = {"inspect", "views", "--count", "2", "--png", program.path("true.png")};
  inspect.insert(inspect.end(), settings.begin(), settings.end());
  ASSERT_EQ(program.run(inspect).code, 0);
  inspect[5] = program.path("both.png");
  const Outcome both = program.run(inspect, {"--checkpoint", program.path("run")});
  ASSERT_EQ(both.code, 0) << both.err;
  const auto [width, height] = png_size(program.path("true.png"));
  const auto [both_width, both_height] = png_size(program.path("both.png"));
  EXPECT_EQ(width, both_width);
  EXPECT_GT(both_height, height + 100);  // a row of answers
}

TEST(InspectViews, OfARecipeOfPairsIsTheSheetOfPairs) {
  const Program program;
  program.make_videos();
  std::vector<std::string> arguments = {"inspect", "views", "--count", "2"};
  for (const std::string& argument : program.tiny()) arguments.push_back(argument);
  const Outcome views = program.run(arguments);
  ASSERT_EQ(views.code, 0) << views.err;
  EXPECT_THAT(views.out, HasSubstr("views.png"));
  arguments[1] = "pairs";
  ASSERT_EQ(program.run(arguments).code, 0);
  EXPECT_EQ(read_text_file(program.path("run/views.png")), read_text_file(program.path("run/pairs.png")));
}

}  // namespace
}  // namespace cstp
