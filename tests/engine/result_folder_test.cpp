#include "cstp/engine/result_folder.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "cstp/core/text.h"
#include "data/temporary_folder.h"
#include "made_result.h"

namespace cstp {
namespace {

using testing::HasSubstr;
using testing::StartsWith;

const Confusion kConfusion{{"a", "b"}, {1, 2, 3, 4}};

ResultFolder folder_of(const TemporaryFolder& output, const MadeResult& made, const ResultKey& key = {{"k", "1"}}) {
  return {output.path(), made.provenance(), key};
}

TEST(ResultFolder, GivesBackWhatWasSaved) {
  const TemporaryFolder output;
  const MadeResult made;
  EXPECT_FALSE(folder_of(output, made).current().has_value());
  folder_of(output, made).save(made.document(), kConfusion);
  const auto stored = folder_of(output, made).current();
  ASSERT_TRUE(stored.has_value());
  EXPECT_EQ(stored->dump(), made.document().dump());  // to the digit
  EXPECT_EQ(folder_of(output, made).confusion()->counts, kConfusion.counts);
  EXPECT_THAT(read_text_file(folder_of(output, made).path() + "/per_class.csv"), HasSubstr("a,3,1,"));
}

TEST(ResultFolder, IsNamedByProtocolSplitAndWhatElseMakesTheResult) {
  const TemporaryFolder output;
  const auto name = [](const MadeResult& made) { return result_name(made.provenance()); };
  EXPECT_THAT(name({}), StartsWith("ucf101-linear-v1-split1-"));
  EXPECT_THAT(name({.sets = {"eval.clips=5"}}), StartsWith("ucf101-linear-v1-changed-split1-"));
  EXPECT_THAT(name({.sets = {"data.format=folder"}}), testing::Not(HasSubstr("split")));
  EXPECT_NE(name({}), name({.sets = {"seed=2"}}));
  EXPECT_NE(name({}), name({.training_seed = 2}));
  EXPECT_NE(name({}), name({.weights = "untrained"}));
  EXPECT_NE(name({}), name({.test_videos = "others"}));
  const Document mean = mean_of_splits({MadeResult{}.document(), MadeResult{.sets = {"data.split=2"}}.document()});
  EXPECT_THAT(result_name(mean), StartsWith("ucf101-linear-v1-splits1,2-"));
}

TEST(ResultFolder, DoesNotGiveBackWhatIsNoLongerTrue) {
  const TemporaryFolder output;
  const MadeResult made;
  const auto save = [&] { folder_of(output, made).save(made.document(), kConfusion); };
  const auto current = [&](const ResultKey& key = {{"k", "1"}}) {
    return folder_of(output, made, key).current().has_value();
  };
  save();
  EXPECT_TRUE(current());
  EXPECT_FALSE(current({{"k", "2"}}));
  EXPECT_FALSE(current({{"k", "1"}, {"more", "1"}}));
  EXPECT_FALSE(current({}));
  const std::string result = folder_of(output, made).path() + "/result.json";
  std::string text = read_text_file(result);
  write_file_atomically(result, text.replace(text.find("0.5"), 3, "0.9"));  // somebody's hand
  EXPECT_FALSE(current());
  save();
  write_file_atomically(folder_of(output, made).path() + "/confusion.csv", "");
  EXPECT_FALSE(current());
  save();
  std::filesystem::remove(result);
  EXPECT_FALSE(current());
  save();
  write_file_atomically(folder_of(output, made).path() + "/key.json", "{");  // a full disk
  EXPECT_FALSE(current());
}

TEST(ResultFolder, StartsTrainingOverUnderAnotherKey) {
  const TemporaryFolder output;
  EXPECT_FALSE(folder_of(output, {}).begin_training());  // nothing there
  EXPECT_FALSE(folder_of(output, {}).begin_training());  // the same: it may resume
  EXPECT_TRUE(folder_of(output, {}, {{"k", "2"}}).begin_training());
}

TEST(ResultKey, ChangesWithEverythingThatADigitDependsOn) {
  const TemporaryFolder files;
  Dataset test;
  test.videos = {{files.write("a.mp4", "first"), 0}};
  const auto key = [&](const std::vector<std::string>& sets, const MadeResult& made = {}) {
    return result_key(load_run_config("ucf101_linear", sets), made.provenance(), {}, test);
  };
  const ResultKey before = key({});
  EXPECT_EQ(key({"output=elsewhere", "loader.workers=2", "loader.prefetch=5"}), before);
  for (const char* set : {"eval.batch=1", "loader.decode_deadline=1", "eval.linear.momentum=0.5", "data.max_bad=0.5",
                          "train.channels_last=false", "input.range=unit"}) {
    EXPECT_NE(key({set}), before) << set;
  }
  EXPECT_NE(key({}, {.weights = "other.safetensors"}), before);
  EXPECT_NE(key({}, {.training_seed = 2}), before);
  EXPECT_EQ(before.at("program").size(), 16U);
  files.write("a.mp4", "replaced by another video");
  EXPECT_NE(key({}), before);
  std::filesystem::remove(files / "a.mp4");
  EXPECT_NE(key({}), before);
}

}  // namespace
}  // namespace cstp
