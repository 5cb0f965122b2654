#include <gmock/gmock.h>

#include <chrono>

#include "cstp/core/error.h"
#include "cstp/data/dataset.h"
#include "temporary_folder.h"

namespace cstp {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::StartsWith;

/// A list format over the given training and test lists.
struct Lists {
  TemporaryFolder folder;
  DataOptions options;

  explicit Lists(const std::string& train, const std::string& test = "") {
    options.format = "list";
    options.root = folder.path();
    options.train = folder.write("train.txt", train);
    if (!test.empty()) options.test = folder.write("test.txt", test);
  }
  Dataset open(Split split = Split::train) const { return open_dataset(options, split); }
  std::vector<std::string> read(Split split = Split::train) const {  // "name=label"
    std::vector<std::string> result;
    for (const VideoRecord& video : open(split).videos) {
      result.push_back(video.path.substr(folder.path().size() + 1) + "=" + std::to_string(video.label));
    }
    return result;
  }
  std::string error(Split split = Split::train) const {
    return message_of<DataError>([&] { open(split); });
  }
};

TEST(ListFormat, TakesTheLabelAfterTheLastSeparator) {
  const Lists lists("z.avi 0\na b.mp4 1\n# not a comment.avi 2\nsp  aced, here.mkv,1\ntab\t1.AVI\t0\ndouble.avi  2\n");
  EXPECT_THAT(lists.read(), ElementsAre("z.avi=0", "a b.mp4=1", "# not a comment.avi=2", "sp  aced, here.mkv=1",
                                        "tab\t1.AVI=0", "double.avi=2"));
  EXPECT_THAT(lists.open().classes, ElementsAre("0", "1", "2"));
}

TEST(ListFormat, ReadsCarriageReturnsBlankLinesAndAMissingFinalNewline) {
  EXPECT_THAT(Lists("\xEF\xBB\xBF"
                    "a.avi 0\r\n\r\nb.avi 1 \r\n   \r\nc.avi 0")
                  .read(),
              ElementsAre("a.avi=0", "b.avi=1", "c.avi=0"));
}

TEST(ListFormat, ReadsOneColumnAsUnlabelled) {
  const Lists lists("a b 3.avi\nc.avi\n");
  EXPECT_THAT(lists.read(), ElementsAre("a b 3.avi=-1", "c.avi=-1"));
  EXPECT_TRUE(lists.open().classes.empty());
}

TEST(ListFormat, ReadsThreeColumnsWithFrameCounts) {
  EXPECT_THAT(Lists("Class/v x.avi 1 164\nb.avi 0 9\n").read(), ElementsAre("Class/v x.avi=1", "b.avi=0"));
  EXPECT_THAT(Lists("Class/v_x 1 164\nb c 0 9\n").read(), ElementsAre("Class/v_x=1", "b c=0"));  // no extensions
  EXPECT_THAT(Lists("Class/v_x 1\nb c 0\n").read(), ElementsAre("Class/v_x=1", "b c=0"));
}

TEST(ListFormat, LeavesAbsolutePathsAlone) {
  Lists lists("/somewhere/a.avi 0\n");
  EXPECT_EQ(lists.open().videos[0].path, "/somewhere/a.avi");
  lists.options.root = "";
  EXPECT_EQ(lists.open().videos[0].path, "/somewhere/a.avi");
}

TEST(ListFormat, FindsTheListInTheRootToo) {
  Lists lists("a.avi 0\n");
  lists.options.train = "train.txt";
  EXPECT_EQ(lists.open().videos.size(), 1U);
}

TEST(ListFormat, NamesTheLineOfABadLabel) {
  const auto at = [](const Lists& lists, const char* line) { return StartsWith(lists.folder / line); };
  const Lists negative("a.avi 0\nb.avi -1\n");
  EXPECT_THAT(negative.error(), at(negative, "train.txt:2: label -1"));
  const Lists word("a.avi 0\nb.avi 1\nc.avi cat\n");
  EXPECT_THAT(word.error(), at(word, "train.txt:3: label 'cat'"));
  const Lists fraction("a.avi 0.5\n");
  EXPECT_THAT(fraction.error(), at(fraction, "train.txt:1: label '0.5'"));
  const Lists huge("a.avi 0\n\nb.avi 99999999999999999999\n");
  EXPECT_THAT(huge.error(), at(huge, "train.txt:3:"));
  const Lists missing("a.avi 0\nb.avi\n");
  EXPECT_THAT(missing.error(), at(missing, "train.txt:2: reads as `path`"));
}

TEST(ListFormat, CountsClassesInTheTrainingList) {
  const Lists good("a.avi 0\nb.avi 4\n", "c.avi 3\n");
  EXPECT_EQ(good.open(Split::test).classes.size(), 5U);
  const Lists beyond("a.avi 0\nb.avi 4\n", "c.avi 3\nd.avi 5\n");
  EXPECT_THAT(beyond.error(Split::test), StartsWith(beyond.folder / "test.txt:2: label 5 is outside the 5 classes"));
}

TEST(ListFormat, TakesNamesFromAClassFile) {
  Lists lists("a.avi 0\nb.avi 1\n");
  lists.options.class_file = lists.folder.write("names.txt", "walk\nrun fast\njump\n");
  EXPECT_THAT(lists.open().classes, ElementsAre("walk", "run fast", "jump"));
  lists.options.class_file = lists.folder.write("names.txt", "walk\n");
  EXPECT_THAT(lists.error(), HasSubstr("train.txt:2: label 1"));
  lists.options.class_file = lists.folder.write("names.txt", "walk\nwalk\n");
  EXPECT_THAT(lists.error(), HasSubstr("'walk' stands twice"));
}

TEST(ListFormat, SaysWhatItLacks) {
  EXPECT_THAT(Lists("\n\n").error(), HasSubstr("empty"));
  Lists lists("a.avi 0\n");
  EXPECT_THAT(message_of<ConfigError>([&] { lists.open(Split::test); }), HasSubstr("data.test"));
  lists.options.train = "absent.txt";
  EXPECT_THAT(lists.error(), HasSubstr("absent.txt"));
}

TEST(ListFormat, OpensKineticsSizedListsQuickly) {
  std::string text;
  for (int i = 0; i < 240000; ++i)
    text += "some class/abcdefghijk_000010_000020_" + std::to_string(i) + ".mp4 " + std::to_string(i % 400) + "\n";
  const Lists lists(text);
  const auto start = std::chrono::steady_clock::now();
  EXPECT_EQ(lists.open().videos.size(), 240000U);
  const double seconds = std::chrono::duration<double>(std::chrono::steady_clock::now() - start).count();
  EXPECT_LT(seconds, 5);  // a fifth of a second on an idle core; sanitizers are slower
  RecordProperty("milliseconds", static_cast<int>(seconds * 1000));
}

}  // namespace
}  // namespace cstp
