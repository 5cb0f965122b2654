#include "cstp/core/error.h"

#include <gtest/gtest.h>

namespace cstp {
namespace {

TEST(Error, TypeIsTheExitCode) {
  EXPECT_EQ(static_cast<int>(UsageError("").code()), 2);
  EXPECT_EQ(static_cast<int>(ConfigError("").code()), 2);
  EXPECT_EQ(static_cast<int>(DataError("").code()), 3);
  EXPECT_EQ(static_cast<int>(DecodeError("").code()), 3);
  EXPECT_EQ(static_cast<int>(CheckpointError("").code()), 4);
  EXPECT_EQ(static_cast<int>(NumericError("").code()), 5);
  EXPECT_EQ(static_cast<int>(DeviceError("").code()), 6);
}

TEST(Check, NamesThePlaceAndSaysBug) {
  try {
    check(1 > 2, "one is more than two");
    FAIL() << "check() let it pass";
  } catch (const std::logic_error& error) {
    const std::string text = error.what();
    EXPECT_NE(text.find("bug in cstp: one is more than two (error_test.cpp:"), std::string::npos) << text;
  }
}

}  // namespace
}  // namespace cstp
