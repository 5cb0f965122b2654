#include <gmock/gmock.h>

#include <map>
#include <set>

#include "cstp/core/config.h"
#include "cstp/core/error.h"
#include "cstp/data/dataset.h"
#include "temporary_folder.h"

namespace cstp {
namespace {

using ::testing::HasSubstr;

/// `counts` videos of each class, classes taking turns as long as they last.
Dataset made(const std::vector<int64_t>& counts) {
  Dataset dataset;
  dataset.name = "made train";
  for (size_t k = 0; k < counts.size(); ++k) dataset.classes.push_back("class" + std::to_string(k));
  for (int64_t i = 0; i < 200; ++i) {
    for (size_t k = 0; k < counts.size(); ++k) {
      if (i >= counts[k]) continue;
      dataset.videos.push_back({std::to_string(k) + "/" + std::to_string(i) + ".mp4", static_cast<int64_t>(k)});
    }
  }
  return dataset;
}

std::map<int64_t, int64_t> per_class(const Dataset& dataset) {
  std::map<int64_t, int64_t> counts;
  for (const VideoRecord& video : dataset.videos) ++counts[video.label];
  return counts;
}

std::set<std::string> paths(const Dataset& dataset) {
  std::set<std::string> all;
  for (const VideoRecord& video : dataset.videos) all.insert(video.path);
  return all;
}

TEST(ClassBalanced, TakesAsManyOfEveryClass) {
  const Dataset tenth = class_balanced(made({100, 150, 50}), 0.1, 1);
  EXPECT_EQ(per_class(tenth), (std::map<int64_t, int64_t>{{0, 10}, {1, 10}, {2, 10}}));
  EXPECT_EQ(tenth.classes.size(), 3U);
  EXPECT_EQ(tenth.name, "10 % of made train");
}

TEST(ClassBalanced, TakesAtLeastOneAndAtMostAll) {
  EXPECT_EQ(per_class(class_balanced(made({100, 100}), 0.001, 1)), (std::map<int64_t, int64_t>{{0, 1}, {1, 1}}));
  EXPECT_EQ(per_class(class_balanced(made({100, 3}), 0.5, 1)), (std::map<int64_t, int64_t>{{0, 26}, {1, 3}}));
}

TEST(ClassBalanced, DependsOnTheSeedAloneAndKeepsTheOrder) {
  const Dataset whole = made({100, 100});
  const Dataset one = class_balanced(whole, 0.1, 1);
  EXPECT_EQ(video_list(one), video_list(class_balanced(whole, 0.1, 1)));
  EXPECT_NE(video_list(one), video_list(class_balanced(whole, 0.1, 2)));
  size_t next = 0;
  for (const VideoRecord& video : whole.videos) {
    if (next < one.videos.size() && video.path == one.videos[next].path) ++next;
  }
  EXPECT_EQ(next, one.videos.size());
}

TEST(ClassBalanced, ALargerShareContainsASmallerOne) {
  const Dataset whole = made({100, 100, 40});
  const std::set<std::string> hundredth = paths(class_balanced(whole, 0.01, 7));
  const std::set<std::string> tenth = paths(class_balanced(whole, 0.1, 7));
  for (const std::string& path : hundredth) EXPECT_TRUE(tenth.contains(path)) << path;
}

TEST(ClassBalanced, LeavesUnlabelledVideosOutAndWantsLabels) {
  Dataset dataset = made({10});
  dataset.videos.push_back({"nameless.mp4", -1});
  EXPECT_EQ(class_balanced(dataset, 0.5, 1).videos.size(), 5U);
  Dataset unlabelled;
  unlabelled.name = "list train";
  unlabelled.videos = {{"a.mp4", -1}};
  EXPECT_THAT(message_of<DataError>([&] { class_balanced(unlabelled, 0.5, 1); }), HasSubstr("wants class labels"));
}

TEST(ClassBalanced, IsListedOneVideoALine) {
  Dataset dataset = made({1, 1});
  EXPECT_EQ(video_list(dataset), "0/0.mp4 0\n1/0.mp4 1\n");
}

TEST(DataShare, CutsTheTrainingSplitAndNotTheTestSplit) {
  TemporaryFolder data;
  for (int i = 0; i < 10; ++i) {
    for (const char* part : {"train/a/", "train/b/", "test/a/", "test/b/"})
      data.write(part + std::to_string(i) + ".avi");
  }
  DataOptions options;
  options.root = data.path();
  options.share = 0.2;
  EXPECT_EQ(per_class(open_dataset(options, Split::train)), (std::map<int64_t, int64_t>{{0, 2}, {1, 2}}));
  EXPECT_EQ(open_dataset(options, Split::test).videos.size(), 20U);
  EXPECT_THROW(ConfigNode::parse("{share: 0}", "here").read<DataOptions>("data"), ConfigError);
}

}  // namespace
}  // namespace cstp
