// scripts/gpu_check.sh over bundles of stand-ins: programs that print what real ones would on a GPU, a Python script
// that says what the machine is. What the real ones print can be seen on a machine with a GPU alone.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <sys/wait.h>
#include <unistd.h>

#include <array>
#include <cstdio>
#include <filesystem>
#include <fstream>
#include <string>

namespace {

namespace fs = std::filesystem;
using testing::EndsWith;
using testing::HasSubstr;
using testing::Not;

const std::string kSource = CSTP_SOURCE_FOLDER;

struct Outcome {
  int code = 0;
  std::string text;  ///< of both streams
};

Outcome run(const std::string& command) {
  Outcome outcome;
  FILE* pipe = popen(("( " + command + " ) 2>&1").c_str(), "r");
  std::array<char, 4096> buffer{};
  while (std::fgets(buffer.data(), buffer.size(), pipe) != nullptr) outcome.text += buffer.data();
  outcome.code = WEXITSTATUS(pclose(pipe));
  return outcome;
}

constexpr const char* kAnswersHelp = "#!/bin/sh\ncase $1 in --help|--gtest_list_tests) exit 0;; esac\n";
constexpr const char* kMachine =
    R"({"kind":"facts","gpu":"A GPU","memory_bytes":1,"driver":"1","cores":2,"torch":"2","cudnn":9,"torchvision":null,)"
    R"("nvdec":false,"gemm_flops_per_second":8e14,"copy_bytes_per_second":4e12})";

class GpuCheck : public testing::Test {
 protected:
  void SetUp() override {
    if (run("python3 -c ''").code != 0) GTEST_SKIP() << "there is no python3 here";
    fs::create_directories(folder_ / "bundle/bin");
    fs::create_directories(folder_ / "bundle/peers");
    fs::copy(kSource + "/tools/peers/gpu_table.py", folder_ / "bundle/peers");
    machine("print('''" + std::string(kMachine) + "''')");
  }
  void TearDown() override { fs::remove_all(folder_); }

  /// What says what the machine is; `code` runs where that is asked.
  void machine(const std::string& code) const {
    write("peers/gpu_facts.py",
          "import sys\nif sys.argv[1] == 'libraries':\n  print('/nowhere')\nelse:\n  " + code + "\n");
  }
  void write(const std::string& path, const std::string& text) const {
    std::ofstream(folder_ / "bundle" / path) << text;
  }
  /// A program that answers --help, and does `script` else.
  void program(const std::string& name, const std::string& script) const {
    write("bin/" + name, kAnswersHelp + script);
    fs::permissions(folder_ / "bundle/bin" / name, fs::perms::owner_all);
  }
  Outcome check(const std::string& options = "", const std::string& bundle = "bundle") const {
    return run(kSource + "/scripts/gpu_check.sh " + (folder_ / bundle).string() + " " + options);
  }
  std::string in_folder(const std::string& name) const { return (folder_ / name).string(); }

