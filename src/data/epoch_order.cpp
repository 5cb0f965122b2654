#include "cstp/data/epoch_order.h"

#include <algorithm>
#include <iterator>
#include <map>
#include <mutex>
#include <numeric>
#include <span>
#include <string>
#include <utility>
#include <vector>

#include "cstp/core/error.h"
#include "cstp/core/random.h"
#include "cstp/core/text.h"
#include "cstp/data/dataset.h"
#include "cstp/video/packed_path.h"

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
  std::vector<std::vector<int64_t>> shards{};  ///< empty: records in any order
  int64_t buffer = 0;
  mutable std::mutex mutex{};
  mutable std::map<uint64_t, Permutation> kept{};

  Permutation permutation(uint64_t epoch) const {
    const std::lock_guard lock(mutex);
    if (const auto found = kept.find(epoch); found != kept.end()) return found->second;
    Rng rng(seed ^ kOrderStream, epoch);
    auto order = std::make_shared<std::vector<int64_t>>(shards.empty() ? in_any_order(rng) : by_shard(rng));
    if (kept.size() == kEpochsKept) {  // of the others, drop the one farthest away
      const auto first = kept.begin(), last = std::prev(kept.end());
      kept.erase(epoch > last->first || epoch - first->first > last->first - epoch ? first : last);
    }
    return kept[epoch] = std::move(order);
  }

  std::vector<int64_t> in_any_order(Rng& rng) const {
    std::vector<int64_t> order(static_cast<size_t>(records));
    std::iota(order.begin(), order.end(), int64_t{0});
    rng.shuffle(std::span<int64_t>(order));
    return order;
  }

  std::vector<int64_t> by_shard(Rng& rng) const {
    std::vector<size_t> turns(shards.size());
    std::iota(turns.begin(), turns.end(), size_t{0});
    rng.shuffle(std::span<size_t>(turns));
    std::vector<int64_t> order, waiting;
    order.reserve(static_cast<size_t>(records));
    const auto give_one = [&] {
      const auto drawn = static_cast<size_t>(rng.integer(0, std::ssize(waiting) - 1));
      order.push_back(std::exchange(waiting[drawn], waiting.back()));
      waiting.pop_back();
    };
    for (const size_t shard : turns) {
      for (const int64_t record : shards[shard]) {
        waiting.push_back(record);
        if (std::ssize(waiting) == buffer) give_one();
      }
    }
    while (!waiting.empty()) give_one();
    return order;
  }
};

EpochOrder::EpochOrder(uint64_t seed, int64_t records, int64_t batch, bool shuffle)
    : impl_(new Impl{.seed = seed, .records = records, .batch = batch, .shuffle = shuffle}) {
  check(records >= 1 && batch >= 1, "EpochOrder: no records or no batch");
}

EpochOrder::EpochOrder(uint64_t seed, std::vector<std::vector<int64_t>> shards, int64_t buffer, int64_t batch)
    : EpochOrder(seed,
                 std::accumulate(shards.begin(), shards.end(), int64_t{0},
                                 [](int64_t sum, const auto& shard) { return sum + std::ssize(shard); }),
                 batch) {
  check(buffer >= 1, "EpochOrder: no buffer");
  impl_->shards = std::move(shards);
  impl_->buffer = buffer;
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

std::vector<std::vector<int64_t>> records_by_shard(const Dataset& dataset) {
  struct Place {
    int64_t offset, record;
    auto operator<=>(const Place&) const = default;
  };
  std::map<std::string, std::vector<Place>> shards;
  for (size_t i = 0; i < dataset.videos.size(); ++i) {
    const auto packed = parse_packed_path(dataset.videos[i].path);
    if (!packed) {
      throw ConfigError(cat("data.shuffle_buffer: is for packed videos, whose shards are read in sequence, and ",
                            dataset.videos[i].path,
                            " is a file of its own; set it to 0, or pack the data (`cstp data "
                            "pack`)"));
    }
    shards[packed->shard].push_back({packed->offset, static_cast<int64_t>(i)});
  }
  std::vector<std::vector<int64_t>> records;
  for (auto& [shard, places] : shards) {
    std::sort(places.begin(), places.end());
    std::vector<int64_t>& inside = records.emplace_back();
    for (const Place& place : places) inside.push_back(place.record);
  }
  return records;
}

EpochOrder training_order(const DataOptions& options, const Dataset& dataset, uint64_t seed, int64_t batch) {
  if (options.shuffle_buffer == 0) return EpochOrder(seed, std::ssize(dataset.videos), batch);
  return EpochOrder(seed, records_by_shard(dataset), options.shuffle_buffer, batch);
}

}  // namespace cstp
