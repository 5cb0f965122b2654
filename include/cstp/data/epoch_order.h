/// Which record stands at which position: a pure function of (seed, epoch, position), so resuming is a number.
#pragma once
#include <cstdint>
#include <memory>
#include <vector>

namespace cstp {

struct DataOptions;
struct Dataset;

/// Place of one sample in a run. `position` counts within the epoch.
struct StreamPlace {
  uint64_t epoch = 0;
  int64_t position = 0;
  int64_t record = 0;
};

/// A fresh permutation of M records each epoch, cut into steps of `batch` (the remainder of an epoch is left out; where
/// M < batch the permutation is repeated within the step). Thread-safe.
class EpochOrder {
 public:
  /// Requires records >= 1 and batch >= 1.
  EpochOrder(uint64_t seed, int64_t records, int64_t batch, bool shuffle = true);
  /// For shards that are best read from front to back: each epoch takes the shards in a random order, the records of a
  /// shard in the given order, and passes them through a buffer of `buffer` records, out of which a random one is given
  /// each time. So at position p comes one of the first p + buffer records of that sequence; with buffer 1, the
  /// sequence itself. Requires that every record stands in one of the shards, and buffer >= 1.
  EpochOrder(uint64_t seed, std::vector<std::vector<int64_t>> shards, int64_t buffer, int64_t batch);
  ~EpochOrder();
  int64_t steps_per_epoch() const;
  /// The n-th sample of the run, n = step * batch + i.
  StreamPlace at(int64_t n) const;
  /// Replacement number `attempt` >= 1 for a bad video at this place: another record, drawn from (seed, epoch,
  /// position, attempt).
  int64_t replacement(const StreamPlace& place, int64_t attempt) const;

 private:
  struct Impl;
  std::unique_ptr<Impl> impl_;
};

/// Records by shard, in the order in which they lie there. @throws ConfigError if the data is not packed
std::vector<std::vector<int64_t>> records_by_shard(const Dataset& dataset);

/// The order in which a run sees its training videos: any, or through data.shuffle_buffer.
/// @throws ConfigError if that is asked of data that is not packed
EpochOrder training_order(const DataOptions& options, const Dataset& dataset, uint64_t seed, int64_t batch);

}  // namespace cstp
