// Packed data sets as they are opened: the same records, labels and frames as those that were packed.
#include <gmock/gmock.h>

#include <algorithm>
#include <chrono>
#include <cstring>
#include <set>

#include "cstp/core/error.h"
#include "cstp/data/clip_loader.h"
#include "cstp/data/epoch_order.h"
#include "cstp/data/flow_store.h"
#include "cstp/data/source_group.h"
#include "cstp/sampling/draw.h"
#include "cstp/video/packed_path.h"
#include "cstp/video/video_reader.h"
#include "pack_index.h"
#include "pack_run.h"

namespace cstp {
namespace {

namespace fs = std::filesystem;
using ::testing::AllOf;
using ::testing::HasSubstr;

std::string name_of(const VideoRecord& video) { return parse_packed_path(video.path)->name; }

TEST_F(PackTest, OpensAsTheDataSetThatWasPacked) {
  make_scenes();
  pack_videos(setup());
  for (const Split split : {Split::train, Split::test}) {
    const Dataset original = open_dataset(source(), split), here = open_dataset(packed(), split);
    EXPECT_EQ(here.classes, original.classes);
    EXPECT_EQ(here.class_map_hash(), original.class_map_hash());
    ASSERT_EQ(here.videos.size(), original.videos.size());
    for (size_t i = 0; i < here.videos.size(); ++i) {
      EXPECT_EQ(here.videos[i].label, original.videos[i].label);
      EXPECT_EQ(data() + "/" + name_of(here.videos[i]), original.videos[i].path);
      EXPECT_EQ(VideoReader(here.videos[i].path).info().frames, 17);
    }
    EXPECT_EQ(here.missing, 0);
    EXPECT_THAT(here.order, HasSubstr(original.order));
  }
}

TEST_F(PackTest, ItsHashesTellWhatTheVideosWentThroughAndNotHowTheyLie) {
  make_scenes();
  PackSetup made = setup();
  pack_videos(made);
  const auto opened = [&](const std::string& folder) {
    return open_dataset({.format = "packed", .root = folder}, Split::train);
  };
  const Dataset first = opened(pack());
  EXPECT_NE(first.data_hash(pack()), open_dataset(source(), Split::train).data_hash(data()));
  made.folder = folder_ / "elsewhere";
  made.settings.shard_mb = 7;
  pack_videos(made);
  EXPECT_EQ(opened(made.folder).data_hash(made.folder), first.data_hash(pack()));
  made.folder = folder_ / "intra";
  made.settings.gop = 1;
  pack_videos(made);
  EXPECT_NE(opened(made.folder).data_hash(made.folder), first.data_hash(pack()));

  const std::string files = first.files_hash();
  flip_byte(pack() + "/shard-000000.tar", 3000);
  fs::last_write_time(pack() + "/shard-000000.tar", fs::file_time_type::clock::now() + std::chrono::seconds(2));
  EXPECT_NE(opened(pack()).files_hash(), files);
}

TEST_F(PackTest, GroupsAndFlowFilesAreThoseOfTheOriginal) {
  const std::string ucf = "/train/YoYo/v_YoYo_g25_c01.avi";
  write_noise(data() + ucf, 2, 1);
  pack_videos(setup(false));
  const Dataset train = open_dataset(packed(), Split::train);
  EXPECT_EQ(source_group(train.videos.at(0).path), "v_YoYo_g25");
  EXPECT_EQ(flow_file_name("flow", pack(), train.videos.at(0).path), flow_file_name("flow", data(), data() + ucf));
}

TEST_F(PackTest, NamesAreBytes) {
  write_noise(data() + "/train/a b/x #1+2 \xff\xfe.mp4", 2, 1);  // no UTF-8
  write_noise(data() + "/train/\xc3\xa4/\xe2\x82\xac.mp4", 2, 2);
  pack_videos(setup(false));
  const Dataset original = open_dataset(source(), Split::train), here = open_dataset(packed(), Split::train);
  EXPECT_EQ(here.classes, original.classes);
  for (size_t i = 0; i < 2; ++i) EXPECT_EQ(data() + "/" + name_of(here.videos[i]), original.videos[i].path);
}

TEST_F(PackTest, OfficialSplitsShareTheirVideos) {
  make_scenes();
  PackSetup made = setup();
  std::swap(made.inputs[0].dataset, made.inputs[1].dataset);  // split 2 is the other way round
  for (PackInput& input : made.inputs) input.split = 2;
  for (const PackInput& input : setup().inputs) made.inputs.push_back({input.dataset, input.part, 1});
  const PackResult result = pack_videos(made);
  EXPECT_EQ(result.videos, 10);
  DataOptions options = packed();
  options.split = 1;
  EXPECT_EQ(open_dataset(options, Split::train).videos.size(), 6U);
  options.split = 2;
  EXPECT_EQ(open_dataset(options, Split::train).videos.size(), 4U);
  EXPECT_EQ(open_dataset(options, Split::test).videos.size(), 6U);
  options.split = 3;
  EXPECT_THAT(message_of<DataError>([&] { open_dataset(options, Split::test); }),
              AllOf(HasSubstr("official splits 2, 1"), HasSubstr("data.split is 3")));
  EXPECT_THAT(read_text_file(pack() + "/shard-000000.tar"), HasSubstr(R"("splits":{"2":"test","1":"train"})"));
}

TEST_F(PackTest, WhatIsWrongIsSaidWhenItIsOpened) {
  make_scenes();
  DataOptions options = packed();
  const auto said = [&] { return message_of<DataError>([&] { open_dataset(options, Split::train); }); };
  EXPECT_THAT(said(), HasSubstr("is no folder"));
  options.root = data();
  EXPECT_THAT(said(), AllOf(HasSubstr("holds no packed videos"), HasSubstr("cstp data pack")));
  options.root = pack();
  pack_videos(setup(false));
  EXPECT_THAT(message_of<DataError>([&] { open_dataset(options, Split::test); }), HasSubstr("holds no test videos"));

  const std::string index = pack() + "/index.jsonl", good = read_text_file(index);
  const auto with = [&](const std::string& text) {
    std::ofstream(index, std::ios::binary) << text;
    return said();
  };
  EXPECT_THAT(with(good.substr(0, good.size() / 2)), HasSubstr("index.jsonl: is cut short or damaged"));
  EXPECT_THAT(with(good.substr(0, good.rfind("\n{\"end\"") + 1)), HasSubstr("is cut short or damaged"));
  EXPECT_THAT(with(""), HasSubstr("is cut short or damaged"));
  std::string other = good;
  const size_t label = other.find("\"labels\":[") + 10;
  other[label] = other[label] == '0' ? '1' : '0';
  EXPECT_THAT(with(other), HasSubstr("is cut short or damaged"));
  other = good;
  other[other.find("{\"video\"")] = 'x';
  EXPECT_THAT(with(other), HasSubstr("index.jsonl:3: is damaged"));
  other = good;
  other.replace(other.find("cstp pack 1"), 11, "cstp pack 9");
  EXPECT_THAT(with(other), AllOf(HasSubstr("'cstp pack 9'"), HasSubstr("reads 'cstp pack 1'")));

  std::ofstream(index, std::ios::binary) << good;
  const std::string shard = pack() + "/shard-000000.tar";
  const auto size = fs::file_size(shard);
  fs::resize_file(shard, size - 3000);
  EXPECT_THAT(said(), AllOf(HasSubstr("shard-000000.tar: was cut short"), HasSubstr("copy it from where")));
  fs::remove(shard);
  EXPECT_THAT(said(), HasSubstr("shard-000000.tar: is missing"));
}

TEST_F(PackTest, AShareOfItIsThatOfTheOriginal) {
  make_scenes();
  pack_videos(setup());
  DataOptions from = source(), to = packed();
  from.share = to.share = 0.5;
  const Dataset original = open_dataset(from, Split::train), here = open_dataset(to, Split::train);
  ASSERT_EQ(here.videos.size(), original.videos.size());
  for (size_t i = 0; i < here.videos.size(); ++i)
    EXPECT_EQ(data() + "/" + name_of(here.videos[i]), original.videos[i].path);
}

TEST_F(PackTest, ShardsAreReadInTheOrderThatTheyLieIn) {
  make_noise();
  pack_videos(setup(false));
  const Dataset train = open_dataset(packed(), Split::train);
  const auto shards = records_by_shard(train);
  ASSERT_GT(shards.size(), 1U);
  std::set<int64_t> seen;
  for (const auto& shard : shards) {
    int64_t offset = -1;
    for (const int64_t record : shard) {
      const auto path = parse_packed_path(train.videos[static_cast<size_t>(record)].path);
      EXPECT_EQ(path->shard, parse_packed_path(train.videos[static_cast<size_t>(shard[0])].path)->shard);
      EXPECT_GT(path->offset, offset);
      offset = path->offset;
      EXPECT_TRUE(seen.insert(record).second);
    }
  }
  EXPECT_EQ(seen.size(), 6U);
  // The data set lists its classes one after another; its shards do not.
  std::vector<int64_t> labels;
  for (const auto& shard : shards) {
    for (const int64_t record : shard) labels.push_back(train.videos[static_cast<size_t>(record)].label);
  }
  EXPECT_FALSE(std::is_sorted(labels.begin(), labels.end()));

  const Dataset original = open_dataset(source(), Split::train);
  EXPECT_THAT(message_of<ConfigError>([&] { training_order({.shuffle_buffer = 4}, original, 1, 2); }),
              AllOf(HasSubstr("data.shuffle_buffer"), HasSubstr("cstp data pack")));
}

/// The loader over a pack: the same clips as over the originals, in content; any number of workers.
TEST_F(PackTest, TheLoaderReadsItAsItReadsFiles) {
  make_scenes();
  pack_videos(setup());
  const auto load = [&](const DataOptions& options, int64_t workers) {
    const Dataset dataset = open_dataset(options, Split::train);
    const EpochOrder order = training_order(options, dataset, 3, 2);
    ClipLoader::Setup loading;
    loading.dataset = &dataset;
    loading.plan = [](const VideoInfo& info, Rng& rng) {
      SamplePlan plan;
      draw_window(info, 4, 2, rng, plan.views.emplace_back());
      return plan;
    };
    loading.place = [&](int64_t n) { return order.at(n); };
    loading.seed = 3;
    loading.last = 12;
    loading.batch = 2;
    loading.options.workers = workers;
    ClipLoader loader(loading);
    std::vector<Sample> samples;
    for (Batch batch = loader.next(); !batch.empty(); batch = loader.next()) {
      for (Sample& sample : batch) samples.push_back(std::move(sample));
    }
    return samples;
  };
  const auto from_files = load(source(), 1), one = load(packed(), 1), three = load(packed(), 3);
  ASSERT_EQ(one.size(), 12U);
  for (size_t i = 0; i < 12; ++i) {
    EXPECT_EQ(one[i].error, "");
    EXPECT_EQ(one[i].record, from_files[i].record);
    EXPECT_EQ(one[i].plan, from_files[i].plan);
    EXPECT_EQ(one[i].frame_numbers, three[i].frame_numbers);
    const auto bytes = static_cast<size_t>(one[i].video.width * one[i].video.height);
    EXPECT_EQ(std::memcmp(one[i].frames[0].y, three[i].frames[0].y, bytes), 0);
  }
  DataOptions buffered = packed();
  buffered.shuffle_buffer = 2;
  EXPECT_EQ(load(buffered, 2).size(), 12U);
}

}  // namespace
}  // namespace cstp
