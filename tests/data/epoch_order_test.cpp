#include "cstp/data/epoch_order.h"

#include <gtest/gtest.h>

#include <set>
#include <thread>
#include <vector>

namespace cstp {
namespace {

std::vector<int64_t> records(const EpochOrder& order, int64_t first, int64_t last) {
  std::vector<int64_t> result;
  for (int64_t n = first; n < last; ++n) result.push_back(order.at(n).record);
  return result;
}

TEST(EpochOrder, ShowsEveryRecordOnceAnEpoch) {
  const EpochOrder order(1, 12, 4);
  EXPECT_EQ(order.steps_per_epoch(), 3);
  for (int64_t epoch = 0; epoch < 5; ++epoch) {
    const std::vector<int64_t> seen = records(order, epoch * 12, (epoch + 1) * 12);
    EXPECT_EQ(std::set<int64_t>(seen.begin(), seen.end()).size(), 12U);
  }
  EXPECT_NE(records(order, 0, 12), records(order, 12, 24));
}

TEST(EpochOrder, LeavesTheRemainderOut) {
  const EpochOrder order(1, 10, 4);
  EXPECT_EQ(order.steps_per_epoch(), 2);
  EXPECT_EQ(order.at(7).epoch, 0U);
  EXPECT_EQ(order.at(8).epoch, 1U);
  EXPECT_EQ(order.at(8).position, 0);
}

TEST(EpochOrder, RepeatsThePermutationWhereTheBatchIsLarger) {
  const EpochOrder order(1, 3, 8);
  EXPECT_EQ(order.steps_per_epoch(), 1);
  const std::vector<int64_t> seen = records(order, 0, 8);
  EXPECT_EQ(std::set<int64_t>(seen.begin(), seen.end()).size(), 3U);
  EXPECT_EQ(seen[0], seen[3]);
  EXPECT_EQ(seen[1], seen[7]);
  EXPECT_EQ(order.at(8).epoch, 1U);
}

TEST(EpochOrder, IsAFunctionOfSeedEpochAndPosition) {
  const EpochOrder order(7, 100, 10), same(7, 100, 10), other(8, 100, 10);
  const std::vector<int64_t> forward = records(order, 0, 1000);
  for (int64_t n = 999; n >= 0; n -= 37)
    EXPECT_EQ(same.at(n).record, forward[static_cast<size_t>(n)]);  // also backwards
  EXPECT_NE(records(other, 0, 100), records(order, 0, 100));
}

TEST(EpochOrder, IsTheRecordsOrderWithoutShuffling) {
  const EpochOrder order(1, 4, 2, false);
  EXPECT_EQ(records(order, 0, 6), (std::vector<int64_t>{0, 1, 2, 3, 0, 1}));
}

TEST(EpochOrder, PutsEveryRecordEverywhere) {  // counts of record 0 per position over 4,000 epochs
  const EpochOrder order(3, 5, 5);
  std::vector<int> count(5);
  for (int64_t n = 0; n < 20000; ++n) count[static_cast<size_t>(order.at(n).position)] += order.at(n).record == 0;
  for (const int c : count) EXPECT_NEAR(c, 800, 4 * 25.3);
}

TEST(EpochOrder, ReplacesWithAnotherRecordDrawnFromThePlace) {
  const EpochOrder order(3, 5, 5);
  std::set<int64_t> seen;
  for (int64_t n = 0; n < 500; ++n) {
    const StreamPlace place = order.at(n);
    const int64_t other = order.replacement(place, 1);
    EXPECT_NE(other, place.record);
    EXPECT_GE(other, 0);
    EXPECT_LT(other, 5);
    EXPECT_EQ(other, order.replacement(place, 1));
    seen.insert(order.replacement(place, 2));
  }
  EXPECT_EQ(seen.size(), 5U);
  EXPECT_EQ(EpochOrder(3, 1, 1).replacement({.epoch = 0, .position = 0, .record = 0}, 1), 0);
}

TEST(EpochOrder, GivesTheSameToManyThreads) {
  const EpochOrder order(5, 1000, 10);
  const std::vector<int64_t> expected = records(EpochOrder(5, 1000, 10), 0, 8000);
  std::vector<std::thread> threads;
  std::vector<int> wrong(4);
  for (size_t t = 0; t < 4; ++t) {
    threads.emplace_back([&, t] {
      for (int64_t n = static_cast<int64_t>(t) * 250; n < 8000; n += 7)
        wrong[t] += order.at(n).record != expected[static_cast<size_t>(n)];
    });
  }
  for (std::thread& thread : threads) thread.join();
  EXPECT_EQ(wrong, (std::vector<int>{0, 0, 0, 0}));
}

}  // namespace
}  // namespace cstp
