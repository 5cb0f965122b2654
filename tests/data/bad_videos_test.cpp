#include <gmock/gmock.h>

#include "cstp/core/error.h"
#include "cstp/core/text.h"
#include "cstp/data/clip_loader.h"
#include "temporary_folder.h"

namespace cstp {
namespace {

using ::testing::HasSubstr;

StreamPlace place(uint64_t epoch, int64_t position) { return {.epoch = epoch, .position = position, .record = 0}; }

TEST(BadVideos, AreWrittenToTheJournalAndReplayedFromIt) {
  TemporaryFolder run;
  const std::string journal = run / "bad.jsonl";
  {
    BadVideos bad(journal, 1000, 0.1);
    EXPECT_FALSE(std::filesystem::exists(journal));  // nothing bad, no file
    bad.report(place(2, 7), 0, {"a \"quoted\"\n.avi", 1}, "no frames");
    bad.report(place(2, 7), 1, {"b\xFF.avi", 1}, "timed out");
    bad.report(place(3, 1), 0, {"b\xFF.avi", 1}, "timed out");
    EXPECT_EQ(bad.count(), 2);
    EXPECT_EQ(split_lines(read_text_file(journal)).size(), 3U);
  }
  BadVideos again(journal, 1000, 0.1);
  EXPECT_EQ(again.count(), 2);
  EXPECT_TRUE(again.known(2, 7, 0));
  EXPECT_TRUE(again.known(2, 7, 1));
  EXPECT_TRUE(again.known(3, 1, 0));
  EXPECT_FALSE(again.known(2, 7, 2));
  EXPECT_FALSE(again.known(7, 2, 0));
  again.report(place(9, 9), 0, {"b\xFF.avi", 1}, "timed out");
  EXPECT_EQ(again.count(), 2);  // the same file, though its name is no UTF-8
}

TEST(BadVideos, SurviveALineThatWasCutOff) {
  TemporaryFolder run;
  const std::string journal = run.write(
      "bad.jsonl", "{\"epoch\":0,\"position\":1,\"attempt\":0,\"path\":\"a\",\"cause\":\"c\"}\n{\"epoch\":0,\"pos");
  {
    BadVideos bad(journal, 1000, 0.1);
    EXPECT_EQ(bad.count(), 1);
    bad.report(place(0, 5), 0, {"b", -1}, "c");
  }
  BadVideos again(journal, 1000, 0.1);
  EXPECT_TRUE(again.known(0, 1, 0));
  EXPECT_TRUE(again.known(0, 5, 0));
}

TEST(BadVideos, StopTheRunAboveTheirShare) {
  BadVideos bad("", 100, 0.02);
  bad.report(place(0, 0), 0, {"a", -1}, "c");
  bad.report(place(0, 1), 0, {"b", -1}, "c");
  bad.report(place(1, 1), 0, {"b", -1}, "c");  // no new video
  const std::string message = message_of<DataError>([&] { bad.report(place(0, 2), 0, {"d.avi", -1}, "no frames"); });
  EXPECT_THAT(message, HasSubstr("3 of 100"));
  EXPECT_THAT(message, HasSubstr("d.avi: no frames"));
  EXPECT_THAT(message, HasSubstr("data.max_bad"));
}

TEST(BadVideos, AreToleratedOnceInASmallSetUnlessTheShareIsZero) {
  BadVideos one("", 10, 0.02);
  EXPECT_NO_THROW(one.report(place(0, 0), 0, {"a", -1}, "c"));
  EXPECT_THROW(one.report(place(0, 1), 0, {"b", -1}, "c"), DataError);
  BadVideos none("", 10, 0);
  EXPECT_THROW(none.report(place(0, 0), 0, {"a", -1}, "c"), DataError);
}

TEST(BadVideos, StopTheResumedRunToo) {
  TemporaryFolder run;
  const std::string journal = run / "bad.jsonl";
  {
    BadVideos bad(journal, 100, 1);
    for (int64_t i = 0; i < 5; ++i) bad.report(place(0, i), 0, {cat("v", i), -1}, "c");
  }
  EXPECT_THROW(BadVideos(journal, 100, 0.02), DataError);
  EXPECT_NO_THROW(BadVideos(journal, 100, 0.05));
}

TEST(BadVideos, SayWhereTheJournalCannotBeWritten) {
  BadVideos bad("/nowhere/at/all/bad.jsonl", 100, 0.5);
  EXPECT_THAT(message_of<DataError>([&] {
                bad.report(place(0, 0), 0, {"a", -1}, "c");
              }),
              HasSubstr("/nowhere/at/all/bad.jsonl"));
}

}  // namespace
}  // namespace cstp
