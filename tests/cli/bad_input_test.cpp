// What a user can do wrong, and what files do wrong: one clear sentence, the right exit code, nothing lost.
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <torch/cuda.h>
#include <torch/types.h>

#include <cstdlib>

#include "cstp/models/tensor_file.h"
#include "program.h"

namespace cstp {
namespace {

using testing::HasSubstr;

/// The last line of a log, without its time and level: the one sentence.
std::string sentence(const Outcome& outcome) {
  const auto lines = split_lines(outcome.err);
  return lines.empty() ? "" : lines.back();
}

TEST(BadCommandLine, ExitsWithTwoAndSaysWhatIsKnown) {
  const Program program;
  const Outcome typo = program.run({"trian"});
  EXPECT_EQ(typo.code, 2);
  EXPECT_THAT(sentence(typo), HasSubstr("did you mean 'train'?"));
  EXPECT_EQ(program.run({}).code, 2);
  EXPECT_EQ(program.run({"train", "--no-such-flag"}).code, 2);
  const Outcome nothing = program.run({"train"});
  EXPECT_EQ(nothing.code, 2);
  EXPECT_THAT(sentence(nothing), HasSubstr("--config is missing"));
  EXPECT_EQ(program.run({"--help"}).code, 0);
  EXPECT_THAT(program.run({"--version"}).out, HasSubstr("LibTorch 2.11"));
}

TEST(BadConfig, NamesFileLineColumnAndTheNearestKey) {
  const Program program;
  write_file_atomically(program.path("mine.yaml"), "seed: 1\nobjective:\n  name: cstp\n  temprature: 0.5\n");
  const Outcome key = program.run({"train", "--config", program.path("mine.yaml")});
  EXPECT_EQ(key.code, 2);
  EXPECT_THAT(sentence(key),
              HasSubstr("mine.yaml:4:3: objective.temprature: unknown key; did you mean 'temperature'?"));
  const Outcome value = program.run({"train", "--config", "synthetic_quick", "--set", "train.batch=many"});
  EXPECT_EQ(value.code, 2);
  EXPECT_THAT(sentence(value), HasSubstr("--set train.batch=many: train.batch: wanted a whole number"));
  const Outcome name = program.run({"train", "--config", "k400_stor_contrst.yaml"});
  EXPECT_EQ(name.code, 2);
  EXPECT_THAT(sentence(name), HasSubstr("did you mean 'k400_stor_contrast.yaml'?"));
}

TEST(BadData, MissingFoldersAndLabelsOutsideTheClassesAreNamed) {
  const Program program;
  const Outcome absent = program.run_tiny("train");
  EXPECT_EQ(absent.code, 3);
  EXPECT_THAT(sentence(absent), HasSubstr(program.path("data")));

  program.make_videos();
  write_file_atomically(program.path("classes.txt"), "drift\norbit\n");
  write_file_atomically(program.path("list.txt"), "drift/0000.mp4 0\norbit/0000.mp4 7\n");
  const Outcome label = program.run_tiny(
      "train", {"--set", "data.format=list", "--set", "data.root=" + program.path("data/train"), "--set",
                "data.train=" + program.path("list.txt"), "--set", "data.class_file=" + program.path("classes.txt")});
  EXPECT_EQ(label.code, 3);
  EXPECT_THAT(sentence(label), HasSubstr("list.txt:2"));
  EXPECT_THAT(sentence(label), HasSubstr("7"));
}

TEST(BadCheckpoint, ExitsWithFour) {
  const Program program;
  program.make_videos();
  EXPECT_EQ(program.run_tiny("eval", {"--checkpoint", program.path("none.safetensors")}).code, 4);
  write_file_atomically(program.path("text.safetensors"), "this is no checkpoint");
  const Outcome text = program.run_tiny("eval", {"--checkpoint", program.path("text.safetensors")});
  EXPECT_EQ(text.code, 4);
  EXPECT_THAT(sentence(text), HasSubstr("text.safetensors"));
  TensorFile other;
  other.tensors.emplace_back("stem.0.weight", torch::zeros({4, 3, 3, 3, 3}));
  save_tensor_file(program.path("other.safetensors"), other);
  const Outcome mismatch = program.run_tiny("eval", {"--checkpoint", program.path("other.safetensors")});
  EXPECT_EQ(mismatch.code, 4);
  EXPECT_THAT(sentence(mismatch), HasSubstr("missing"));
}

TEST(BadCheckpoint, AnotherRecipeInAUsedFolderIsRefusedKeyByKey) {
  const Program program;
  program.make_videos();
  ASSERT_EQ(program.run_tiny("train", {"--set", "train.max_steps=1"}).code, 0);
  const Outcome other = program.run_tiny("train", {"--set", "train.max_steps=2", "--set", "schedule.lr=0.5"});
  EXPECT_EQ(other.code, 4);
  EXPECT_THAT(sentence(other), HasSubstr("now 0.5"));
  EXPECT_EQ(program.run_tiny("train", {"--set", "train.max_steps=2", "--set", "schedule.lr=0.5", "--fresh"}).code, 0);
}

TEST(BadDevice, NoGpuWhereOneIsAskedForExitsWithSix) {
  if (torch::cuda::is_available()) GTEST_SKIP() << "a GPU is here";
  const Program program;
  program.make_videos();
  const Outcome outcome = program.run_tiny("train", {"--set", "train.device=cuda"});
  EXPECT_EQ(outcome.code, 6);
  EXPECT_THAT(sentence(outcome), HasSubstr("no GPU is usable here"));
}

TEST(BadVideos, InEvaluationAreNamedAndCountedButNeverReplaced) {
  const Program program;
  program.make_videos();
  write_file_atomically(program.path("data/test/drift/0000.mp4"), "");
  const std::string video = read_text_file(program.path("data/test/orbit/0001.mp4"));
  write_file_atomically(program.path("data/test/orbit/0001.mp4"), std::string_view(video).substr(0, 200));
  const Outcome outcome = program.run_tiny("eval", {"--json", "--protocol", "knn"});
  EXPECT_EQ(outcome.code, 0) << outcome.err;
  EXPECT_EQ(outcome.json()["decoded"], 4);
  EXPECT_EQ(outcome.json()["total"], 6);
  EXPECT_THAT(outcome.err, HasSubstr("drift/0000.mp4"));
  EXPECT_THAT(outcome.err, HasSubstr("orbit/0001.mp4"));
  const Outcome retrieved = program.run_tiny("retrieve", {"--json"});
  EXPECT_EQ(retrieved.code, 0);
  EXPECT_EQ(retrieved.json()["decoded"], 16);
  EXPECT_EQ(retrieved.json()["total"], 18);
}

TEST(BadVideos, WhereNoneDecodesTheDocumentIsPrintedAndTheExitCodeIsThree) {
  const Program program;
  program.make_videos();
  for (const char* name : {"drift/0000", "drift/0001", "drift/0002", "orbit/0000", "orbit/0001", "orbit/0002"}) {
    write_file_atomically(program.path(cat("data/test/", name, ".mp4")), "not a video");
  }
  for (const std::string command : {"eval", "retrieve"}) {
    const Outcome outcome = program.run_tiny(command, {"--json"});
    EXPECT_EQ(outcome.code, 3) << command << outcome.err;
    EXPECT_TRUE(outcome.json().contains(command == "eval" ? "top1" : "map")) << outcome.out;
  }
  const Outcome embedded = program.run_tiny("embed", {"--json", "--split", "test"});
  EXPECT_EQ(embedded.code, 3);
  EXPECT_EQ(embedded.json()["decoded"], 0);
  EXPECT_EQ(embedded.json()["total"], 6);
}

TEST(BadVideos, TooManyInTrainingStopTheRunWithTheCount) {
  const Program program;
  program.make_videos();
  for (const char* name : {"drift/0000", "drift/0001", "drift/0002", "orbit/0000"}) {
    write_file_atomically(program.path(cat("data/train/", name, ".mp4")), "not a video");
  }
  const Outcome outcome = program.run_tiny("train", {"--set", "data.max_bad=0.1", "--set", "train.max_steps=9"});
  EXPECT_EQ(outcome.code, 3);
  EXPECT_THAT(sentence(outcome), HasSubstr("of 12"));
}

TEST(FullDisk, WhileSavingLeavesTheEarlierCheckpoint) {
  const Program program;
  program.make_videos();
  ASSERT_EQ(program.run_tiny("train", {"--set", "train.max_steps=1"}).code, 0);
  const std::string first = program.path("run/checkpoints/step-00000001.safetensors");
  const std::string before = read_text_file(first);
  // A limit on the size of files stands for the full disk: writing fails half way in both.
  std::string command = "ulimit -f 64; trap '' XFSZ; exec '" + std::string(CSTP_PROGRAM) + "' train";
  for (const std::string& argument : program.tiny()) command += " '" + argument + "'";
  command += " --set train.max_steps=2 > '" + program.path("out") + "' 2> '" + program.path("err") + "'";
  const int status = std::system(("bash -c \"" + command + "\"").c_str());
  ASSERT_TRUE(WIFEXITED(status));
  EXPECT_NE(WEXITSTATUS(status), 0);
  EXPECT_THAT(read_text_file(program.path("err")), HasSubstr("step-00000002.safetensors"));
  EXPECT_EQ(read_text_file(first), before);
  EXPECT_FALSE(std::filesystem::exists(program.path("run/checkpoints/step-00000002.safetensors")));
  EXPECT_EQ(program.run_tiny("train", {"--json", "--set", "train.max_steps=2"}).json()["steps"], 2);
}

/// Splits one line of a csv with quoted fields.
std::vector<std::string> csv_fields(const std::string& line) {
  std::vector<std::string> fields(1);
  bool quoted = false;
  for (const char c : line) {
    if (c == '"') {
      quoted = !quoted;
    } else if (c == ',' && !quoted) {
      fields.emplace_back();
    } else {
      fields.back() += c;
    }
  }
  return fields;
}

TEST(RealFiles, EveryOddAndNastyFileIsEmbeddedOrNamed) {
  const char* folder = std::getenv("CSTP_TEST_DATA");
  if (folder == nullptr) GTEST_SKIP() << "CSTP_TEST_DATA names no folder of real videos";
  std::string list;
  std::vector<std::string> bad;
  int64_t files = 0;
  for (const std::string& line : split_lines(read_text_file(cat(folder, "/MANIFEST.csv")))) {
    const auto fields = csv_fields(line);
    if (!fields[0].starts_with("clips/") && !fields[0].starts_with("nasty/")) continue;
    ++files;
    list += cat(fields[0], " 0\n");
    if (fields[20] == "0") bad.push_back(fields[0]);
  }
  const Program program;
  write_file_atomically(program.path("list.txt"), list);
  const Outcome outcome = program.run({"embed",           "--config",
                                       "synthetic_quick", "--json",
                                       "--output",        program.path("out"),
                                       "--set",           "data.format=list",
                                       "--set",           cat("data.root=", folder),
                                       "--set",           "data.train=" + program.path("list.txt"),
                                       "--set",           "model.width=0.125",
                                       "--set",           "clip.size=32",
                                       "--set",           "clip.frames=4",
                                       "--set",           "eval.clips=1",
                                       "--set",           "train.device=cpu"});
  ASSERT_EQ(outcome.code, 0) << outcome.err;
  EXPECT_EQ(outcome.json()["total"], files);
  EXPECT_EQ(outcome.json()["decoded"], files - static_cast<int64_t>(bad.size())) << outcome.err;
  for (const std::string& name : bad) EXPECT_THAT(outcome.err, HasSubstr(name));
  EXPECT_GE(bad.size(), 5U);
}

}  // namespace
}  // namespace cstp
