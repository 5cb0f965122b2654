#include "cstp/engine/result.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cmath>

#include "made_result.h"

namespace cstp {
namespace {

using testing::ElementsAre;
using testing::Pair;

TEST(MeanAndStd, AreOfASample) {
  const MeanAndStd three = mean_and_std({1, 2, 6});
  EXPECT_EQ(three.mean, 3);
  EXPECT_NEAR(*three.std, std::sqrt((4 + 1 + 9) / 2.0), 1e-12);
  EXPECT_FALSE(mean_and_std({5}).std.has_value());
}

TEST(ResultDocument, KeepsTheContractAndSaysNullWhereNothingIsDefined) {
  const Document document = MadeResult{}.document();
  EXPECT_EQ(document["protocol"], "linear");
  EXPECT_EQ(document["top1"], 0.5);
  EXPECT_TRUE(document["top5"].is_null());
  EXPECT_EQ(document["provenance"]["protocol"], "ucf101-linear-v1");
  EXPECT_EQ(document["provenance"]["settings"]["eval.clips"], "10");
  EXPECT_EQ(document["provenance"]["splits"], Document::array({1}));
  EXPECT_EQ(document["provenance"]["weights"]["objective"].get<std::string>().substr(0, 6), "cstp {");
  EXPECT_THAT(metrics_of(document), ElementsAre(Pair("top1", 0.5), Pair("top5", std::nullopt), Pair("clip_top1", 0.25),
                                                Pair("clip_top5", std::nullopt)));
}

TEST(ResultDocument, MetricsOfARetrievalAreItsRecallsAndItsMeanPrecision) {
  const Document retrieval = {{"recall", {{"1", 0.5}, {"50", nullptr}}}, {"map", 0.25}, {"queries", 3}, {"gallery", 4}};
  EXPECT_THAT(metrics_of(retrieval), ElementsAre(Pair("R@1", 0.5), Pair("R@50", std::nullopt), Pair("map", 0.25)));
}

TEST(MeanOfSplits, AveragesMetricsAndAddsUpVideos) {
  const Document one = MadeResult{.top1 = 0.4}.document();
  const Document two =
      MadeResult{.sets = {"data.split=2"}, .top1 = 0.6, .decoded = 9, .test_videos = "other"}.document();
  const Document mean = mean_of_splits({one, two});
  EXPECT_DOUBLE_EQ(mean["top1"], 0.5);
  EXPECT_NEAR(mean["top1_std"].get<double>(), std::sqrt(0.02), 1e-12);
  EXPECT_TRUE(mean["top5"].is_null());
  EXPECT_TRUE(mean["top5_std"].is_null());
  EXPECT_EQ(mean["decoded"], 19);
  EXPECT_EQ(mean["total"], 20);
  EXPECT_EQ(mean["splits"], Document::array({1, 2}));
  EXPECT_EQ(mean["provenance"]["splits"], Document::array({1, 2}));
  EXPECT_EQ(mean["per_split"][1]["top1"], 0.6);
  EXPECT_NE(mean["provenance"]["test_data_hash"], one["provenance"]["test_data_hash"]);
  EXPECT_EQ(mean["lr"], 0.1);
  EXPECT_THAT(metrics_of(mean), ElementsAre(Pair("top1", 0.5), Pair("top5", std::nullopt), Pair("clip_top1", 0.25),
                                            Pair("clip_top5", std::nullopt)));
}

TEST(MeanOfSplits, IsUndefinedWhereOneSplitIs) {
  Document two = MadeResult{.sets = {"data.split=2"}}.document();
  two["top1"] = nullptr;
  EXPECT_TRUE(mean_of_splits({MadeResult{}.document(), two})["top1"].is_null());
}

}  // namespace
}  // namespace cstp
