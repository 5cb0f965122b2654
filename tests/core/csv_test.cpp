#include "cstp/core/csv.h"

#include <gmock/gmock.h>

#include "cstp/core/error.h"

namespace cstp {
namespace {

using testing::ElementsAre;

TEST(Csv, ReadsBackWhatItWrites) {
  const std::vector<std::string> awkward = {"plain", "", "a,b", "she said \"no\"", "two\nlines", " #1;[x] "};
  EXPECT_THAT(parse_csv(csv_line(awkward) + csv_line({"next"})), ElementsAre(awkward, ElementsAre("next")));
  EXPECT_EQ(csv_line({"a", "b,c"}), "a,\"b,c\"\n");
}

TEST(Csv, TakesForeignLineEndsAndNoticesACutFile) {
  EXPECT_THAT(parse_csv("a,b\r\nc,d"), ElementsAre(ElementsAre("a", "b"), ElementsAre("c", "d")));
  EXPECT_TRUE(parse_csv("").empty());
  EXPECT_THROW(parse_csv("a,\"b"), DataError);
}

}  // namespace
}  // namespace cstp
