#include "cstp/data/dataset.h"

#include <gmock/gmock.h>

#include "cstp/core/config.h"
#include "cstp/core/error.h"
#include "cstp/video/packed_path.h"
#include "pack_index.h"
#include "temporary_folder.h"

namespace cstp {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;

TEST(DataOptions, AreOneFlatSetOfKeysForEveryFormat) {
  for (const FormatRow& format : dataset_formats()) {
    const auto options =
        ConfigNode::parse(
            std::string("{format: ") + format.name +
                ", root: r, annotations: a, train: t, test: u, "
                "class_file: c, split: 2, videos: 9537, on_bad_video: error, max_bad: 0.1, shuffle_buffer: 5}",
            "here")
            .read<DataOptions>("data");
    EXPECT_EQ(options.format, format.name);
    EXPECT_EQ(options.videos, 9537);
  }
  EXPECT_THROW(ConfigNode::parse("{format: imagenet}", "here").read<DataOptions>("data"), ConfigError);
  EXPECT_THROW(ConfigNode::parse("{split: 4}", "here").read<DataOptions>("data"), ConfigError);
}

TEST(Dataset, OfAnUnknownFormatIsRefused) {
  DataOptions options;
  options.format = "lmdb";
  EXPECT_THAT(message_of<ConfigError>([&] { open_dataset(options, Split::train); }), HasSubstr("kinetics"));
}

TEST(Dataset,
     OpensWhateverCountTheConfigurationExpects) {  // any configuration takes any data; the difference is logged
  TemporaryFolder data;
  data.write("a/1.avi");
  DataOptions options;
  options.root = data.path();
  options.videos = 9537;
  EXPECT_EQ(open_dataset(options, Split::train).videos.size(), 1U);
}

TEST(Dataset, HashesDependOnOrderAndLabelsAndNotOnThePlace) {
  Dataset a, b;
  a.classes = {"x", "y"};
  b.classes = {"xy", ""};
  EXPECT_NE(a.class_map_hash(), b.class_map_hash());
  b.classes = {"y", "x"};
  EXPECT_NE(a.class_map_hash(), b.class_map_hash());
  a.videos = {{"/here/v/1.avi", 0}, {"/here/v/2.avi", 1}};
  b.videos = {{"/there/1.avi", 0}, {"/there/2.avi", 1}};
  EXPECT_EQ(a.data_hash("/here/v"), b.data_hash("/there/"));
  EXPECT_NE(a.data_hash("/here"), b.data_hash("/there"));
  b.videos[1].label = 0;
  EXPECT_NE(a.data_hash("/here/v"), b.data_hash("/there"));
  std::swap(a.videos[0], a.videos[1]);
  EXPECT_NE(a.data_hash("/here/v"), b.data_hash("/there"));
  EXPECT_EQ(a.data_hash("").size(), 16U);
}

/// Every format gives the same records in the same order each time, however the disk lists its files.
TEST(EveryFormat, HasAStableOrder) {
  TemporaryFolder data;
  for (const char* name : {"c/3.avi", "a/1.avi", "b/2.avi", "a/0.avi"}) data.write(name);
  data.write("classInd.txt", "1 c\n2 a\n3 b\n");
  data.write("trainlist01.txt", "b/2.avi 3\na/1.avi 2\nc/3.avi 1\n");
  for (const char* name : {"c", "a", "b"})
    data.write(std::string(name) + "_test_split1.txt", name == std::string("a") ? "1.avi 1\n" : "");
  data.write("list.txt", "c/3.avi 1\na/1.avi 0\n");
  data.write("all_train.csv", "label,youtube_id,time_start,time_end,split\na,1,0,1,train\n");
  data.write("a/1_000000_000001.mp4");
  data.write("index.jsonl",
             pack_index_text(
                 {.classes = {"a", "b"}, .sets = {{.part = "train", .order = "o", .videos = {1, 0}, .labels = {0, 1}}}},
                 {{.video = 0, .path = "x.avi", .offset = 512, .size = 1, .end = 1024},
                  {.video = 1, .path = "y.avi", .offset = 1536, .size = 1, .end = 2048}}));
  data.write("shard-000000.tar", std::string(2048, '\0'));
  for (const FormatRow& format : dataset_formats()) {
    DataOptions options;
    options.format = format.name;
    options.root = data.path();
    if (options.format == "list") options.train = "list.txt";
    const Dataset once = open_dataset(options, Split::train);
    const Dataset again = open_dataset(options, Split::train);
    EXPECT_EQ(once.data_hash(data.path()), again.data_hash(data.path())) << format.name;
    EXPECT_FALSE(once.order.empty()) << format.name;
    EXPECT_FALSE(once.videos.empty()) << format.name;
    for (const VideoRecord& video : once.videos) {
      EXPECT_GE(video.label, 0) << format.name;
      EXPECT_LT(video.label, std::ssize(once.classes)) << format.name;
      EXPECT_TRUE(std::filesystem::exists(file_holding(video.path))) << video.path;
    }
  }
}

/// The labelled real videos, where they are at hand.
TEST(FolderFormat, OpensRealFolders) {
  const char* real = std::getenv("CSTP_TEST_DATA");
  if (real == nullptr) GTEST_SKIP() << "CSTP_TEST_DATA is not set: no real videos to open";
  DataOptions options;
  options.root = std::string(real) + "/labelled/ut_interaction";
  const Dataset dataset = open_dataset(options, Split::train);
  EXPECT_THAT(dataset.classes, ElementsAre("handshake", "hug", "kick", "point", "punch", "push"));
  EXPECT_EQ(dataset.videos.size(), 120U);
}

}  // namespace
}  // namespace cstp
