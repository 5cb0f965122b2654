/// Which record stands at which position: a pure function of (seed, epoch, position), so resuming is a number.
#pragma once
#include <cstdint>
#include <memory>

namespace cstp {

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

}  // namespace cstp