 private:
  fs::path folder_ = fs::path(testing::TempDir()) / ("gpu_check_" + std::to_string(::getpid()));
};

TEST_F(GpuCheck, WithoutAGpuSaysSoInASentenceAndLeavesWithTheCodeOfADevice) {
  machine("sys.exit(6)");
  program("bench_step", "exit 1");
  program("norms_tests", "exit 1");
  const Outcome outcome = check();
  EXPECT_EQ(outcome.code, 6);
  EXPECT_EQ(outcome.text,
            "gpu_check.sh: no GPU is usable here: nothing was measured; the 2 programs of the bundle start\n");
}

TEST_F(GpuCheck, TakesTheArchiveToo) {
  machine("sys.exit(6)");
  program("bench_step", "");
  ASSERT_EQ(run("tar -C " + in_folder("bundle") + " -cf " + in_folder("bundle.tar") + " .").code, 0);
  const Outcome outcome = check("", "bundle.tar");
  EXPECT_EQ(outcome.code, 6);
  EXPECT_THAT(outcome.text, HasSubstr("the 1 programs of the bundle start"));
}

TEST_F(GpuCheck, NamesAProgramThatDoesNotStart) {
  machine("sys.exit(6)");
  program("bench_step", "");
  write("bin/norms_tests", "#!/bin/sh\necho libgone.so: cannot open shared object file >&2\nexit 127\n");
  fs::permissions(in_folder("bundle/bin/norms_tests"), fs::perms::owner_all);
  const Outcome outcome = check();
  EXPECT_EQ(outcome.code, 1);
  EXPECT_THAT(outcome.text, HasSubstr("norms_tests of the bundle does not start here: libgone.so: cannot open"));
}

TEST_F(GpuCheck, RefusesWhatIsNoBundle) {
  EXPECT_EQ(check("", "nothing").code, 2);
  EXPECT_EQ(check("--only sleep").code, 2);
  fs::remove_all(in_folder("bundle/bin"));
  const Outcome outcome = check();
  EXPECT_EQ(outcome.code, 2);
  EXPECT_THAT(outcome.text, HasSubstr("is no bundle of scripts/gpu_bundle.sh"));
}

TEST_F(GpuCheck, RemovesNoFolderButItsOwn) {
  machine("sys.exit(6)");
  program("bench_step", "");
  const std::string own = "--out " + in_folder("own"), other = "--out " + in_folder("bundle");
  EXPECT_EQ(check(own).code, 6);
  EXPECT_EQ(check(own).code, 6);
  EXPECT_EQ(check(other).code, 2);
  EXPECT_TRUE(fs::exists(in_folder("bundle/peers")));
}

TEST_F(GpuCheck, APartThatFailsDoesNotEndTheRest) {
  program("a_tests", "echo the device went away >&2; exit 6\n");
  program("b_tests",
          "cat > ${2#--gtest_output=json:} << END\n"
          R"({"testsuites":[{"testsuite":[{"name":"X","classname":"CudaB","result":"COMPLETED"}]}]})"
          "\nEND\n");
  const Outcome outcome = check("--only tests --json " + in_folder("table.json"));
  EXPECT_EQ(outcome.code, 1);
  EXPECT_THAT(outcome.text,
              HasSubstr("| tests | a_tests |  | all pass | not measured: the device went away (exit code 6) |"));
  EXPECT_THAT(outcome.text, HasSubstr("| tests | b_tests | 1 passed | all pass | met |"));
  EXPECT_THAT(outcome.text, EndsWith("1 targets met, 0 missed, 1 rows not measured\n"));
  EXPECT_TRUE(fs::exists(in_folder("table.json")));
}

TEST_F(GpuCheck, SkippedTestsAreNotPassed) {
  program("a_tests",
          "cat > ${2#--gtest_output=json:} << END\n"
          R"({"testsuites":[{"testsuite":[{"name":"X","classname":"CudaA","result":"SKIPPED"}]}]})"
          "\nEND\n");
  EXPECT_THAT(check("--only tests").text,
              HasSubstr("| tests | a_tests | 0 passed | all pass | not measured: 1 of 1 were skipped |"));
}

TEST_F(GpuCheck, AFailedTestIsNamed) {
  program("a_tests",
          "cat > ${2#--gtest_output=json:} << END\n"
          R"({"testsuites":[{"testsuite":[{"name":"X","classname":"CudaA","result":"COMPLETED","failures":[{}]}]}]})"
          "\nEND\nexit 1\n");
  EXPECT_THAT(check("--only tests").text,
              HasSubstr("| tests | a_tests | 0 passed, failed: CudaA.X | all pass | missed |"));
}

/// 1,000 clips/s of 2.4e11 operations and 1e9 bytes, where the machine does 8e14 and 4e12 a second: 30 % of the matrix
/// rate; bytes allow 4,000 clips/s and operations 3,333, so that the roofline is 3,333.
TEST_F(GpuCheck, AStepIsHeldAgainstRivalsRatesAndMemory) {
  write("peers/networks.py", R"(print('{"kind":"floor","model":"r3d18","bytes_per_clip":1e9}'))");
  program("bench_step", R"(cat << END
{"kind":"machine","gemm_flops_per_second":8e14,"copy_bytes_per_second":4e12}
{"kind":"step","who":"ours","model":"r3d18","batch":10,"clips_per_second":1000,"cuda_graph":true,"gemm_fraction":0.3,"flops_per_step":2.4e12,"peak_bytes":5e9}
{"kind":"step","who":"peer","model":"r3d18","variant":"channels_last","clips_per_second":400,"ratio_wall":2.5,"peak_bytes":6e9}
{"kind":"step","who":"peer","model":"r3d18","variant":"max_autotune","error":"it did not compile"}
END
echo "bench_step: not measured: max_autotune" >&2
exit 3
)");
  const Outcome outcome = check("--only step --model r3d18");
  EXPECT_EQ(outcome.code, 1);
  EXPECT_THAT(outcome.text, HasSubstr("A GPU, 0 GiB, driver 1, 2 cores"));
  EXPECT_THAT(outcome.text, HasSubstr("channels-last | 2.50 times as fast (it: 400 clips/s) | >= 2 times | met |"));
  EXPECT_THAT(outcome.text, HasSubstr("max-autotune |  | >= 1.3 times | not measured: it did not compile |"));
  EXPECT_THAT(outcome.text, HasSubstr("(MFU) | 30% of 800 TFLOP/s | >= 40 % | missed |"));
  EXPECT_THAT(outcome.text, HasSubstr("roofline | 30% of 3,333 clips/s (operations) | >= 70 % | missed |"));
  EXPECT_THAT(outcome.text,
              HasSubstr("peak memory | 5.00 GB; theirs: 6.00 (eager, channels-last) | <= theirs | met |"));
}

TEST_F(GpuCheck, AStepThatNoGraphTakesIsMeasuredWithoutOne) {
  write("peers/networks.py", "");
  program(
      "bench_step",
      "case \"$*\" in *--cuda-graph*) echo no graph >&2; exit 6;; esac\ncat << END\n"
      R"({"kind":"machine","gemm_flops_per_second":8e14,"copy_bytes_per_second":4e12})"
      "\n"
      R"({"kind":"step","who":"ours","model":"s3dg","batch":1,"clips_per_second":7,"cuda_graph":false,"gemm_fraction":0.3,"flops_per_step":1,"peak_bytes":1})"
      "\nEND\n");
  EXPECT_THAT(check("--only step --model s3dg").text, HasSubstr("| step | s3dg 64x224 | 7 clips/s, batch 1 |"));
}

TEST_F(GpuCheck, ClipsThatTheGpuDidNotDecodeAreCounted) {
  fs::create_directories(in_folder("bundle/videos"));
  write("bin/bench_loader", R"(#!/bin/sh
case "$*" in
  *--help*) echo "--decode TEXT:{cpu,cuda}" ;;
  *cuda*) echo '{"clips":8,"clips_by_gpu":6,"threads":2,"clips_per_second":300}' ;;
  *) echo '{"clips":8,"clips_by_gpu":0,"threads":2,"clips_per_second":100}' ;;
