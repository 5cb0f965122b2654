#include "cstp/core/text.h"

#include <gtest/gtest.h>
#include <unistd.h>

#include <filesystem>
#include <fstream>

#include "cstp/core/error.h"

namespace cstp {
namespace {

TEST(Text, SplitsLinesOfEitherEnding) {
  EXPECT_EQ(split_lines("a\r\nb\n\nc"), (std::vector<std::string>{"a", "b", "", "c"}));
  EXPECT_TRUE(split_lines("").empty());
}

TEST(Text, ClosestFindsTyposAndRefusesStrangers) {
  const std::vector<std::string> keys = {"temperature", "lr", "weight_decay"};
  EXPECT_EQ(closest("temprature", keys), "temperature");
  EXPECT_EQ(closest("tepmerature", keys), "temperature");
  EXPECT_EQ(closest("rl", keys), "lr");
  EXPECT_EQ(closest("completely_else", keys), "");
}

TEST(Text, NumbersReadBack) {
  for (const double value : {0.1, 1e-5, 0.00060993, 3.0, -1.0 / 3.0}) EXPECT_EQ(std::stod(number_text(value)), value);
  EXPECT_EQ(number_text(0.1), "0.1");
}

TEST(Text, SizesAndTimesForPeople) {
  EXPECT_EQ(count_text(239429), "239,429");
  EXPECT_EQ(count_text(-1234), "-1,234");
  EXPECT_EQ(count_text(12), "12");
  EXPECT_EQ(bytes_text(1536), "1.5 KiB");
  EXPECT_EQ(duration_text(0.25), "250 ms");
  EXPECT_EQ(duration_text(63.2), "1 min 03 s");
  EXPECT_EQ(duration_text(3723), "1 h 02 min");
}

TEST(Text, BarFillsFromEmptyToFull) {
  EXPECT_EQ(bar_text(0, 8, 4), "[>   ]   0 %");
  EXPECT_EQ(bar_text(4, 8, 4), "[==> ]  50 %");
  EXPECT_EQ(bar_text(8, 8, 4), "[====] 100 %");
}

TEST(WriteFileAtomically, ReplacesTheWholeFile) {
  const auto path = std::filesystem::temp_directory_path() / cat("cstp_text_test_", ::getpid());
  write_file_atomically(path.string(), "first");
  write_file_atomically(path.string(), "second");
  EXPECT_EQ(read_text_file(path.string()), "second");
  std::filesystem::remove(path);
}

TEST(WriteFileAtomically, NamesTheCauseAndLeavesTheOldFile) {
  const auto folder = std::filesystem::temp_directory_path() / cat("cstp_text_test_dir_", ::getpid());
  EXPECT_THROW(write_file_atomically((folder / "none" / "x").string(), "text"), DataError);
  EXPECT_FALSE(std::filesystem::exists(folder));
}

TEST(Fingerprint, IsTheKnownFnv1a) {
  EXPECT_EQ(hex_text(fingerprint("")), "cbf29ce484222325");
  EXPECT_EQ(hex_text(fingerprint("a")), "af63dc4c8601ec8c");
}

}  // namespace
}  // namespace cstp
