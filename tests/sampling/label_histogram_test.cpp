#include "cstp/sampling/label_histogram.h"

#include <gtest/gtest.h>

#include <cmath>
#include <thread>

namespace cstp {
namespace {

TEST(LabelHistogram, KnowsItsEntropy) {
  LabelHistogram histogram("spatial", 5);
  EXPECT_EQ(histogram.entropy(), 0);
  for (int64_t label = 0; label < 5; ++label) histogram.add(label);
  EXPECT_NEAR(histogram.entropy(), std::log(5.0), 1e-12);
  EXPECT_EQ(histogram.text(), "spatial .200 .200 .200 .200 .200 (entropy 1.609 of 1.609)");
}

TEST(LabelHistogram, RefusesLabelsOutsideItsClasses) {
  LabelHistogram histogram("rate", 4);
  EXPECT_THROW(histogram.add(4), std::logic_error);
  EXPECT_THROW(histogram.add(-1), std::logic_error);
}

TEST(LabelHistogram, CountsFromManyThreads) {
  LabelHistogram histogram("x", 2);
  std::vector<std::thread> threads;
  for (int i = 0; i < 4; ++i) {
    threads.emplace_back([&histogram] {
      for (int n = 0; n < 10000; ++n) histogram.add(n % 2);
    });
  }
  for (std::thread& thread : threads) thread.join();
  EXPECT_EQ(histogram.counts(), (std::vector<int64_t>{20000, 20000}));
}

TEST(OverlapHistogram, CountsEveryLabelOfAPair) {
  OverlapHistogram histogram;
  OverlapLabels labels;
  labels.spatial = 3;
  labels.rate = 2;
  labels.turns = {1, 3};
  labels.fallback = true;
  histogram.add(labels);
  EXPECT_EQ(histogram.spatial.counts()[3], 1);
  EXPECT_EQ(histogram.temporal.counts()[0], 1);
  EXPECT_EQ(histogram.turns.total(), 2);
  EXPECT_EQ(histogram.fallbacks(), 1);
  EXPECT_NE(histogram.text().find("1 pairs, 1 fell back"), std::string::npos) << histogram.text();
}

}  // namespace
}  // namespace cstp
