// The contract of the commands: what they print, where they write.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <chrono>
#include <cmath>
#include <cstdlib>
#include <cstring>
#include <fstream>
#include <iterator>
#include <thread>

#include "cstp/engine/run_config.h"
#include "program.h"

namespace cstp {
namespace {

using testing::HasSubstr;

/// Trains two steps; the run folder is "run".
void train_a_little(const Program& program) {
  program.make_videos();
  const Outcome outcome = program.run_tiny("train", {"--set", "train.max_steps=2"});
  ASSERT_EQ(outcome.code, 0) << outcome.err;
}

TEST(TrainCommand, PrintsOneDocumentAndWritesACheckpoint) {
  const Program program;
  program.make_videos();
  const Outcome outcome = program.run_tiny("train", {"--json", "--set", "train.max_steps=3"});
  ASSERT_EQ(outcome.code, 0) << outcome.err;
  const auto json = outcome.json();
  EXPECT_EQ(json["steps"], 3);
  EXPECT_DOUBLE_EQ(json["epochs"], 1.0);
  EXPECT_GT(json["clips_per_second"], 0);
  EXPECT_GT(json["seconds"], 0);
  EXPECT_GT(json["peak_memory_mb"], 100);  // LibTorch alone is more
  EXPECT_TRUE(std::isfinite(json["loss"].get<double>()));
  EXPECT_EQ(json["checkpoint"], program.path("run/checkpoints/step-00000003.safetensors"));
  EXPECT_TRUE(std::filesystem::exists(json["checkpoint"].get<std::string>()));
  EXPECT_TRUE(std::filesystem::exists(program.path("run/metrics.jsonl")));
  EXPECT_TRUE(std::filesystem::exists(program.path("run/config.yaml")));
  EXPECT_THAT(outcome.err, HasSubstr("labels drawn: "));
  EXPECT_THAT(outcome.err, HasSubstr("step: forward "));
  EXPECT_THAT(outcome.err, HasSubstr("waiting for data "));
}

TEST(BenchCommand, MeasuresLoadingAndStepApartAndTogether) {
  const Program program;
  program.make_videos();
  const Outcome outcome = program.run_tiny("bench", {"--json", "--seconds", "0.2"});
  ASSERT_EQ(outcome.code, 0) << outcome.err;
  const auto json = outcome.json();
  EXPECT_GT(json["loading_clips_per_second"], 0);
  EXPECT_GT(json["step_clips_per_second"], 0);
  // Both stages share the machine, so that together they are slower than either; a busy machine may blur that.
  EXPECT_LT(json["together_clips_per_second"],
            2 * std::min(json["loading_clips_per_second"].get<double>(), json["step_clips_per_second"].get<double>()));
  EXPECT_EQ(json["loading"]["forward"], 0);
  EXPECT_GT(json["loading"]["decode"], 0);
  EXPECT_GT(json["step"]["backward"], 0);
  EXPECT_EQ(json["step"]["wait"], 0);
  EXPECT_FALSE(json["advice"].get<std::string>().empty());
  EXPECT_FALSE(std::filesystem::exists(program.path("run")));

  const Outcome text = program.run_tiny("bench", {"--seconds", "0.1"});
  EXPECT_THAT(text.out, HasSubstr("clips/s     loading alone "));
  EXPECT_THAT(text.out, HasSubstr("\nadvice      "));
}

TEST(TrainCommand, DryRunPrintsTheRecipeAndTouchesNothing) {
  const Program program;
  const Outcome outcome =
      program.run({"train", "--config", "k400_stor_contrast.yaml", "--dry-run", "--set", "clip.size=32"});
  ASSERT_EQ(outcome.code, 0) << outcome.err;
  for (const char* wanted : {"14,365,303 parameters", "25,424,521 trained", "memory      about ",
                             "steps       561,000 (1,870 an epoch, 300 epochs)", "lr: 0.09", "clip_norm: 18",
                             "momentum: 0.996", "counted as 239,429 videos"}) {
    EXPECT_THAT(outcome.out, HasSubstr(wanted));
  }
  EXPECT_FALSE(std::filesystem::exists(program.path("runs")));
}

TEST(TrainCommand, EveryShippedConfigDryRuns) {
  const Program program;
  for (const std::string& config : shipped_configs()) {
    std::vector<std::string> arguments = {"train", "--config", config, "--dry-run"};
    // Small networks and clips: a dry run does two steps to measure memory. A root that is absent counts data.videos.
    for (const char* set : {"clip.size=32", "clip.frames=8", "model.width=0.125", "data.root=absent",
                            "train.device=cpu", "data.videos=5000"}) {
      arguments.insert(arguments.end(), {"--set", set});
    }
    const Outcome outcome = program.run(arguments);
    ASSERT_EQ(outcome.code, 0) << config << ": " << outcome.err;
    EXPECT_THAT(outcome.out, HasSubstr("# the whole recipe")) << config;
  }
}

TEST(EvalCommand, EveryProtocolFillsTheContract) {
  const Program program;
  train_a_little(program);
  for (const std::string protocol : {"linear", "knn", "finetune"}) {
    const Outcome outcome = program.run_tiny("eval",
                                             {"--json", "--protocol", protocol, "--checkpoint", program.path("run"),
                                              "--set", "eval.finetune.epochs=1", "--set", "eval.finetune.batch=4"},
                                             "eval");
    ASSERT_EQ(outcome.code, 0) << outcome.err;
    const auto json = outcome.json();
    EXPECT_EQ(json["protocol"], protocol);
    EXPECT_GE(json["top1"], 0);
    EXPECT_LE(json["top1"], 1);
    EXPECT_TRUE(json["top5"].is_null());  // two classes
    EXPECT_EQ(json["clip_top1"].is_null(), protocol == "knn");
    EXPECT_EQ(json["classes"], 2);
    EXPECT_EQ(json["decoded"], 6);
    EXPECT_EQ(json["total"], 6);
  }
}

TEST(EvalCommand, LinearOnTheFlyRunsTheSameTrainer) {
  const Program program;
  train_a_little(program);
  const Outcome outcome = program.run_tiny(
      "eval",
      {"--json", "--protocol", "linear", "--checkpoint", program.path("run"), "--set",
       "eval.linear.features=on_the_fly", "--set", "eval.linear.batch=4", "--set", "eval.linear.epochs=1"},
      "eval");
  ASSERT_EQ(outcome.code, 0) << outcome.err;
  EXPECT_GE(outcome.json()["top1"], 0);
  const std::filesystem::path result = outcome.json()["result"].get<std::string>();
  EXPECT_TRUE(std::filesystem::exists(result.parent_path() / "train/checkpoints"));
}

TEST(EvalCommand, WeightsAreNeverMixedUpInOneFolder) {  // fine-tuning resumes what it finds: it must be its own
  const Program program;
  train_a_little(program);
  const std::vector<std::string> finetune = {
      "--json", "--protocol", "finetune", "--set", "eval.finetune.epochs=1", "--set", "eval.finetune.batch=4"};
  const Outcome untrained = program.run_tiny("eval", finetune, "eval");
  ASSERT_EQ(untrained.code, 0) << untrained.err;
  std::vector<std::string> with_weights = finetune;
  with_weights.insert(with_weights.end(), {"--checkpoint", program.path("run")});
  const Outcome pretrained = program.run_tiny("eval", with_weights, "eval");
  ASSERT_EQ(pretrained.code, 0) << pretrained.err;
  EXPECT_NE(pretrained.json()["classifier"], untrained.json()["classifier"]);
  EXPECT_EQ(pretrained.json()["provenance"]["weights"]["steps"], 2);
  EXPECT_EQ(program.run_tiny("eval", finetune, "eval").out, untrained.out);
  EXPECT_EQ(program.run_tiny("eval", with_weights, "eval").out, pretrained.out);
}

TEST(EvalCommand, PretextScoresTheHeadsOnHeldOutPairs) {
  const Program program;
  train_a_little(program);
  const Outcome outcome = program.run_tiny(
      "eval", {"--json", "--protocol", "pretext", "--checkpoint", program.path("run"), "--set", "eval.draws=4"});
  ASSERT_EQ(outcome.code, 0) << outcome.err;
  const auto json = outcome.json();
  EXPECT_EQ(json["samples"], 24);
  EXPECT_GE(json["accuracy_spatial"], 0);
  EXPECT_GE(json["constant_temporal"], 0.2);
  EXPECT_GE(json["constant_rate"], 0.25);
  const Outcome again = program.run_tiny(
      "eval", {"--json", "--protocol", "pretext", "--checkpoint", program.path("run"), "--set", "eval.draws=4"});
  EXPECT_EQ(again.out, outcome.out);
}

TEST(TrainCommand, HasThreadsThatSpinBrieflyAndKeepsItsName) {
  if (std::getenv("GOMP_SPINCOUNT") != nullptr) GTEST_SKIP() << "GOMP_SPINCOUNT is set: the program leaves it alone";
  const Program program;
  program.make_videos();
  std::vector<std::string> arguments = {"train"};
  for (const std::string& argument : program.tiny()) arguments.push_back(argument);
  const pid_t child = program.start(arguments);
  const std::string environment = cat("/proc/", child, "/environ");
  bool found = false;
  for (int tries = 0; tries < 2000 && !found && ::kill(child, 0) == 0; ++tries) {
    std::ifstream file(environment, std::ios::binary);
    const std::string text{std::istreambuf_iterator<char>(file), {}};
    found = text.find("GOMP_SPINCOUNT=30000") != std::string::npos;
    std::this_thread::sleep_for(std::chrono::milliseconds(2));
  }
  EXPECT_TRUE(found);
  std::string listed;  // what ps and pkill know it by
  std::getline(std::ifstream(cat("/proc/", child, "/comm")), listed);
  EXPECT_EQ(listed, "cstp");
  EXPECT_EQ(program.finish(child).code, 0);
}

TEST(EvalCommand, WithoutACheckpointItSaysUntrained) {
  const Program program;
  program.make_videos();
  const Outcome outcome = program.run_tiny("eval", {"--json", "--protocol", "knn"});
  ASSERT_EQ(outcome.code, 0) << outcome.err;
  EXPECT_THAT(outcome.err, HasSubstr("the weights are untrained"));
  EXPECT_EQ(outcome.json()["weights"], "untrained");
}

TEST(EvalCommand, MeasuresABaselineWithoutWeightsAndTrainRefusesIt) {
  const Program program;
  program.make_videos();
  const Outcome knn = program.run_tiny("eval", {"--json", "--set", "model.name=mean_frame", "--protocol", "knn"});
  ASSERT_EQ(knn.code, 0) << knn.err;
  EXPECT_EQ(knn.json()["provenance"]["model"]["parameters"], 0);
  const Outcome train = program.run_tiny("train", {"--set", "model.name=mean_frame"});
  EXPECT_EQ(train.code, 2);
  EXPECT_THAT(train.err, HasSubstr("mean_frame has no weights"));
}

TEST(EvalCommand, FeaturesAreKeptWhereTheyAreWantedAndGiveTheSameNumbers) {
  const Program program;
  program.make_videos();
  const std::string cache = "eval.feature_cache=" + program.path("features");
  const Outcome linear = program.run_tiny("eval", {"--json", "--protocol", "linear", "--set", cache});
  ASSERT_EQ(linear.code, 0) << linear.err;
  EXPECT_THAT(linear.err, Not(HasSubstr("taken from there")));
  const Outcome plain = program.run_tiny("retrieve", {"--json"}, "other");
  const Outcome kept = program.run_tiny("retrieve", {"--json", "--set", cache}, "other");
  ASSERT_EQ(kept.code, 0) << kept.err;
  EXPECT_THAT(kept.err, HasSubstr("train are taken from there"));
  EXPECT_THAT(kept.err, HasSubstr("test are taken from there"));
  EXPECT_EQ(kept.out, plain.out);
  const Outcome changed = program.run_tiny("retrieve", {"--json", "--set", cache, "--set", "eval.clips=1"});
  EXPECT_THAT(changed.err, Not(HasSubstr("taken from there")));
}

TEST(RetrieveCommand, FillsTheContract) {
  const Program program;
  train_a_little(program);
  const Outcome outcome = program.run_tiny("retrieve", {"--json", "--checkpoint", program.path("run")});
  ASSERT_EQ(outcome.code, 0) << outcome.err;
  const auto json = outcome.json();
  EXPECT_EQ(json["queries"], 6);
  EXPECT_EQ(json["gallery"], 12);
  EXPECT_EQ(json["decoded"], 18);
  EXPECT_EQ(json["total"], 18);
  EXPECT_EQ(json["recall"]["10"], 1.0);  // each class has 6 of 12
  EXPECT_TRUE(json["recall"]["20"].is_null());
  EXPECT_TRUE(json["recall"]["50"].is_null());
  EXPECT_GT(json["map"], 0.3);
  EXPECT_EQ(json["provenance"]["seed"], json["seed"]);
  EXPECT_EQ(json["provenance"]["weights"]["steps"], 2);
  EXPECT_EQ(json["provenance"]["settings"]["eval.clips"], "2");
  // Stored without the name of its own file, it is what `cstp compare` reads.
  auto stored = nlohmann::json::parse(read_text_file(json["result"]));
  stored["result"] = json["result"];
  EXPECT_EQ(stored, json);
  const Outcome table = program.run({"compare", json["result"], "--json"});
  ASSERT_EQ(table.code, 0) << table.err;
  EXPECT_EQ(table.json()[0]["metrics"]["R@10"]["mean"], 1.0);
}

TEST(EmbedCommand, WritesRowsThatTheCsvNames) {
  const Program program;
  program.make_videos();
  const Outcome outcome = program.run_tiny("embed", {"--json"}, "embedded");
  ASSERT_EQ(outcome.code, 0) << outcome.err;
  const auto json = outcome.json();
  EXPECT_EQ(json["embeddings"], 18);
  EXPECT_EQ(json["dim"], 64);
  EXPECT_EQ(json["output"], program.path("embedded/embeddings.npy"));
  const std::string npy = read_text_file(json["output"]);
  EXPECT_EQ(npy.substr(0, 6), "\x93NUMPY");
  EXPECT_THAT(npy.substr(0, 128), HasSubstr("'descr': '<f4', 'fortran_order': False, 'shape': (18, 64)"));
  const size_t start = 10 + static_cast<uint8_t>(npy[8]) + 256 * static_cast<uint8_t>(npy[9]);
  EXPECT_EQ(start % 64, 0U);
  ASSERT_EQ(npy.size(), start + 18 * 64 * sizeof(float));
  double squares = 0;
  for (size_t i = 0; i < 64; ++i) {
    float value = 0;
    std::memcpy(&value, npy.data() + start + i * sizeof(float), sizeof(float));
    squares += value * value;
  }
  EXPECT_NEAR(squares, 1, 1e-4);
  const auto lines = split_lines(read_text_file(program.path("embedded/embeddings.csv")));
  ASSERT_EQ(lines.size(), 19U);
  EXPECT_EQ(lines[0], "row,path,label,class,split");
  EXPECT_THAT(lines[18], HasSubstr(",test"));
  const Outcome test_only = program.run_tiny("embed", {"--json", "--split", "test"}, "embedded");
  EXPECT_EQ(test_only.json()["total"], 6);
}

TEST(AnyConfig, TakesAnyData) {  // the data keys are one flat set
  const Program program;
  program.make_videos();
  std::string list;
  for (const auto& [label, name] : {std::pair{0, "drift"}, std::pair{1, "orbit"}}) {
    for (int i = 0; i < 3; ++i) list += cat(name, "/000", i, ".mp4 ", label, "\r\n");
  }
  write_file_atomically(program.path("train.txt"), list);
  write_file_atomically(program.path("test.txt"), list);
  const Outcome outcome = program.run({"eval",
                                       "--config",
                                       "ucf101_linear.yaml",
                                       "--protocol",
                                       "knn",
                                       "--json",
                                       "--output",
                                       program.path("out"),
                                       "--set",
                                       "data.format=list",
                                       "--set",
                                       "data.root=" + program.path("data/train"),
                                       "--set",
                                       "data.train=" + program.path("train.txt"),
                                       "--set",
                                       "data.test=" + program.path("test.txt"),
                                       "--set",
                                       "model.name=r3d10_pool",
                                       "--set",
                                       "model.width=0.125",
                                       "--set",
                                       "clip.size=32",
                                       "--set",
                                       "clip.frames=4",
                                       "--set",
                                       "eval.clips=1"});
  ASSERT_EQ(outcome.code, 0) << outcome.err;
  EXPECT_EQ(outcome.json()["classes"], 2);
  EXPECT_EQ(outcome.json()["total"], 6);
  EXPECT_EQ(outcome.json()["top1"].is_null(), false);
}

TEST(InspectCommand, ShowsTheConfigurationAndDrawsPairs) {
  const Program program;
  program.make_videos();
  const Outcome config = program.run_tiny("inspect", {});
  EXPECT_EQ(config.code, 2);  // config or pairs must be named
  const Outcome shown = program.run({"inspect", "config", "--config", "hmdb51_finetune"});
  EXPECT_EQ(shown.code, 0);
  EXPECT_THAT(shown.out, HasSubstr("format: hmdb51"));
  const Outcome keys = program.run({"inspect", "config", "--keys"});
  EXPECT_THAT(keys.out, HasSubstr("train.batch: "));
  EXPECT_THAT(keys.out, HasSubstr("objective.name: cstp"));
  std::vector<std::string> arguments = {"inspect", "pairs", "--count", "2", "--png", program.path("sheet.png")};
  for (const std::string& argument : program.tiny()) arguments.push_back(argument);
  const Outcome pairs = program.run(arguments);
  ASSERT_EQ(pairs.code, 0) << pairs.err;
  EXPECT_EQ(read_text_file(program.path("sheet.png")).substr(1, 3), "PNG");
}

TEST(SynthCommand, MakesVideosOnceAndRefusesAnotherRecipe) {
  const Program program;
  const std::vector<std::string> arguments = {"synth",
                                              "--output",
                                              program.path("made"),
                                              "--json",
                                              "--set",
                                              "classes=2",
                                              "--set",
                                              "train_per_class=1",
                                              "--set",
                                              "test_per_class=1",
                                              "--set",
                                              "frames=8",
                                              "--set",
                                              "width=32",
                                              "--set",
                                              "height=32"};
  EXPECT_EQ(program.run(arguments).json()["made"], 4);
  EXPECT_EQ(program.run(arguments).json()["kept"], 4);
  const Outcome other = program.run(arguments, {"--set", "seed=9"});
  EXPECT_EQ(other.code, 3) << other.err;
}

TEST(InspectCommand, CountsWhatAModelCosts) {
  const Program program;
  const std::vector<std::string> r3d50 = {"inspect", "model", "--config", "cvrl_k400.yaml"};
  const Outcome text = program.run(r3d50);
  ASSERT_EQ(text.code, 0) << text.err;
  EXPECT_THAT(text.out, HasSubstr("45.52 G"));
  EXPECT_THAT(text.out, HasSubstr("31,672,128 (31,725,248 with the running statistics"));
  EXPECT_THAT(text.out, HasSubstr("2048x8x7x7"));
  const Outcome outcome = program.run(r3d50, {"--json"});
  const auto json = outcome.json();
  EXPECT_EQ(json["multiply_adds"], 45516455936);
  EXPECT_EQ(json["parameters_with_statistics"], 31725248);
  EXPECT_EQ(json["stages"][0], (std::vector<int64_t>{256, 8, 56, 56}));
  EXPECT_EQ(json["layers"][0]["name"], "stem.0");
  EXPECT_EQ(json["layers"][0]["output"], (std::vector<int64_t>{64, 8, 112, 112}));
}

TEST(TrainCommand, DryRunsTheHdcRecipes) {
  const Program program;
  for (const char* name : {"hdc_k400_c3d", "hdc_k400_r3d18", "hdc_k400_r2plus1d10"}) {
    const Outcome outcome =
        program.run({"train", "--config", name, "--dry-run", "--set", "clip.size=32", "--set", "model.width=0.125"});
    ASSERT_EQ(outcome.code, 0) << name << outcome.err;
    EXPECT_THAT(outcome.out, HasSubstr("counted as 239,429 videos")) << name;
  }
}

}  // namespace
}  // namespace cstp
