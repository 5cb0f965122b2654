#include "cstp/engine/metrics.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <torch/torch.h>
#include <unistd.h>

#include <filesystem>
#include <limits>

#include "cstp/core/error.h"
#include "cstp/core/text.h"

namespace cstp {
namespace {

using testing::HasSubstr;

LossTerms terms(float total, float part) {
  LossTerms t;
  t.total = torch::tensor(total);
  t.parts = {{"contrast", torch::tensor(part)}};
  return t;
}

TEST(Metrics, ReportsMeansAndStartsAnew) {
  const std::string path =
      (std::filesystem::temp_directory_path() / cat("cstp_metrics_", ::getpid(), ".jsonl")).string();
  std::filesystem::remove(path);
  Metrics metrics(path, 0, 10);
  metrics.add(terms(1, 10), torch::tensor(2.0F), 4);
  metrics.add(terms(3, 20), torch::tensor(4.0F), 4);
  EXPECT_DOUBLE_EQ(metrics.report(2, 0.5, 0.1, "\"bad_videos\":0", "std 1", "").loss, 2);
  metrics.add(terms(5, 30), torch::tensor(4.0F), 4);
  EXPECT_DOUBLE_EQ(metrics.report(3, 0.5, 0.1, "", "", "").loss, 5);
  const auto lines = split_lines(read_text_file(path));
  ASSERT_EQ(lines.size(), 2U);
  EXPECT_THAT(lines[0],
              HasSubstr("\"step\":2,\"epoch\":0.5,\"lr\":0.1,\"loss\":2,\"gradient_norm\":3,\"contrast\":15"));
  EXPECT_THAT(lines[0], HasSubstr("\"bad_videos\":0}"));
  const Metrics resumed(path, 2, 10);  // a run killed after step 3, resumed at step 2
  EXPECT_EQ(split_lines(read_text_file(path)).size(), 1U);
  std::filesystem::remove(path);
}

TEST(Metrics, KeepsDetailsOutOfTheLogLine) {
  const std::string path =
      (std::filesystem::temp_directory_path() / cat("cstp_details_", ::getpid(), ".jsonl")).string();
  std::filesystem::remove(path);
  Metrics metrics(path, 0, 10);
  LossTerms detailed = terms(1, 10);
  detailed.parts.emplace_back("sc4/loss", torch::tensor(3.0F));
  metrics.add(detailed, torch::tensor(2.0F), 4);
  const std::string line = metrics.report(1, 0.5, 0.1, "", "", "").line;
  EXPECT_THAT(line, HasSubstr("contrast 10"));
  EXPECT_THAT(line, testing::Not(HasSubstr("sc4")));
  EXPECT_THAT(read_text_file(path), HasSubstr("\"sc4/loss\":3"));
  std::filesystem::remove(path);
}

TEST(Metrics, StopsAtWhatIsNotFiniteAndNamesIt) {
  Metrics metrics("", 0, 10);
  metrics.add(terms(1, std::numeric_limits<float>::quiet_NaN()), torch::tensor(1.0F), 4);
  try {
    metrics.require_finite(7, "runs/a/step-00000005.safetensors");
    FAIL();
  } catch (const NumericError& error) {
    EXPECT_THAT(error.what(), HasSubstr("step 7: not finite: contrast = "));
    EXPECT_THAT(error.what(), HasSubstr("the last good checkpoint is runs/a/step-00000005.safetensors"));
  }
  EXPECT_THROW(metrics.report(7, 0, 0, "", "", ""), NumericError);
}

}  // namespace
}  // namespace cstp
