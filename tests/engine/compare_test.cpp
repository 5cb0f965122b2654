#include "cstp/engine/compare.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "cstp/core/error.h"
#include "cstp/core/text.h"
#include "cstp/engine/result_folder.h"
#include "data/temporary_folder.h"
#include "made_result.h"

namespace cstp {
namespace {

using testing::ElementsAre;
using testing::HasSubstr;
using testing::IsEmpty;

StoredResult stored(const std::string& path, const MadeResult& made) { return {path, path, made.document()}; }

/// What is said against comparing `other` with the plain result.
std::string complaint(const MadeResult& other) {
  const auto unlike = unlike_results({stored("a", {}), stored("b", other)});
  return unlike.empty() ? "" : unlike[0];
}

TEST(Compare, WeightsSeedsAndRatesMayDiffer) {
  EXPECT_EQ(complaint({.top1 = 0.9, .weights = "untrained"}), "");
  EXPECT_EQ(complaint({.sets = {"seed=5"}, .training_seed = 5}), "");
  EXPECT_EQ(complaint({.sets = {"model.name=r3d18", "loader.workers=1", "train.precision=bf16"}}), "");
}

TEST(Compare, NamesTheFileTheFieldAndBothValues) {
  EXPECT_EQ(complaint({.sets = {"eval.clips=5"}}),
            "b is unlike a: protocol is ucf101-linear-v1 + {eval.clips=5}, there ucf101-linear-v1; eval.clips is 5, "
            "there 10");
  EXPECT_THAT(complaint({.sets = {"data.split=2"}}), HasSubstr("b is unlike a: splits is [2], there [1]"));
  EXPECT_EQ(complaint({.classes = "0dd"}), "b is unlike a: class map is 0dd, there c1a55e5");
  EXPECT_EQ(complaint({.test_videos = "0dd"}), "b is unlike a: test data fingerprint is 0dd, there 7e57");
  EXPECT_EQ(complaint({.decoded = 8}), "b: decoded is 8, below its total of 10");
  EXPECT_THAT(complaint({.config = "ucf101_linear", .sets = {"eval.protocol=knn"}}),
              HasSubstr(" more settings differ"));
  EXPECT_THAT(unlike_results({stored("only", {.decoded = 8})}),
              ElementsAre("only: decoded is 8, below its total of 10"));
}

TEST(Compare, GroupsWhatDiffersBySeedOnly) {
  std::vector<StoredResult> results;
  for (int64_t seed = 1; seed <= 3; ++seed) {
    results.push_back(
        stored(cat("run", seed),
               {.sets = {cat("seed=", seed)}, .top1 = 0.1 * static_cast<double>(seed), .training_seed = seed}));
  }
  results.push_back(stored("untrained", {.top1 = 0.05, .weights = "untrained"}));
  results.push_back(stored("run1 again", {.sets = {"seed=1"}, .top1 = 0.1, .training_seed = 1}));
  results.push_back(stored("wide", {.sets = {"model.width=2"}, .top1 = 0.7}));
  const auto rows = compared_rows(results, true);
  ASSERT_EQ(rows.size(), 3U);
  EXPECT_EQ(rows[0].name, "run1 and 2 more");
  EXPECT_THAT(rows[0].seeds, ElementsAre(1, 2, 3));  // what was given twice counts once
  EXPECT_NEAR(rows[0].metrics[0].second->mean, 0.2, 1e-12);
  EXPECT_NEAR(*rows[0].metrics[0].second->std, 0.1, 1e-12);
  EXPECT_FALSE(rows[0].metrics[1].second.has_value());  // top5 is undefined in each
  EXPECT_EQ(rows[1].objective, "untrained");
  EXPECT_FALSE(rows[1].metrics[0].second->std.has_value());
  EXPECT_EQ(rows[2].model, "r2plus1d10 x 2.0");
  EXPECT_EQ(compared_rows(results, false).size(), 6U);
}

TEST(Compare, TablesForPeopleAndForPrograms) {
  const auto rows = compared_rows({stored("a", {.top1 = 0.123}), stored("long|name", {.weights = "untrained"})}, false);
  const std::string text = comparison_table(rows, TableStyle::text, false);
  EXPECT_THAT(text, HasSubstr("untrained"));
  EXPECT_THAT(text, HasSubstr("12.3"));
  const auto lines = split_lines(text);
  EXPECT_EQ(lines[0].find("weights"), lines[2].find("untrained"));
  EXPECT_THAT(comparison_table(rows, TableStyle::markdown, false),
              HasSubstr("| long\\|name | untrained | r2plus1d10 |"));
  EXPECT_THAT(comparison_table(rows, TableStyle::csv, true), HasSubstr(",10/10,0.123,,"));
  const Document json = comparison_json(rows);
  EXPECT_EQ(json[0]["metrics"]["top1"]["mean"], 0.123);
  EXPECT_TRUE(json[0]["metrics"]["top5"].is_null());
}

TEST(ReadResults, TakesFilesAndFoldersAndLeavesSplitsToTheirMean) {
  const TemporaryFolder output;
  const MadeResult one{};
  const MadeResult two{.sets = {"data.split=2"}, .test_videos = "second"};
  for (const MadeResult& made : {one, two}) {
    ResultFolder(output.path(), made.provenance(), {}).save(made.document(), std::nullopt);
  }
  EXPECT_EQ(read_results({output.path()}, "").size(), 2U);
  const std::string mean = save_result(output.path(), mean_of_splits({one.document(), two.document()}), std::nullopt);
  const auto found = read_results({output.path()}, "");
  ASSERT_EQ(found.size(), 1U);
  EXPECT_EQ(found[0].path, mean + "/result.json");
  EXPECT_EQ(found[0].name, output.path());
  EXPECT_EQ(read_results({mean, mean + "/result.json"}, "").size(), 2U);
  EXPECT_THAT(read_results({output.path()}, "linear"), testing::SizeIs(1));
  EXPECT_THAT(read_results({output.path()}, "ucf101-linear-v1"), testing::SizeIs(1));
  EXPECT_THROW(read_results({output.path()}, "knn"), UsageError);
}

TEST(ReadResults, RefusesWhatIsNoResult) {
  const TemporaryFolder output;
  EXPECT_THAT(message_of<UsageError>([&] { read_results({output / "none"}, ""); }), HasSubstr("no such file"));
  EXPECT_THAT(message_of<UsageError>([&] { read_results({output.path()}, ""); }), HasSubstr("holds no result.json"));
  const std::string old = output.write("old.json", R"({"protocol":"linear","top1":0.5})");
  EXPECT_THAT(message_of<UsageError>([&] { read_results({old}, ""); }), HasSubstr("no complete `provenance`"));
  const std::string cut = output.write("cut.json", R"({"protocol":)");
  EXPECT_THAT(message_of<DataError>([&] { read_results({cut}, ""); }), HasSubstr("cut.json"));
}

}  // namespace
}  // namespace cstp
