// The shipped downstream configs on UCF101 and HMDB51 in small, through the program: splits, names, reuse, comparison.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "official_data.h"
#include "program.h"

namespace cstp {
namespace {

using testing::HasSubstr;
using testing::Not;
using testing::StartsWith;
namespace fs = std::filesystem;

/// A shipped config, made tiny by --set alone.
std::vector<std::string> eval(const Program& program, const std::string& config, const std::string& output,
                              const std::vector<std::string>& more = {}) {
  std::vector<std::string> arguments = {"eval", "--config", config, "--output", program.path(output), "--json"};
  for (const std::string& set :
       {cat("data.root=", program.path("data")), cat("data.videos=0"), cat("model.name=r3d10_pool"),
        cat("model.width=0.125"), cat("clip.size=32"), cat("clip.frames=4"), cat("eval.clips=2"),
        cat("eval.linear.epochs=2"), cat("eval.linear.batch=8"), cat("eval.finetune.epochs=1"),
        cat("eval.finetune.batch=8"), cat("train.threads=1"), cat("train.device=cpu"), cat("loader.workers=1")}) {
    arguments.push_back("--set");
    arguments.push_back(set);
  }
  arguments.insert(arguments.end(), more.begin(), more.end());
  return arguments;
}

TEST(Ucf101, EverySplitAndTheMeanByTheShippedLinearConfig) {
  const Program program;
  make_mini_ucf101(program.path("data"));
  const auto command = eval(program, "ucf101_linear.yaml", "run", {"--splits", "1,2,3"});
  const Outcome first = program.run(command);
  ASSERT_EQ(first.code, 0) << first.err;
  const auto mean = first.json();
  EXPECT_EQ(mean["protocol"], "linear");
  EXPECT_EQ(mean["splits"], nlohmann::json::array({1, 2, 3}));
  EXPECT_EQ(mean["classes"], 6);
  EXPECT_EQ(mean["total"], 18 + 12 + 18);  // every video is tested in one split
  EXPECT_EQ(mean["decoded"], mean["total"]);
  EXPECT_FALSE(mean["clip_top5"].is_null());
  ASSERT_EQ(mean["per_split"].size(), 3U);
  double sum = 0;
  for (const auto& split : mean["per_split"]) {
    sum += split["top1"].get<double>();
    EXPECT_EQ(split["selection"].size(), 2U);
    EXPECT_EQ(split["train_decoded"].get<int>() + split["total"].get<int>(), 48);
    EXPECT_THAT(split["provenance"]["protocol"].get<std::string>(), StartsWith("ucf101-linear-v1 + {clip.size=32, "));
  }
  EXPECT_NEAR(mean["top1"], sum / 3, 1e-12);
  EXPECT_GE(mean["top1_std"], 0);
  const fs::path folder = fs::path(mean["result"].get<std::string>()).parent_path();
  EXPECT_THAT(folder.filename(), StartsWith("ucf101-linear-v1-changed-splits1,2,3-"));
  for (const char* name : {"confusion.png", "confusion.csv", "per_class.csv"}) EXPECT_TRUE(fs::exists(folder / name));
  EXPECT_THAT(read_text_file(folder / "per_class.csv"), HasSubstr("\nHandstandPushups,8,"));

  const Outcome second = program.run(command);  // nothing changed: nothing is computed
  EXPECT_EQ(second.out, first.out);
  EXPECT_THAT(second.err, HasSubstr("taken as it is"));
  EXPECT_THAT(second.err, Not(HasSubstr("held-out")));
  // Computed anew, and without its neighbours, a split gives the same digits.
  const Outcome alone = program.run(eval(program, "ucf101_linear.yaml", "run", {"--splits", "2", "--fresh"}));
  ASSERT_EQ(alone.code, 0) << alone.err;
  auto again = alone.json();
  again.erase("result");
  EXPECT_EQ(again, mean["per_split"][1]);
  EXPECT_THAT(alone.err, HasSubstr("held-out"));
}

TEST(Ucf101, NeighboursAndFineTuningByTheShippedConfigs) {
  const Program program;
  make_mini_ucf101(program.path("data"));
  const auto knn = eval(program, "ucf101_linear.yaml", "run", {"--splits", "1,3", "--protocol", "knn"});
  const Outcome first = program.run(knn);
  ASSERT_EQ(first.code, 0) << first.err;
  EXPECT_EQ(first.json()["provenance"]["protocol"], "custom-knn");
  EXPECT_TRUE(first.json()["clip_top5"].is_null());
  EXPECT_EQ(first.json()["total"], 36);

  // A video that was replaced is noticed, though its name stayed.
  make_video(program.path("data/UCF-101/YoYo/v_YoYo_g01_c01.avi"), 0, 99);
  const Outcome changed = program.run(knn);
  ASSERT_EQ(changed.code, 0) << changed.err;
  EXPECT_THAT(changed.err, HasSubstr("the result there is not used, because something changed: test videos"));
  EXPECT_THAT(changed.err, HasSubstr("because something changed: training videos"));  // of split 3

  const Outcome tuned = program.run(eval(program, "ucf101_finetune.yaml", "run", {"--splits", "2"}));
  ASSERT_EQ(tuned.code, 0) << tuned.err;
  EXPECT_EQ(tuned.json()["lr"], 0.025);
  EXPECT_THAT(tuned.json()["result"].get<std::string>(), HasSubstr("/eval/ucf101-finetune-v1-changed-split2-"));
}

TEST(Hmdb51, EverySplitAndTheMeanByTheShippedConfigs) {
  const Program program;
  make_mini_hmdb51(program.path("data"));
  const Outcome first = program.run(eval(program, "hmdb51_linear.yaml", "run", {"--splits", "1,2,3"}));
  ASSERT_EQ(first.code, 0) << first.err;
  const auto mean = first.json();
  EXPECT_EQ(mean["classes"], 2);
  EXPECT_EQ(mean["per_split"][0]["total"], 4);        // two clips of one source in each class
  EXPECT_EQ(mean["per_split"][0]["train_total"], 6);  // one source is unused
  EXPECT_TRUE(mean["top5"].is_null());
  const Outcome again = program.run(eval(program, "hmdb51_linear.yaml", "other", {"--splits", "3,1,2"}));
  EXPECT_EQ(again.json()["per_split"][1]["top1"], mean["per_split"][0]["top1"]);
  EXPECT_EQ(again.json()["per_split"][1]["classifier"], mean["per_split"][0]["classifier"]);
  const Outcome tuned = program.run(eval(program, "hmdb51_finetune.yaml", "run", {"--splits", "1"}));
  EXPECT_EQ(tuned.code, 0) << tuned.err;
  EXPECT_EQ(tuned.json()["total"], 4);
}

TEST(Splits, AreRefusedWhereThereAreNone) {
  const Program program;
  const auto error = [&](const std::vector<std::string>& more) {
    const Outcome outcome = program.run(eval(program, "ucf101_linear.yaml", "run", more));
    EXPECT_EQ(outcome.code, 2);
    return outcome.err;
  };
  EXPECT_THAT(error({"--splits", "1,2", "--set", "data.format=folder"}), HasSubstr("has no official splits"));
  EXPECT_THAT(error({"--splits", "1,4"}), HasSubstr("'4' is no split"));
  EXPECT_THAT(error({"--splits", "1,"}), HasSubstr("'' is no split"));
  EXPECT_THAT(error({"--splits", "2,2"}), HasSubstr("2 stands twice"));
  EXPECT_THAT(error({"--protocol", "ucf101-linaer-v1"}), HasSubstr("did you mean 'ucf101-linear-v1'?"));
  EXPECT_THAT(error({"--protocol", "retrieval-v1"}), HasSubstr("cstp retrieve"));
}

TEST(Compare, TabulatesLikeResultsAndRefusesUnlikeOnes) {
  const Program program;
  make_mini_hmdb51(program.path("data"));
  const auto knn = [&](const std::string& output, const std::vector<std::string>& more) {
    auto arguments = eval(program, "hmdb51_linear.yaml", output, {"--protocol", "knn"});
    arguments.insert(arguments.end(), more.begin(), more.end());
    const Outcome outcome = program.run(arguments);
    EXPECT_EQ(outcome.code, 0) << outcome.err;
    return outcome.json();
  };
  const auto one = knn("one", {});
  const auto two = knn("two", {"--set", "seed=2"});
  const Outcome table = program.run({"compare", program.path("one"), program.path("two")});
  ASSERT_EQ(table.code, 0) << table.err;
  EXPECT_THAT(table.out, StartsWith("custom-knn (settings "));
  EXPECT_THAT(table.out, HasSubstr("untrained  r3d10_pool x 0.125  1 "));
  const Outcome group = program.run({"compare", program.path("one"), program.path("two"), "--group", "--json"});
  ASSERT_EQ(group.json().size(), 1U);
  EXPECT_EQ(group.json()[0]["seeds"], nlohmann::json::array({1, 2}));
  EXPECT_NEAR(group.json()[0]["metrics"]["top1"]["mean"], (one["top1"].get<double>() + two["top1"].get<double>()) / 2,
              1e-12);

  knn("three", {"--set", "eval.clips=1"});
  const std::vector<std::string> unlike = {"compare", program.path("one"), program.path("three")};
  const Outcome refused = program.run(unlike);
  EXPECT_EQ(refused.code, 2);
  EXPECT_THAT(refused.err, HasSubstr("three/eval/custom-knn-split1-"));
  EXPECT_THAT(refused.err, HasSubstr("eval.clips is 1, there 2"));
  const Outcome allowed = program.run(unlike, {"--allow-unlike", "--csv"});
  EXPECT_EQ(allowed.code, 0);
  EXPECT_THAT(allowed.err, HasSubstr("unlike: "));
  EXPECT_EQ(split_lines(allowed.out).size(), 3U);

  write_file_atomically(program.path("data/hmdb51_org/brush_hair/April_09_brush_hair_u_nm_np1_ba_goo_0.avi"), "");
  EXPECT_EQ(knn("four", {})["decoded"], 3);
  const Outcome incomplete = program.run({"compare", program.path("four")});
  EXPECT_EQ(incomplete.code, 2);
  EXPECT_THAT(incomplete.err, HasSubstr("decoded is 3, below its total of 4"));
  // Stored, the result still names the video that it lacks.
  const Outcome again = program.run(eval(program, "hmdb51_linear.yaml", "four", {"--protocol", "knn"}));
  EXPECT_THAT(again.err, HasSubstr("goo_0.avi: could not be decoded"));
}

TEST(NamedProtocol, SetsEverythingFromAnyConfig) {
  const Program program;
  const Outcome plan =
      program.run({"eval", "--config", "k400_stor_contrast", "--protocol", "ucf101-linear-v1", "--set",
                   "data.format=ucf101", "--set", "clip.size=32", "--set", "model.width=0.125", "--dry-run"});
  ASSERT_EQ(plan.code, 0) << plan.err;
  EXPECT_THAT(plan.out, StartsWith("protocol    ucf101-linear-v1 + {clip.size=32} (settings "));
  const Outcome list = program.run({"eval", "--list-protocols"});
  EXPECT_EQ(list.code, 0);
  EXPECT_THAT(list.out, HasSubstr("hmdb51-finetune-v1: fine-tuning on HMDB51\n"));
}

}  // namespace
}  // namespace cstp
