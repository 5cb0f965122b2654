// cstp data pack, as a user calls it, and everything else on what it made.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <chrono>
#include <cstring>
#include <fstream>
#include <thread>

#include "program.h"

namespace cstp {
namespace {

namespace fs = std::filesystem;
using testing::AllOf;
using testing::HasSubstr;

std::map<std::string, std::string> files_in(const std::string& folder) {
  std::map<std::string, std::string> files;
  if (!fs::exists(folder)) return files;
  for (const auto& entry : fs::directory_iterator(folder))
    files[entry.path().filename().string()] = read_text_file(entry.path().string());
  return files;
}

std::vector<std::string> pack_arguments(const Program& program, const std::string& output) {
  return {"data",         "pack",
          "--config",     "synthetic_quick",
          "--set",        "data.root=" + program.path("data"),
          "--output",     program.path(output),
          "--workers",    "2",
          "--short-side", "32",
          "--json"};
}

/// What turns the tiny settings to packed data.
std::vector<std::string> on_pack(const Program& program, const std::string& folder = "pack") {
  return {"--json", "--set", "data.format=packed", "--set", "data.root=" + program.path(folder)};
}

TEST(DataPackCommand, PacksBothSplitsAndSaysWhatItDid) {
  const Program program;
  program.make_videos();
  const Outcome outcome = program.run(pack_arguments(program, "pack"));
  ASSERT_EQ(outcome.code, 0) << outcome.err;
  const auto json = outcome.json();
  EXPECT_EQ(json["videos"], 18);
  EXPECT_EQ(json["made"], 18);
  EXPECT_EQ(json["frames"], 18 * 40);
  EXPECT_EQ(json["settings"]["short_side"], 32);
  EXPECT_EQ(json["settings"]["gop"], 8);
  EXPECT_EQ(json["verified"], true);
  EXPECT_GT(json["bytes_before"], json["bytes_after"]);
  EXPECT_GT(json["cpu_seconds_per_video"], 0);

  std::vector<std::string> again = pack_arguments(program, "pack");
  again.pop_back();  // --json
  EXPECT_THAT(program.run(again).out, AllOf(HasSubstr("0 videos packed, 18 kept, 0 bad; 1 shard;"), HasSubstr(" %)")));
  const Outcome verified = program.run({"data", "pack", "--verify", "--output", program.path("pack")});
  EXPECT_EQ(verified.code, 0) << verified.err;
  EXPECT_THAT(verified.out, HasSubstr("whole; 18 videos (720 frames) in 1 shard"));
}

TEST(DataPackCommand, KilledItGoesOnToTheSameBytes) {
  const Program program;
  program.make_videos();
  ASSERT_EQ(program.run(pack_arguments(program, "whole")).code, 0);
  const pid_t child = program.start(pack_arguments(program, "killed"));
  const std::string journal = program.path("killed/packing.jsonl");
  const auto lines = [&] {
    const std::string text = fs::exists(journal) ? read_text_file(journal) : "";
    return std::count(text.begin(), text.end(), '\n');
  };
  for (int tries = 0; tries < 5000 && lines() < 3 + 4; ++tries) {
    std::this_thread::sleep_for(std::chrono::milliseconds(2));
  }
  ::kill(child, SIGKILL);
  ASSERT_EQ(program.finish(child).code, 128 + SIGKILL);
  const auto there = lines() - 3;  // the head, and one line a split
  EXPECT_GE(there, 4);
  EXPECT_LT(there, 18);
  const Outcome unfinished = program.run_tiny("train", on_pack(program, "killed"));
  EXPECT_EQ(unfinished.code, 3);
  EXPECT_THAT(unfinished.err, HasSubstr("its packing was not finished"));
  const Outcome outcome = program.run(pack_arguments(program, "killed"));
  ASSERT_EQ(outcome.code, 0) << outcome.err;
  EXPECT_EQ(outcome.json()["kept"], there);
  EXPECT_EQ(files_in(program.path("killed")), files_in(program.path("whole")));
}

TEST(DataPackCommand, StoppedBySignalItLeavesWith75) {
  const Program program;
  program.make_videos();
  const pid_t child = program.start(pack_arguments(program, "pack"));
  for (int tries = 0; tries < 5000 && !fs::exists(program.path("pack/shard-000000.tar.part")); ++tries) {
    std::this_thread::sleep_for(std::chrono::milliseconds(2));
  }
  ::kill(child, SIGTERM);
  const Outcome outcome = program.finish(child);
  EXPECT_EQ(outcome.code, 75) << outcome.err;
  EXPECT_EQ(outcome.json()["stopped"], true);
  EXPECT_EQ(program.run(pack_arguments(program, "pack")).code, 0);
}

TEST(DataPackCommand, TrainingEvaluationAndPicturesWorkOnThePack) {
  const Program program;
  program.make_videos();
  ASSERT_EQ(program.run(pack_arguments(program, "pack"), {"--intra"}).code, 0);
  fs::remove_all(program.path("data"));  // nothing of the originals is needed any more
  const Outcome trained = program.run_tiny("train", on_pack(program));
  ASSERT_EQ(trained.code, 0) << trained.err;
  EXPECT_EQ(trained.json()["steps"], 30);
  EXPECT_EQ(program.run_tiny("train", on_pack(program)).json()["steps"], 30);  // resumes, at the end

  std::vector<std::string> more = on_pack(program);
  more.insert(more.end(), {"--checkpoint", program.path("run")});
  const Outcome knn = program.run_tiny("eval", [&] {
    auto arguments = more;
    arguments.insert(arguments.end(), {"--protocol", "knn"});
    return arguments;
  }());
  ASSERT_EQ(knn.code, 0) << knn.err;
  EXPECT_EQ(knn.json()["decoded"], 6);
  const Outcome retrieved = program.run_tiny("retrieve", more);
  ASSERT_EQ(retrieved.code, 0) << retrieved.err;
  EXPECT_EQ(retrieved.json()["gallery"], 12);
  const Outcome embedded = program.run_tiny("embed", more, "embeddings");
  ASSERT_EQ(embedded.code, 0) << embedded.err;
  EXPECT_THAT(read_text_file(program.path("embeddings/embeddings.csv")), HasSubstr("train/"));
  EXPECT_EQ(program
                .run({"inspect", "pairs", "--config", "synthetic_quick", "--set", "data.format=packed", "--set",
                      "data.root=" + program.path("pack"), "--output", program.path("pairs.png")})
                .code,
            0);
}

/// The bytes of a safetensors file behind its header, which tells the run's own folder.
std::string tensors_of(const std::string& path) {
  const std::string bytes = read_text_file(path);
  uint64_t header = 0;
  std::memcpy(&header, bytes.data(), sizeof header);
  return bytes.substr(sizeof header + header);
}

TEST(DataPackCommand, ARunOverAShuffleBufferResumesToTheSameWeights) {
  const Program program;
  program.make_videos();
  ASSERT_EQ(program.run(pack_arguments(program, "pack")).code, 0);
  const auto train = [&](const std::string& output, const std::string& steps) {
    std::vector<std::string> more = on_pack(program);
    more.insert(more.end(), {"--set", "data.shuffle_buffer=5", "--set", "train.max_steps=" + steps});
    const Outcome outcome = program.run_tiny("train", more, output);
    EXPECT_EQ(outcome.code, 0) << outcome.err;
    return outcome.json()["checkpoint"].get<std::string>();
  };
  const std::string whole = train("whole", "10");
  train("parts", "5");  // in mid-epoch
  EXPECT_TRUE(tensors_of(train("parts", "10")) == tensors_of(whole));
  // Another order is another run.
  std::vector<std::string> more = on_pack(program);
  more.insert(more.end(), {"--set", "data.shuffle_buffer=6"});
  const Outcome other = program.run_tiny("train", more, "parts");
  EXPECT_EQ(other.code, 4);
  EXPECT_THAT(other.err, HasSubstr("data.shuffle_buffer: was 5, now 6"));
  const Outcome unpacked = program.run_tiny("train", {"--set", "data.shuffle_buffer=6"}, "unpacked");
  EXPECT_EQ(unpacked.code, 2);
  EXPECT_THAT(unpacked.err, HasSubstr("data.shuffle_buffer: is for packed videos"));
}

TEST(DataPackCommand, ListsBadVideosAndFailsWhenTheyAreMany) {
  const Program program;
  program.make_videos();
  for (const char* name : {"0000.mp4", "0001.mp4"}) {
    std::ofstream(program.path(cat("data/train/drift/", name)), std::ios::trunc) << "broken";
  }
  const Outcome many = program.run(pack_arguments(program, "pack"));
  EXPECT_EQ(many.code, 3);
  EXPECT_THAT(many.err, HasSubstr("2 of 18 videos are bad, and data.max_bad = 0.02 allows 1"));
  const Outcome strict = program.run(pack_arguments(program, "strict"), {"--set", "data.on_bad_video=error"});
  EXPECT_EQ(strict.code, 3);
  EXPECT_THAT(strict.err, HasSubstr("allows 0"));
  const Outcome allowed = program.run(pack_arguments(program, "pack"), {"--set", "data.max_bad=0.5"});
  EXPECT_EQ(allowed.code, 0) << allowed.err;
  ASSERT_EQ(allowed.json()["bad"].size(), 2U);
  EXPECT_THAT(allowed.json()["bad"].dump(), HasSubstr("train/drift/0000.mp4"));
}

TEST(DataPackCommand, SaysWhatItWants) {
  const Program program;
  program.make_videos();
  const auto refused = [&](const std::vector<std::string>& more) {
    const Outcome outcome = program.run({"data", "pack", "--output", program.path("pack")}, more);
    EXPECT_NE(outcome.code, 0);
    return cat(outcome.code, " ", outcome.err);
  };
  const std::vector<std::string> data = {"--config", "synthetic_quick", "--set", "data.root=" + program.path("data")};
  const auto with = [&](std::vector<std::string> more) {
    more.insert(more.end(), data.begin(), data.end());
    return refused(more);
  };
  EXPECT_THAT(refused({}), AllOf(HasSubstr("2 "), HasSubstr("wants --config")));
  EXPECT_THAT(refused({"--verify"}), AllOf(HasSubstr("3 "), HasSubstr("holds no packed videos")));
  EXPECT_THAT(with({"--verify"}), HasSubstr("leave --config out"));
  EXPECT_THAT(with({"--short-side", "33"}), HasSubstr("must be even"));
  EXPECT_THAT(with({"--intra", "--gop", "4"}), HasSubstr("2 "));
  EXPECT_THAT(with({"--splits", "1"}), HasSubstr("has no official splits"));
  fs::remove_all(program.path("data/test"));
  EXPECT_THAT(with({}), AllOf(HasSubstr("3 "), HasSubstr("--split train")));
  const Outcome train_alone = program.run(pack_arguments(program, "pack"), {"--split", "train"});
  ASSERT_EQ(train_alone.code, 0) << train_alone.err;
  EXPECT_EQ(train_alone.json()["videos"], 12);
  EXPECT_THAT(refused({"--config", "synthetic_quick", "--set", "data.format=packed", "--set",
                       "data.root=" + program.path("pack")}),
              HasSubstr("is packed already"));
}

}  // namespace
}  // namespace cstp