esac
)");
  fs::permissions(in_folder("bundle/bin/bench_loader"), fs::perms::owner_all);
  const Outcome outcome = check("--only decode");
  EXPECT_EQ(outcome.code, 0);
  EXPECT_THAT(outcome.text, HasSubstr("| decode | 240p H.264, CPU | 100 clips/s, 2 threads |"));
  EXPECT_THAT(outcome.text, HasSubstr("| 300 clips/s, 2 threads, 3.00 times the CPU's, but only 6 of 8 by the GPU |"));
}

/// The first fifth warms up: 10 lines, of which 8 count.
TEST_F(GpuCheck, TrainingIsToldByItsSteadyPart) {
  fs::create_directories(in_folder("bundle/configs"));
  write("metrics.py", R"(import sys
for step in range(1, 11):
  print('{"step":%d,"loss":%f,"accuracy_spatial":0.5,"clips_per_second":%d,"stages":{"wait":%f,"gather":0,"forward":1,'
        '"backward":0,"update":0,"rest":0}}' % (step, 10 - step, 5 if step < 3 else 700, 9 if step < 3 else 0.25))
)");
  program("cstp", R"([ $1 = train ] || exit 0
for output; do :; done
mkdir -p $output
python3 $(dirname $0)/../metrics.py > $output/metrics.jsonl
echo '{"steps":10,"clips_per_second":700}'
)");
  const Outcome outcome = check("--only train --seconds 1 --json " + in_folder("table.json"));
  EXPECT_THAT(outcome.text, HasSubstr("| train | steady throughput | 700 clips/s over 10 steps |"));
  EXPECT_THAT(outcome.text, HasSubstr("| train | waiting for data | 20.0% of a step | < 5 % | missed |"));
  EXPECT_THAT(outcome.text, HasSubstr("| train | loss | 9.000 -> 0.000 |"));
  EXPECT_THAT(run("cat " + in_folder("table.json")).text, HasSubstr("\"loss\": 6.0"));  // the curve, for the document
  EXPECT_THAT(outcome.text, HasSubstr("contrastive loss and heads |  | < 3 % | not measured"));
}

TEST_F(GpuCheck, WhatNoTimeIsLeftForIsNotMeasured) {
  program("bench_render_cuda", "echo '{}'\n");
  EXPECT_THAT(check("--only render --limit 5").text, HasSubstr("not measured: the time given was up (--limit)"));
}

TEST(Scripts, AreShell) {
  for (const auto& file : fs::directory_iterator(kSource + "/scripts")) {
    const Outcome outcome = run("bash -n " + file.path().string());
    EXPECT_EQ(outcome.code, 0) << outcome.text;
  }
}

}  // namespace
