#include <gmock/gmock.h>

#include "cstp/core/error.h"
#include "cstp/data/dataset.h"
#include "temporary_folder.h"

namespace cstp {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;

std::vector<std::string> paths_in(const Dataset& dataset, const TemporaryFolder& folder) {
  std::vector<std::string> paths;
  for (const VideoRecord& video : dataset.videos) paths.push_back(video.path.substr(folder.path().size() + 1));
  return paths;
}

std::vector<int64_t> labels_of(const Dataset& dataset) {
  std::vector<int64_t> labels;
  for (const VideoRecord& video : dataset.videos) labels.push_back(video.label);
  return labels;
}

DataOptions folder_at(const TemporaryFolder& folder) {
  DataOptions options;
  options.root = folder.path();
  return options;
}

TEST(FolderFormat, NumbersClassesInByteOrderAndFindsNestedVideos) {
  TemporaryFolder data;
  for (const char* name : {"train/b/2.avi", "train/b/10.MP4", "train/B/x.mkv", "train/a b/deep/er/v.webm",
                           "train/a b/v.avi", "train/b/notes.txt", "train/b/.hidden.avi", "train/.git/x.avi"}) {
    data.write(name);
  }
  const Dataset dataset = open_dataset(folder_at(data), Split::train);
  EXPECT_THAT(dataset.classes, ElementsAre("B", "a b", "b"));  // upper case first: bytes, not a dictionary
  EXPECT_THAT(paths_in(dataset, data), ElementsAre("train/B/x.mkv", "train/a b/deep/er/v.webm", "train/a b/v.avi",
                                                   "train/b/10.MP4", "train/b/2.avi"));
  EXPECT_THAT(labels_of(dataset), ElementsAre(0, 1, 1, 2, 2));
  EXPECT_THAT(dataset.order, HasSubstr("byte order"));
}

TEST(FolderFormat, TakesTheRootWhereThereAreNoSplits) {
  TemporaryFolder data;
  data.write("kick/a.avi");
  data.write("hug/b.avi");
  const Dataset dataset = open_dataset(folder_at(data), Split::train);
  EXPECT_THAT(dataset.classes, ElementsAre("hug", "kick"));
  const std::string message = message_of<DataError>([&] { open_dataset(folder_at(data), Split::test); });
  EXPECT_THAT(message, HasSubstr("data.test"));  // never tested on the training videos unasked
}

TEST(FolderFormat, TakesValWhereThereIsNoTest) {
  TemporaryFolder data;
  data.write("train/a/1.avi");
  data.write("val/a/2.avi");
  EXPECT_THAT(paths_in(open_dataset(folder_at(data), Split::test), data), ElementsAre("val/a/2.avi"));
  data.write("test/a/3.avi");
  EXPECT_THAT(paths_in(open_dataset(folder_at(data), Split::test), data), ElementsAre("test/a/3.avi"));
}

TEST(FolderFormat, TakesTheSubfoldersItIsTold) {
  TemporaryFolder data;
  data.write("one/a/1.avi");
  data.write("two/a/2.avi");
  DataOptions options = folder_at(data);
  options.train = "one";
  options.test = data / "two";
  EXPECT_THAT(paths_in(open_dataset(options, Split::train), data), ElementsAre("one/a/1.avi"));
  EXPECT_THAT(paths_in(open_dataset(options, Split::test), data), ElementsAre("two/a/2.avi"));
  options.train = "three";
  EXPECT_THAT(message_of<DataError>([&] { open_dataset(options, Split::train); }), HasSubstr("three"));
}

TEST(FolderFormat, LabelsTheTestSplitWithTheClassesOfTraining) {
  TemporaryFolder data;
  for (const char* name : {"train/a/1.avi", "train/b/1.avi", "train/c/1.avi", "test/c/2.avi"}) data.write(name);
  const Dataset test = open_dataset(folder_at(data), Split::test);
  EXPECT_THAT(test.classes, ElementsAre("a", "b", "c"));
  EXPECT_THAT(labels_of(test), ElementsAre(2));
  data.write("test/d/2.avi");
  const std::string message = message_of<DataError>([&] { open_dataset(folder_at(data), Split::test); });
  EXPECT_THAT(message, HasSubstr("'d'"));
}

TEST(FolderFormat, ObeysAClassFile) {
  TemporaryFolder data;
  for (const char* name : {"train/a/1.avi", "train/b/1.avi"}) data.write(name);
  DataOptions options = folder_at(data);
  options.class_file = data.write("classes.txt", "1 b\r\n2 a\r\n3 never seen\r\n");
  const Dataset dataset = open_dataset(options, Split::train);
  EXPECT_THAT(dataset.classes, ElementsAre("b", "a", "never seen"));
  EXPECT_THAT(paths_in(dataset, data), ElementsAre("train/b/1.avi", "train/a/1.avi"));
  options.class_file = data.write("classes.txt", "a\n");
  EXPECT_THAT(message_of<DataError>([&] { open_dataset(options, Split::train); }), HasSubstr("'b'"));
}

TEST(FolderFormat, DoesNotTakeAFolderWithoutVideosForAClass) {
  TemporaryFolder data;
  data.write("a/1.avi");
  data.write("annotations/list.txt");
  EXPECT_THAT(open_dataset(folder_at(data), Split::train).classes, ElementsAre("a"));
}

TEST(FolderFormat, ReadsAFlatFolderAsUnlabelled) {
  TemporaryFolder data;
  data.write("x #1.avi");
  data.write("-y.mp4");
  const Dataset dataset = open_dataset(folder_at(data), Split::train);
  EXPECT_TRUE(dataset.classes.empty());
  EXPECT_THAT(paths_in(dataset, data), ElementsAre("-y.mp4", "x #1.avi"));
  EXPECT_THAT(labels_of(dataset), ElementsAre(-1, -1));
}

TEST(FolderFormat, KeepsTheBytesOfNames) {
  TemporaryFolder data;
  const std::string latin1 = "caf\xE9/\xFF\xFE.avi";  // no UTF-8
  data.write(latin1);
  EXPECT_THAT(paths_in(open_dataset(folder_at(data), Split::train), data), ElementsAre(latin1));
}

TEST(FolderFormat, SaysWhatIsMissing) {
  TemporaryFolder data;
  EXPECT_THAT(message_of<DataError>([&] { open_dataset(folder_at(data), Split::train); }), HasSubstr("no videos"));
  DataOptions options;
  options.root = data / "nowhere";
  EXPECT_THAT(message_of<DataError>([&] { open_dataset(options, Split::train); }), HasSubstr("nowhere"));
  options.root = "";
  EXPECT_THAT(message_of<ConfigError>([&] { open_dataset(options, Split::train); }), HasSubstr("data.root"));
}

TEST(FolderFormat, EndsWhereALinkLeadsBackUp) {
  TemporaryFolder data;
  data.write("a/1.avi");
  std::filesystem::create_directory_symlink(data.path(), data / "a/loop");
  EXPECT_THAT(message_of<DataError>([&] { open_dataset(folder_at(data), Split::train); }), HasSubstr("link"));
}

}  // namespace
}  // namespace cstp
