// Writing packs: shards, index, resuming, what is wrong said.
#include "cstp/data/pack.h"

#include <gmock/gmock.h>
#include <sys/resource.h>

#include <csignal>
#include <cstdio>
#include <memory>
#include <nlohmann/json.hpp>

#include "cstp/core/error.h"
#include "pack_index.h"
#include "pack_run.h"
#include "tar_file.h"

namespace cstp {
namespace {

namespace fs = std::filesystem;
using ::testing::AllOf;
using ::testing::ElementsAre;
using ::testing::HasSubstr;

std::string output_of(const std::string& command) {
  const std::unique_ptr<FILE, int (*)(FILE*)> pipe(::popen((command + " 2>&1").c_str(), "r"), ::pclose);
  std::string out;
  for (int c = std::fgetc(pipe.get()); c != EOF; c = std::fgetc(pipe.get())) out += static_cast<char>(c);
  return out;
}
bool has_program(const std::string& name) { return !output_of("command -v " + name).empty(); }

TEST(TarFile, GoesOnBehindWhatIsThere) {
  TemporaryFolder folder;
  const std::string whole = folder / "whole.tar", parts = folder / "parts.tar";
  {
    TarWriter tar(whole, 0);
    EXPECT_EQ(tar.add("1.mp4", std::string(700, 'x')), 512);
    EXPECT_EQ(tar.bytes(), 512 + 1024);
    EXPECT_EQ(tar.add("1.json", "{}"), 2048);
    EXPECT_EQ(tar.add("2.mp4", ""), 3072);
    tar.finish();
  }
  { TarWriter(parts, 0).add("1.mp4", std::string(700, 'x')); }  // never finished
  EXPECT_EQ(fs::file_size(parts), 1536U);
  folder.write("tail", read_text_file(parts) + "half of something");
  fs::rename(folder / "tail", parts);
  {
    TarWriter tar(parts, 1536);
    EXPECT_EQ(tar.add("1.json", "{}"), 2048);
    tar.add("2.mp4", "");
    tar.finish();
  }
  EXPECT_EQ(read_text_file(parts), read_text_file(whole));
  const std::vector<TarMember> members = list_tar(whole);
  ASSERT_EQ(members.size(), 3U);
  EXPECT_EQ(members[1].name, "1.json");
  EXPECT_EQ(members[1].offset, 2048);
  EXPECT_EQ(members[0].size, 700);
  fs::resize_file(whole, 1000);
  EXPECT_THAT(message_of<DataError>([&] { list_tar(whole); }), HasSubstr("is no whole tar file"));
}

TEST_F(PackTest, SaysWhatItDid) {
  make_scenes();
  PackSetup made = setup();
  int64_t last = 0;
  made.progress = [&](int64_t done, int64_t all) {
    EXPECT_EQ(done, ++last);
    EXPECT_EQ(all, 10);
  };
  const PackResult result = pack_videos(made);
  EXPECT_EQ(result.videos, 10);
  EXPECT_EQ(result.made, 10);
  EXPECT_EQ(result.kept, 0);
  EXPECT_EQ(result.frames, 170);
  EXPECT_EQ(result.shards, 1);
  EXPECT_TRUE(result.verified);
  int64_t before = 0, after = 0;
  for (const auto& entry : fs::recursive_directory_iterator(data())) {
    if (entry.path().extension() == ".mp4") before += static_cast<int64_t>(entry.file_size());
  }
  for (const auto& entry : fs::directory_iterator(pack())) after += static_cast<int64_t>(entry.file_size());
  EXPECT_EQ(result.bytes_before, before);
  EXPECT_EQ(result.bytes_after, after);
  EXPECT_EQ(files_in(pack()).size(), 2U);  // the shard and the index

  made.progress = {};
  const PackResult again = pack_videos(made);
  EXPECT_EQ(again.kept, 10);
  EXPECT_EQ(again.made, 0);
  EXPECT_EQ(again.bytes_after, after);
  EXPECT_EQ(files_in(pack()).size(), 2U);
}

TEST_F(PackTest, EveryShardIsAPlainTarOfPairs) {
  make_noise();
  pack_videos(setup(false));
  std::vector<std::string> keys;
  const std::map<std::string, std::string> files = files_in(pack());
  for (const auto& [name, sum] : files) {
    if (!name.ends_with(".tar")) continue;
    const std::string bytes = read_text_file(pack() + "/" + name);
    EXPECT_LE(bytes.size(), 1U << 20);
    const std::vector<TarMember> members = list_tar(pack() + "/" + name);
    ASSERT_EQ(members.size() % 2, 0U);
    for (size_t i = 0; i < members.size(); i += 2) {
      const std::string key = members[i].name.substr(0, 9);
      EXPECT_EQ(members[i].name, key + ".mp4");
      EXPECT_EQ(members[i + 1].name, key + ".json");
      keys.push_back(key);
      const auto json = nlohmann::json::parse(
          bytes.substr(static_cast<size_t>(members[i + 1].offset), static_cast<size_t>(members[i + 1].size)));
      EXPECT_EQ(json["key"], key);
      EXPECT_EQ(json["split"], "train");
      EXPECT_EQ(json["frames"], 20);
      EXPECT_EQ(json["fps"], 25);
      EXPECT_EQ(json["width"], 128);
      EXPECT_EQ(json["packed_height"], 96);
      EXPECT_EQ(json["class"], json["label"] == 0 ? "a" : "b");
      EXPECT_THAT(json["path"], HasSubstr(json["label"] == 0 ? "train/a/" : "train/b/"));
    }
  }
  EXPECT_THAT(keys, ElementsAre("000000000", "000000001", "000000002", "000000003", "000000004",
                                "000000005"));  // and shards in order
  EXPECT_GT(files.size(), 2U);                  // several shards

  const std::string first = pack() + "/shard-000000.tar";
  if (has_program("tar")) {
    EXPECT_THAT(output_of("tar -tf " + first), HasSubstr("000000000.mp4\n000000000.json\n"));
  }
  if (has_program("python3")) {
    EXPECT_EQ(output_of("python3 -c \"import tarfile; t = tarfile.open('" + first +
                        "'); print(t.getnames()[:2], t.extractfile('000000000.mp4').read()[4:8])\""),
              "['000000000.mp4', '000000000.json'] b'ftyp'\n");
  }
}

TEST_F(PackTest, TheWorkersDoNotChangeABit) {
  make_noise();
  PackSetup made = setup(false);
  const auto wanted = undisturbed(made);
  for (const int64_t workers : {2, 5}) {
    made.workers = workers;
    made.folder = folder_ / cat("workers-", workers);
    pack_videos(made);
    EXPECT_EQ(files_in(made.folder), wanted);
  }
}

TEST_F(PackTest, StoppedItGoesOnToTheSameBytes) {
  make_noise();
  PackSetup made = setup(false);
  const auto wanted = undisturbed(made);
  int64_t done = 0;
  made.progress = [&](int64_t now, int64_t) { done = now; };
  for (const int64_t at : {1, 3, 4, 5}) {  // within a shard, between two
    made.stop = [&, at] { return done >= at; };
    const PackResult result = pack_videos(made);
    EXPECT_TRUE(result.stopped);
    EXPECT_FALSE(result.verified);
    EXPECT_EQ(result.made + result.kept, at);
    EXPECT_THAT(message_of<DataError>([&] { open_dataset(packed(), Split::train); }),
                HasSubstr("was not finished; run the same"));
  }
  made.stop = {};
  const PackResult result = pack_videos(made);
  EXPECT_EQ(result.kept, 5);
  EXPECT_EQ(result.made, 1);
  EXPECT_EQ(files_in(pack()), wanted);
}

/// What kills leave behind: a member half written, a line half written, a shard that had no time to get its name.
TEST_F(PackTest, GoesOnAfterAnyHalfStep) {
  make_noise();
  PackSetup made = setup(false);
  const auto wanted = undisturbed(made);
  int64_t done = 0;
  made.progress = [&](int64_t now, int64_t) { done = now; };
  const auto start_over_until = [&](int64_t at) {
    fs::remove_all(pack());
    done = 0;
    made.stop = [&, at] { return done >= at; };
    pack_videos(made);
    made.stop = {};
  };
  const std::string journal = pack() + "/packing.jsonl";
  const auto part = [&] {
    for (const auto& [name, sum] : files_in(pack())) {
      if (name.ends_with(".part")) return pack() + "/" + name;
    }
    return std::string();
  };
  const auto append = [](const std::string& path, const std::string& bytes) {
    std::ofstream(path, std::ios::binary | std::ios::app) << bytes;
  };

  start_over_until(3);
  append(part(), std::string(5000, 'x'));
  append(journal, "{\"video\": 3, \"pa");
  EXPECT_EQ(pack_videos(made).kept, 3);
  EXPECT_EQ(files_in(pack()), wanted) << "a video and its line half written";

  start_over_until(3);
  fs::resize_file(part(), fs::file_size(part()) - 2000);
  EXPECT_EQ(pack_videos(made).kept, 2);
  EXPECT_EQ(files_in(pack()), wanted) << "bytes that the disk never got";

  start_over_until(2);
  flip_byte(part(), 2000);  // in the first video
  EXPECT_EQ(pack_videos(made).kept, 0);
  EXPECT_EQ(files_in(pack()), wanted) << "bytes that are others";

  start_over_until(6);  // all are there, the index is not
  EXPECT_EQ(pack_videos(made).made, 0);
  EXPECT_EQ(files_in(pack()), wanted);

  start_over_until(2);
  const std::string whole = part().substr(0, part().size() - 5);
  fs::rename(part(), whole);  // as if killed between the name and the next line
  EXPECT_EQ(pack_videos(made).kept, 2);
  EXPECT_EQ(files_in(pack()), wanted);

  start_over_until(3);
  fs::resize_file(journal, 40);  // the head itself is torn
  EXPECT_EQ(pack_videos(made).kept, 0);
  EXPECT_EQ(files_in(pack()), wanted);
}

TEST_F(PackTest, WhatChangedIsPackedAgainAndWhatIsDamagedIsFound) {
  make_noise();
  PackSetup made = setup(false);
  pack_videos(made);
  const auto first = files_in(pack());
  write_noise(data() + "/train/a/1.mp4", 12, 77);
  const PackResult again = pack_videos(made);
  EXPECT_GT(again.made, 0);
  EXPECT_EQ(again.frames, 5 * 20 + 12);
  EXPECT_EQ(files_in(pack()), undisturbed(made));

  const std::string shard = pack() + "/shard-000001.tar";
  const auto good = read_text_file(shard);
  flip_byte(shard, 5000);
  EXPECT_THAT(message_of<DataError>([&] { verify_pack(pack()); }),
              AllOf(HasSubstr(shard), HasSubstr("has not the bytes that were written"), HasSubstr("train/")));
  fs::remove(shard);  // as it advises
  const PackResult mended = pack_videos(made);
  EXPECT_GT(mended.kept, 0);
  EXPECT_GT(mended.made, 0);
  EXPECT_EQ(read_text_file(shard), good);
  const PackCheck check = verify_pack(pack());
  EXPECT_EQ(check.videos, 6);
  EXPECT_EQ(check.frames, 112);
}

TEST_F(PackTest, OtherShardsThanTheIndexSaysAreFound) {
  make_noise();
  pack_videos(setup(false));
  const std::string zero = pack() + "/shard-000000.tar", one = pack() + "/shard-000001.tar";
  fs::rename(zero, pack() + "/x");
  fs::rename(one, zero);
  fs::rename(pack() + "/x", one);
  EXPECT_THAT(message_of<DataError>([&] { verify_pack(pack()); }), HasSubstr("does not fit the index"));
}

TEST_F(PackTest, BadVideosAreNamedCountedAndLeftOut) {
  make_scenes();
  folder_.write("data/train/drift/0001.mp4", "broken");
  PackSetup made = setup();
  made.max_bad = 0;
  EXPECT_THAT(message_of<DataError>([&] { pack_videos(made); }),
              AllOf(HasSubstr("1 of 10 videos are bad"), HasSubstr("drift/0001.mp4"), HasSubstr("max_bad = 0")));
  made.max_bad = 0.02;  // one is tolerated in any set
  const PackResult result = pack_videos(made);
  ASSERT_EQ(result.bad.size(), 1U);
  EXPECT_EQ(result.bad[0].path, "train/drift/0001.mp4");
  EXPECT_THAT(result.bad[0].cause, HasSubstr("cannot be read as a video"));
  EXPECT_EQ(files_in(pack()), undisturbed(made));
  const Dataset train = open_dataset(packed(), Split::train);
  EXPECT_EQ(train.videos.size(), 5U);
  EXPECT_EQ(train.missing, 1);
  EXPECT_EQ(verify_pack(pack()).bad, 1);

  const Dataset original = open_dataset(source(), Split::train);  // repaired, it is taken in
  fs::copy_file(original.videos[0].path, data() + "/train/drift/0001.mp4", fs::copy_options::overwrite_existing);
  EXPECT_TRUE(pack_videos(made).bad.empty());
  EXPECT_EQ(open_dataset(packed(), Split::train).videos.size(), 6U);
}

TEST_F(PackTest, OtherSettingsOtherDataAndOtherFoldersAreRefused) {
  make_scenes();
  PackSetup made = setup();
  pack_videos(made);
  PackSetup intra = made;
  intra.settings.gop = 1;
  EXPECT_THAT(message_of<DataError>([&] { pack_videos(intra); }),
              AllOf(HasSubstr("there: short side 96, GOP 8"), HasSubstr("wanted: short side 96, every frame a key")));
  PackSetup fewer = made;
  fewer.inputs.pop_back();
  EXPECT_THAT(message_of<DataError>([&] { pack_videos(fewer); }), HasSubstr("another list of videos"));
  made.folder = data();
  EXPECT_THAT(message_of<DataError>([&] { pack_videos(made); }), HasSubstr("holds something else"));
}

TEST_F(PackTest, AFullDiskIsSaidAndTheNextCallGoesOn) {
  make_noise();
  PackSetup made = setup(false);
  const auto wanted = undisturbed(made);
  rlimit before{};
  ASSERT_EQ(::getrlimit(RLIMIT_FSIZE, &before), 0);
  const rlimit small{600'000, before.rlim_max};  // a file may not grow past this, as on a full disk
  const auto ignore = ::signal(SIGXFSZ, SIG_IGN);
  ::setrlimit(RLIMIT_FSIZE, &small);
  const std::string said = message_of<DataError>([&] { pack_videos(made); });
  ::setrlimit(RLIMIT_FSIZE, &before);
  ::signal(SIGXFSZ, ignore);
  EXPECT_THAT(said, AllOf(HasSubstr("shard-000000.tar.part: writing it failed"), HasSubstr("File too large")));
  EXPECT_GT(pack_videos(made).kept, 0);
  EXPECT_EQ(files_in(pack()), wanted);
}

}  // namespace
}  // namespace cstp
