// The tables that docs/evidence.md and the README quote, from cells with known numbers.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <unistd.h>

#include <array>
#include <cstdio>
#include <filesystem>
#include <fstream>
#include <memory>
#include <string>

namespace {

namespace fs = std::filesystem;
using testing::HasSubstr;
using testing::Not;

class EvidenceTable : public testing::Test {
 protected:
  EvidenceTable() { fs::create_directories(folder_); }
  ~EvidenceTable() override { fs::remove_all(folder_); }

  void write(const std::string& path, const std::string& text) const {
    fs::create_directories((folder_ / path).parent_path());
    std::ofstream(folder_ / path) << text;
  }
  void write_cell(const std::string& cell, double top1, const std::string& pretext = "") const {
    write(cell + "/linear.json", "{\"top1\": " + std::to_string(top1) + "}");
    if (!pretext.empty()) write(cell + "/pretext.json", pretext);
    write(cell + "/done", "");
  }
  std::string table() const {
    const std::string command = std::string(CSTP_EVIDENCE_TABLE) + " " + folder_.string();
    const std::unique_ptr<FILE, int (*)(FILE*)> pipe(popen(command.c_str(), "r"), pclose);
    std::string text;
    std::array<char, 4096> buffer{};
    while (std::fgets(buffer.data(), buffer.size(), pipe.get()) != nullptr) text += buffer.data();
    return text;
  }

 private:
  fs::path folder_ = fs::path(testing::TempDir()) / ("evidence_table_" + std::to_string(::getpid()));
};

TEST_F(EvidenceTable, AveragesFoldsThenSeedsAndGivesTheirSampleDeviation) {
  write_cell("motion/contrast/seed1/fold0", 0.2);
  write_cell("motion/contrast/seed1/fold1", 0.4);
  write_cell("motion/contrast/seed2/fold0", 0.5);
  write_cell("motion/contrast/seed2/fold1", 0.5);
  EXPECT_THAT(table(), HasSubstr("| contrast | 40.0 ± 14.1 | 2 |"));  // 30 and 50
}

TEST_F(EvidenceTable, LeavesOutASeedWhoseFoldsAreNotAllDone) {
  write_cell("motion/contrast/seed1/fold0", 0.2);
  write_cell("motion/contrast/seed1/fold1", 0.4);
  write("motion/contrast/seed2/fold0/linear.json", "{\"top1\": 0.9}");  // under way
  EXPECT_THAT(table(), HasSubstr("| contrast | 30.0 (1 seed) | 1 |"));
}

TEST_F(EvidenceTable, TakesThePartsOfAJointObjectiveIntoTheColumnsOfThoseParts) {
  // In the order of keys the constants come first; they are not what was measured.
  write_cell("motion/cvrl_sts/seed1/fold0", 0.5,
             R"({"constant_cvrl.accuracy": 0.0625, "cvrl.accuracy": 0.25, "samples": 300,
                 "sts.motion": 5.5, "constant_sts.motion": 6.5})");
  const std::string text = table();
  EXPECT_THAT(text, HasSubstr("| cvrl_sts | 50.0 (1 seed) | 25.0 (1 seed) | 1 |"));
  // 0.1875 above guessing, whose standard error is sqrt(0.0625 * 0.9375 / 300) = 0.01398.
  EXPECT_THAT(text, HasSubstr("cvrl_sts: instance 25.0 % against 6.2 % (+13 sigma of 300 pairs)"));
  EXPECT_THAT(text, HasSubstr("cvrl_sts: motion: squared error 5.500 against the labels' variance of 6.500 (1 cell)"));
}

TEST_F(EvidenceTable, MeasuresAccuraciesInStandardErrorsOverPairsAndOverSeeds) {
  const auto pretext = [](double accuracy) {
    return "{\"accuracy_rate\": " + std::to_string(accuracy) + ", \"constant_rate\": 0.5, \"samples\": 100}";
  };
  write_cell("motion/rate/seed1/fold0", 0.5, pretext(0.6));
  write_cell("motion/rate/seed2/fold0", 0.5, pretext(0.7));
  write_cell("motion/rate/seed3/fold0", 0.5, pretext(0.8));
  // 0.2 / sqrt(0.25 / 300), and 0.2 / (0.1 / sqrt 3)
  EXPECT_THAT(table(), HasSubstr("rate 70.0 % against 50.0 % (+7 sigma of 300 pairs, +3 sigma over 3 cells)"));
}

TEST_F(EvidenceTable, MeasuresErrorsInStandardErrorsOfTheirMarginOverSeeds) {
  const auto pretext = [](double error) {
    return "{\"motion\": " + std::to_string(error) + ", \"constant_motion\": 6.0, \"samples\": 10}";
  };
  write_cell("motion/sts/seed1/fold0", 0.5, pretext(5.0));
  write_cell("motion/sts/seed2/fold0", 0.5, pretext(4.9));
  write_cell("motion/sts/seed3/fold0", 0.5, pretext(4.8));
  EXPECT_THAT(table(), HasSubstr("squared error 4.900 against the labels' variance of 6.000 "
                                 "(less by 1.100 ± 0.100, +19 sigma over 3 cells)"));  // 1.1 / (0.1 / sqrt 3)
}

TEST_F(EvidenceTable, GivesTheMedianOfWhatAStepCost) {
  write_cell("motion/contrast/seed1/fold0", 0.5);
  write("cost/contrast.txt", "0.200 900\n0.100 800\n0.150 1000\n");
  EXPECT_THAT(table(), HasSubstr("| contrast | 50.0 (1 seed) | 0.150 | 900 | 1 |"));
}

TEST_F(EvidenceTable, ShowsNoRowThatHasNothingFinished) {
  write_cell("motion/contrast/seed1/fold0", 0.5);
  write("motion/overlap/seed1/fold0/train.log", "");
  EXPECT_THAT(table(), Not(HasSubstr("overlap")));
}

}  // namespace
