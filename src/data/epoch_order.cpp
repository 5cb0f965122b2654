#include "cstp/data/epoch_order.h"

#include <algorithm>
#include <iterator>
#include <map>
#include <mutex>
#include <numeric>
#include <span>
#include <vector>

#include "cstp/core/error.h"
#include "cstp/core/random.h"

namespace cstp {
namespace {

// Streams of their own: samples draw their plans from (seed, epoch, position, attempt) under the run's seed itself.
constexpr uint64_t kOrderStream = 0x6F72646572ULL;
constexpr uint64_t kReplacementStream = 0x7265706C616365ULL;
/// Workers may stand on both sides of an epoch's end, and a checkpoint looks back.
constexpr size_t kEpochsKept = 3;

using Permutation = std::shared_ptr<const std::vector<int64_t>>;

}  // namespace

struct EpochOrder::Impl {
  uint64_t seed;
  int64_t records;
  int64_t batch;
  bool shuffle;
  mutable std::mutex mutex{};
  mutable std::map<uint64_t, Permutation> kept{};

  Permutation permutation(uint64_t epoch) const {
    const std::lock_guard lock(mutex);
    if (const auto found = kept.find(epoch); found != kept.end()) return found->second;
    auto order = std::make_shared<std::vector<int64_t>>(static_cast<size_t>(records));
    std::iota(order->begin(), order->end(), int64_t{0});
    Rng rng(seed ^ kOrderStream, epoch);
    rng.shuffle(std::span<int64_t>(*order));
    if (kept.size() == kEpochsKept) {  // of the others, drop the one farthest away
      const auto first = kept.begin(), last = std::prev(kept.end());
      kept.erase(epoch > last->first || epoch - first->first > last->first - epoch ? first : last);
    }
    return kept[epoch] = std::move(order);
  }
};

EpochOrder::EpochOrder(uint64_t seed, int64_t records, int64_t batch, bool shuffle)
    : impl_(new Impl{.seed = seed, .records = records, .batch = batch, .shuffle = shuffle}) {
  check(records >= 1 && batch >= 1, "EpochOrder: no records or no batch");
}

EpochOrder::~EpochOrder() = default;

int64_t EpochOrder::steps_per_epoch() const { return std::max<int64_t>(1, impl_->records / impl_->batch); }

StreamPlace EpochOrder::at(int64_t n) const {
  check(n >= 0, "EpochOrder::at: before the first sample");
  const int64_t per_epoch = steps_per_epoch() * impl_->batch;
  StreamPlace place{.epoch = static_cast<uint64_t>(n / per_epoch), .position = n % per_epoch, .record = 0};
  const int64_t in_order = place.position % impl_->records;
  place.record = impl_->shuffle ? (*impl_->permutation(place.epoch))[static_cast<size_t>(in_order)] : in_order;
  return place;
}

int64_t EpochOrder::replacement(const StreamPlace& place, int64_t attempt) const {
  check(attempt >= 1, "EpochOrder::replacement: the first attempt is the record itself");
  if (impl_->records == 1) return 0;
  Rng rng(impl_->seed ^ kReplacementStream, place.epoch, static_cast<uint64_t>(place.position),
          static_cast<uint64_t>(attempt));
  const int64_t other = rng.integer(0, impl_->records - 2);
  return other < place.record ? other : other + 1;
}

}  // namespace cstp
