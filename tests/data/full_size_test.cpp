/// The official data sets at their real size: every name found, every count right, and how long opening them takes.
/// Times are printed and recorded, never asserted: a loaded machine is no defect.
#include <gmock/gmock.h>

#include <chrono>
#include <iostream>
#include <set>

#include "cstp/core/process.h"
#include "cstp/data/dataset.h"
#include "official_trees.h"

namespace cstp {
namespace {

using ::testing::HasSubstr;

double peak_mib() { return static_cast<double>(peak_memory_bytes()) / (1 << 20); }

/// Opens a split and says what that took.
Dataset open_timed(const DataOptions& options, Split split) {
  const double memory = peak_mib();
  const double cpu = cpu_seconds();
  const auto start = std::chrono::steady_clock::now();
  Dataset dataset = open_dataset(options, split);
  const double wall = std::chrono::duration<double>(std::chrono::steady_clock::now() - start).count();
  const auto milliseconds = [](double seconds) { return static_cast<int>(seconds * 1000 + 0.5); };
  std::cout << dataset.name << ": " << count_text(std::ssize(dataset.videos)) << " videos in " << milliseconds(wall)
            << " ms (CPU " << milliseconds(cpu_seconds() - cpu) << " ms, peak memory +"
            << static_cast<int>(peak_mib() - memory + 0.5) << " MiB)\n";
  std::string key = dataset.name;
  for (char& c : key) c = c == ' ' ? '_' : c;
  ::testing::Test::RecordProperty(key + "_milliseconds", milliseconds(wall));
  return dataset;
}

std::string file_of(const VideoRecord& video) { return video.path.substr(video.path.rfind('/') + 1); }

DataOptions options_for(const std::string& format, const std::string& root) {
  DataOptions options;
  options.format = format;
  options.root = root;
  return options;
}

TEST(FullSizeUcf101, HasItsOfficialCountsAndNoGroupOnBothSides) {
  const TemporaryFolder data;
  make_ucf101(data);
  DataOptions options = options_for("ucf101", data / "UCF-101");
  constexpr std::array<std::array<size_t, 2>, 3> kCounts = {{{9537, 3783}, {9586, 3734}, {9624, 3696}}};
  for (int64_t split = 1; split <= 3; ++split) {
    options.split = split;
    const Dataset train = open_timed(options, Split::train);
    const Dataset test = open_timed(options, Split::test);
    EXPECT_EQ(train.videos.size(), kCounts[static_cast<size_t>(split - 1)][0]);
    EXPECT_EQ(test.videos.size(), kCounts[static_cast<size_t>(split - 1)][1]);
    EXPECT_EQ(train.classes, ucf101_classes());
    EXPECT_EQ(train.class_map_hash(), test.class_map_hash());
    std::set<std::string> names, groups;  // a group is "v_Archery_g08"
    for (const VideoRecord& video : train.videos) {
      names.insert(file_of(video));
      groups.insert(file_of(video).substr(0, file_of(video).rfind('_')));
    }
    for (const VideoRecord& video : test.videos) {
      names.insert(file_of(video));
      EXPECT_FALSE(groups.contains(file_of(video).substr(0, file_of(video).rfind('_')))) << video.path;
    }
    EXPECT_EQ(names.size(), 13320U);
  }
}

TEST(FullSizeUcf101, LabelsTheClassesThatOtherOrdersConfuse) {
  const TemporaryFolder data;
  make_ucf101(data);
  const Dataset train = open_timed(options_for("ucf101", data / "UCF-101"), Split::train);
  ASSERT_EQ(train.classes.size(), 101U);
  EXPECT_EQ(train.classes[34], "Hammering");  // byte order would exchange them
  EXPECT_EQ(train.classes[35], "HammerThrow");
  EXPECT_EQ(train.classes[46], "JumpingJack");
  EXPECT_EQ(train.classes[47], "JumpRope");
  int64_t pushups = 0;
  for (const VideoRecord& video : train.videos) {
    const bool named = file_of(video).starts_with("v_HandStandPushups_");
    EXPECT_EQ(named, video.label == 36) << video.path;  // "37 HandstandPushups" in classInd.txt
    pushups += named ? 1 : 0;
  }
  EXPECT_GE(pushups, 18 * 4);
}

TEST(FullSizeHmdb51, HasSeventyTrainingAndThirtyTestVideosAClassInEverySplit) {
  const TemporaryFolder data;
  make_hmdb51(data);
  ASSERT_EQ(hmdb51_classes().size(), 51U);
  DataOptions options = options_for("hmdb51", data / "hmdb51_org");
  for (int64_t split = 1; split <= 3; ++split) {
    options.split = split;
    const Dataset train = open_timed(options, Split::train);
    const Dataset test = open_timed(options, Split::test);
    EXPECT_EQ(train.videos.size(), 3570U);
    EXPECT_EQ(test.videos.size(), 1530U);
    EXPECT_EQ(train.classes, hmdb51_classes());
    EXPECT_EQ(train.class_map_hash(), test.class_map_hash());
    std::vector<int64_t> counts(51);
    std::set<std::string> paths;
    for (const Dataset* part : {&train, &test}) {
      for (const VideoRecord& video : part->videos) {
        counts[static_cast<size_t>(video.label)] += part == &train ? 1 : 1000;
        paths.insert(video.path);
        EXPECT_THAT(video.path, HasSubstr("/" + part->classes[static_cast<size_t>(video.label)] + "/"));
      }
    }
    EXPECT_THAT(counts, ::testing::Each(30070));
    EXPECT_EQ(paths.size(), 5100U);
  }
}

TEST(FullSizeKinetics400, FindsEveryVideoThatIsLeftUnderEitherSpelling) {
  const TemporaryFolder data;
  make_kinetics400(data);
  const DataOptions options = options_for("kinetics", data.path());
  const Dataset train = open_timed(options, Split::train);
  const int64_t gone = kKineticsTrain / 9;
  EXPECT_EQ(train.missing, gone);
  ASSERT_EQ(std::ssize(train.videos), kKineticsTrain - gone);
  const std::vector<std::string> labels = kinetics_labels();
  std::vector<std::string> sorted = labels;
  std::sort(sorted.begin(), sorted.end());
  ASSERT_EQ(train.classes, sorted);
  // The csv's order, and the label of the row that the file came from.
  size_t at = 0;
  for (int64_t i = 0; i < kKineticsTrain; ++i) {
    if (i % 9 == 8) continue;
    const VideoRecord& video = train.videos[at++];
    ASSERT_THAT(file_of(video), ::testing::StartsWith(youtube_id(static_cast<uint64_t>(i)) + "_"));
    ASSERT_EQ(train.classes[static_cast<size_t>(video.label)], labels[static_cast<size_t>(i % 400)]);
  }
  const Dataset val = open_timed(options, Split::test);  // validate.csv, not test.csv, which has no labels
  EXPECT_EQ(val.missing, 0);
  ASSERT_EQ(std::ssize(val.videos), kKineticsVal);
  EXPECT_EQ(val.class_map_hash(), train.class_map_hash());
  for (const VideoRecord& video : val.videos) ASSERT_GE(video.label, 0);
}

}  // namespace
}  // namespace cstp
