#include "cstp/cli/launcher.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "cstp/core/error.h"

namespace cstp {
namespace {

using testing::HasSubstr;

TEST(ParseGpus, ReadsNumbersAndRanges) {
  EXPECT_EQ(parse_gpus("0-3"), (std::vector<int64_t>{0, 1, 2, 3}));
  EXPECT_EQ(parse_gpus("2,0"), (std::vector<int64_t>{2, 0}));
  EXPECT_EQ(parse_gpus("1,4-5"), (std::vector<int64_t>{1, 4, 5}));
}

TEST(ParseGpus, RefusesWhatNamesNoGpus) {
  for (const char* text : {"", "a", "3-1", "0,,1", "-1", "0-", "0-3,2", "0-99999"}) {
    EXPECT_THROW(parse_gpus(text), UsageError) << text;
  }
}

TEST(LaunchRanks, RefusesBothKindsAtOnce) {
  try {
    launch_ranks({.gpus = "0", .ranks = 2});
    FAIL() << "no error";
  } catch (const UsageError& error) {
    EXPECT_THAT(error.what(), HasSubstr("cannot be given together"));
  }
}

}  // namespace
}  // namespace cstp
