#include "cstp/data/epoch_order.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <numeric>
#include <set>
#include <span>
#include <thread>
#include <vector>

#include "cstp/core/random.h"

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

/// Shards of 7, 1, 12 and 10 records, numbered as they do not lie.
std::vector<std::vector<int64_t>> some_shards() {
  std::vector<int64_t> numbers(30);
  std::iota(numbers.begin(), numbers.end(), int64_t{0});
  Rng(5).shuffle(std::span(numbers));
  std::vector<std::vector<int64_t>> shards;
  size_t at = 0;
  for (const size_t size : {7, 1, 12, 10}) {
    shards.emplace_back(numbers.begin() + static_cast<ptrdiff_t>(at),
                        numbers.begin() + static_cast<ptrdiff_t>(at + size));
    at += size;
  }
  return shards;
}

TEST(ShardOrder, WithABufferOfOneReadsShardsFromFrontToBack) {
  const auto shards = some_shards();
  const EpochOrder order(3, shards, 1, 5);
  std::set<std::vector<int64_t>> sequences;
  for (int64_t epoch = 0; epoch < 24; ++epoch) {
    std::vector<int64_t> seen = records(order, epoch * 30, (epoch + 1) * 30);
    sequences.insert(seen);
    std::set<size_t> taken;
    for (size_t at = 0; at < seen.size();) {  // whole shards, each once
      const auto shard = std::find_if(shards.begin(), shards.end(), [&](const auto& s) { return s[0] == seen[at]; });
      ASSERT_NE(shard, shards.end());
      EXPECT_TRUE(taken.insert(static_cast<size_t>(shard - shards.begin())).second);
      for (const int64_t record : *shard) EXPECT_EQ(seen[at++], record);
    }
  }
  EXPECT_GT(sequences.size(), 10U);  // of the 24 orders of four shards
}

TEST(ShardOrder, ShowsEveryRecordOnceAnEpochAndNoneBeforeTheBufferReachesIt) {
  const auto shards = some_shards();
  for (const int64_t buffer : {1, 4, 11, 30, 1000}) {
    const EpochOrder order(9, shards, buffer, 10), same(9, shards, buffer, 10), front(9, shards, 1, 10);
    for (int64_t epoch = 0; epoch < 5; ++epoch) {
      const std::vector<int64_t> seen = records(order, epoch * 30, (epoch + 1) * 30);
      EXPECT_EQ(std::set<int64_t>(seen.begin(), seen.end()).size(), 30U);
      const std::vector<int64_t> sequence = records(front, epoch * 30, (epoch + 1) * 30);
      for (int64_t p = 0; p < 30; ++p) {  // the same shards, read ahead by no more than the buffer
        const auto at = std::find(sequence.begin(), sequence.end(), seen[static_cast<size_t>(p)]) - sequence.begin();
        EXPECT_LT(at, p + buffer);
      }
      EXPECT_EQ(seen == sequence, buffer == 1);
    }
    // A run that goes on in mid-epoch sees the rest of it.
    for (int64_t n = 149; n >= 0; n -= 7) EXPECT_EQ(same.at(n).record, order.at(n).record);
  }
}

TEST(ShardOrder, MixesAcrossShardsAsFarAsTheBufferReaches) {
  const std::vector<std::vector<int64_t>> shards = {{0, 1, 2, 3, 4, 5, 6, 7}, {8, 9, 10, 11, 12, 13, 14, 15}};
  const EpochOrder order(2, shards, 16, 16);  // a buffer of everything is a shuffle of everything
  std::vector<int> first(16);
  for (int64_t epoch = 0; epoch < 3200; ++epoch) ++first[static_cast<size_t>(order.at(epoch * 16).record)];
  for (const int count : first) EXPECT_NEAR(count, 200, 70);  // five standard deviations
}

TEST(ShardOrder, RanksPartTheSameOrderAmongThem) {
  const EpochOrder order(4, some_shards(), 6, 10);
  const int64_t batch = 10, ranks = 2, b = batch / ranks;
  std::multiset<int64_t> together;
  for (int64_t rank = 0; rank < ranks; ++rank) {
    for (int64_t n = 0; n < 15; ++n)  // as the trainer places the n-th sample of a rank
      together.insert(order.at(n / b * batch + rank * b + n % b).record);
  }
  const std::vector<int64_t> alone = records(order, 0, 30);
  EXPECT_EQ(together, std::multiset<int64_t>(alone.begin(), alone.end()));
  EXPECT_EQ(std::set<int64_t>(together.begin(), together.end()).size(), 30U);
}

TEST(ShardOrder, ReplacesAsTheOtherOrderDoes) {
  const EpochOrder shards(3, some_shards(), 4, 5), any(3, 30, 5);
  const StreamPlace place{.epoch = 1, .position = 4, .record = 7};
  EXPECT_EQ(shards.replacement(place, 2), any.replacement(place, 2));
}

}  // namespace
}  // namespace cstp
