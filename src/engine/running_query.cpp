#include "running_query.h"

#include <algorithm>
#include <cmath>
#include <cstring>

namespace cstp {
namespace {

constexpr float kNone = -std::numeric_limits<float>::infinity();

float value_of(float score) { return score; }
float value_of(uint16_t bits) {
  const uint32_t wide = static_cast<uint32_t>(bits) << 16;
  float value = 0;
  std::memcpy(&value, &wide, sizeof value);
  return value;
}

/// Rows lie anywhere in a gallery that no cache holds: the next ones are on their way while one is scored.
void fetch_ahead(const float* row, int64_t dim) {
  for (int64_t i = 0; i < dim; i += 16) __builtin_prefetch(row + i);
}

}  // namespace

double score_of(const float* query, const float* row, int64_t dim) {
  const double score = exact_dot(query, row, dim);
  return std::isnan(score) ? static_cast<double>(kNone) : score;
}

void RunningQuery::start(const float* query, RowLength length, int64_t k) {
  query_ = query;
  length_ = length;
  k_ = static_cast<size_t>(k);
  limit_ = 2 * k_ + 256;
  pending_.clear();
  best_.clear();
  floor_ = kNone;
}

template <class Score>
void RunningQuery::meet(const Score* scores, int64_t first, int64_t count, const float* gallery, int64_t dim,
                        float error, float relative) {
  if (!std::isfinite(error)) return meet_all(first, count, gallery, dim);
  float threshold = threshold_of(error, relative);
  for (int64_t i = next_at_least(scores, 0, count, threshold); i < count;
       i = next_at_least(scores, i + 1, count, threshold)) {
    const float score = value_of(scores[i]);
    const float margin = error + relative * std::abs(score) + 1e-6F * (std::abs(score) + error);
    pending_.push_back({score - margin, score + margin, first + i});
    if (pending_.size() < limit_) continue;
    raise_floor();
    if (pending_.size() > k_ + (limit_ - k_) / 2) settle(gallery, dim);  // the bounds cannot tell them apart
    threshold = threshold_of(error, relative);
  }
}
template void RunningQuery::meet(const float*, int64_t, int64_t, const float*, int64_t, float, float);
template void RunningQuery::meet(const uint16_t*, int64_t, int64_t, const float*, int64_t, float, float);

/// No score below it reaches the floor with its error. A little lower than that, for the rounding here.
float RunningQuery::threshold_of(float error, float relative) const {
  if (floor_ == kNone) return kNone;
  const float least = floor_ - error;
  const float threshold = least > 0 ? least / (1 + relative) : least / (1 - relative);
  return threshold - 1e-6F * (std::abs(threshold) + std::abs(floor_) + error);
}

void RunningQuery::meet_all(int64_t first, int64_t count, const float* gallery, int64_t dim) {
  for (int64_t i = 0; i < count; ++i) {
    pending_.push_back({kNone, std::numeric_limits<float>::infinity(), first + i});
    if (pending_.size() >= limit_) settle(gallery, dim);
  }
}

/// By the k-th largest lower bound; what cannot reach it goes.
void RunningQuery::raise_floor() {
  if (pending_.size() >= k_) {
    std::nth_element(pending_.begin(), pending_.begin() + static_cast<std::ptrdiff_t>(k_) - 1, pending_.end(),
                     [](const Candidate& a, const Candidate& b) { return a.lower > b.lower; });
    floor_ = std::max(floor_, pending_[k_ - 1].lower);
  }
  std::erase_if(pending_, [this](const Candidate& row) { return row.upper < floor_; });
}

/// Scores what is pending and keeps the k best.
void RunningQuery::settle(const float* gallery, int64_t dim) {
  std::erase_if(pending_, [this](const Candidate& row) { return row.upper < floor_; });
  for (size_t i = 0; i < pending_.size(); ++i) {
    if (i + 2 < pending_.size()) fetch_ahead(gallery + pending_[i + 2].row * dim, dim);
    const int64_t row = pending_[i].row;
    best_.push_back({score_of(query_, gallery + row * dim, dim), row});
  }
  scored_ += std::ssize(pending_);
  pending_.clear();
  if (best_.size() < k_) return;
  std::nth_element(best_.begin(), best_.begin() + static_cast<std::ptrdiff_t>(k_) - 1, best_.end());
  best_.resize(k_);
  const auto least = static_cast<float>(best_.back().score);
  if (std::isfinite(least)) floor_ = std::max(floor_, std::nextafter(least, kNone));
}

const std::vector<Scored>& RunningQuery::finish(const float* gallery, int64_t dim) {
  raise_floor();
  settle(gallery, dim);
  std::sort(best_.begin(), best_.end());
  return best_;
}

}  // namespace cstp
