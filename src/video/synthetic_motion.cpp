#include "synthetic_motion.h"

#include <cmath>
#include <numbers>

#include "cstp/core/error.h"

namespace cstp {
namespace {

constexpr double kTurn = 2 * std::numbers::pi;

// Lengths are fractions of the frame's shorter side, times are frames. Moves are matched so that the picture changes
// about equally much per frame in each of them: how it moves must decide, not how much.
constexpr double kPath = 0.029;  // per frame, along any path: 2.8 pixels of 96
constexpr double kOrbitRadius = 0.17;
constexpr double kShuttleReach = 0.20;
constexpr double kHopFrames = 7;
constexpr double kZigzagReach = 0.09;  // to either side, at half of kPath, while the rest goes forward
constexpr double kSpinPeriod = 34;
constexpr double kPulsePeriod = 22;
constexpr double kSquashPeriod = 18;
constexpr double kGrowPeriod = 26;
constexpr double kExcursion = 11;  // of one motion in `order`
constexpr double kPause = 8;

constexpr double kSmallArea = 0.11, kLargeArea = 0.27;  // fractions of the frame
constexpr double kStretch = 1.35;

constexpr std::array<const char*, 8> kMotions = {"drift", "orbit",  "shuttle", "spin",
                                                 "pulse", "squash", "hop",     "zigzag"};
constexpr std::array<const char*, 8> kDirections = {"left", "right", "up", "down", "clockwise", "counterclockwise",
                                                    "grow", "shrink"};
constexpr std::array<const char*, 8> kPatterns = {"stripes", "checks", "dots",    "rings",
                                                  "waves",   "spokes", "patches", "plain"};
constexpr std::array<const char*, 4> kPaces = {"half", "normal", "double", "quadruple"};
struct Pair {
  Move first, second;
  const char* name;
};
constexpr std::array<Pair, 8> kOrders = {{{Move::shuttle, Move::pulse, "shuttle_pulse"},
                                          {Move::pulse, Move::shuttle, "pulse_shuttle"},
                                          {Move::swing, Move::squash, "swing_squash"},
                                          {Move::squash, Move::swing, "squash_swing"},
                                          {Move::shuttle, Move::swing, "shuttle_swing"},
                                          {Move::swing, Move::shuttle, "swing_shuttle"},
                                          {Move::pulse, Move::squash, "pulse_squash"},
                                          {Move::squash, Move::pulse, "squash_pulse"}}};

double fraction(double x) { return x - std::floor(x); }
/// Goes 0 -> 1 -> 0 at an even pace while x goes 0 -> 1.
double there_and_back(double x) { return 1 - std::abs(2 * fraction(x) - 1); }

}  // namespace

std::vector<std::string> synthetic_kinds() { return {"motion", "direction", "appearance", "order", "pace"}; }

std::vector<std::string> all_synthetic_classes(std::string_view kind) {
  if (kind == "motion") return {kMotions.begin(), kMotions.end()};
  if (kind == "direction") return {kDirections.begin(), kDirections.end()};
  if (kind == "appearance") return {kPatterns.begin(), kPatterns.end()};
  if (kind == "pace") return {kPaces.begin(), kPaces.end()};
  std::vector<std::string> names;
  if (kind == "order") {
    for (const Pair& pair : kOrders) names.emplace_back(pair.name);
  }
  return names;
}

SyntheticMotion::SyntheticMotion(const SyntheticOptions& options, int64_t label, Rng& rng)
    : width_(static_cast<double>(options.width)),
      height_(static_cast<double>(options.height)),
      side_(std::min(width_, height_)) {
  start_ = {rng.uniform(), rng.uniform(), rng.uniform(), rng.uniform(), rng.uniform()};
  speed_ = options.speed * rng.uniform(0.85, 1.18);
  sense_ = rng.chance(0.5) ? 1 : -1;
  heading_ = kTurn * rng.uniform();
  beat_ = rng.uniform();
  for (double& heading : hop_headings_) heading = kTurn * rng.uniform();
  const auto any = static_cast<Move>(rng.integer(0, std::ssize(kMotions) - 1));

  const auto row = static_cast<size_t>(label);
  if (options.kind == "motion") {
    first_ = static_cast<Move>(label);
  } else if (options.kind == "direction") {
    first_ = static_cast<Move>(static_cast<int64_t>(Move::left) + label);
  } else if (options.kind == "order") {
    ordered_ = true;
    first_ = kOrders.at(row).first;
    second_ = kOrders.at(row).second;
  } else {
    first_ = any;
    if (options.kind == "pace") speed_ *= std::exp2(static_cast<double>(label) - 1);
  }
}

Phases SyntheticMotion::along(double angle, double distance) const {
  return {distance * side_ * std::cos(angle) / width_, distance * side_ * std::sin(angle) / height_, 0, 0, 0};
}

Phases SyntheticMotion::travelled(Move move, double time) const {
  const double path = kPath * time;
  switch (move) {
    case Move::drift: return along(heading_, path);
    case Move::left: return along(std::numbers::pi, path);
    case Move::right: return along(0, path);
    case Move::up: return along(-std::numbers::pi / 2, path);
    case Move::down: return along(std::numbers::pi / 2, path);
    case Move::orbit: {
      const double angle = heading_ + sense_ * path / kOrbitRadius;
      return along(angle, kOrbitRadius);
    }
    case Move::shuttle: return along(heading_, 2 * kShuttleReach * there_and_back(beat_ + path / (4 * kShuttleReach)));
    case Move::hop: {
      Phases sum;
      const double hops = time / kHopFrames + beat_;
      for (int64_t hop = 0; hop < static_cast<int64_t>(hops); ++hop) {
        const Phases step = along(hop_headings_[static_cast<size_t>(hop) % hop_headings_.size()], kPath * kHopFrames);
        sum.x += step.x, sum.y += step.y;
      }
      return sum;
    }
    case Move::zigzag: {
      const double share = std::sqrt(0.5);
      const double sway = 2 * kZigzagReach * there_and_back(beat_ + share * path / (4 * kZigzagReach));
      const Phases forward = along(heading_, share * path);
      const Phases aside = along(heading_ + kTurn / 4, sway);
      return {forward.x + aside.x, forward.y + aside.y, 0, 0, 0};
    }
    case Move::spin: return {0, 0, sense_ * time / kSpinPeriod, 0, 0};
    case Move::clockwise: return {0, 0, time / kSpinPeriod, 0, 0};
    case Move::counterclockwise: return {0, 0, -time / kSpinPeriod, 0, 0};
    case Move::pulse: return {0, 0, 0, time / kPulsePeriod, 0};
    case Move::squash: return {0, 0, 0, 0, time / kSquashPeriod};
    case Move::grow:
    case Move::shrink:  // at() turns the start into a saw tooth
      return {0, 0, 0, (move == Move::grow ? 1 : -1) * time / kGrowPeriod, 0};
    case Move::swing: break;
  }
  check(false, "SyntheticMotion: a move that has no path");
  return {};
}

/// One motion out and back, the other out and back, a pause; again. A cycle holds the same poses in either order.
Phases SyntheticMotion::travelled_in_order(double time) const {
  const double cycle = 2 * kExcursion + kPause;
  const double now = cycle * fraction(beat_ + time / cycle);
  if (now >= 2 * kExcursion) return {};
  const Move move = now < kExcursion ? first_ : second_;
  const double reach = there_and_back(fraction(now / kExcursion));
  switch (move) {
    case Move::shuttle: return along(heading_, 0.30 * reach);
    case Move::swing: return {0, 0, sense_ * 0.25 * reach, 0, 0};
    case Move::pulse: return {0, 0, 0, 0.5 * reach, 0};
    default: return {0, 0, 0, 0, 0.5 * reach};
  }
}

ObjectPose SyntheticMotion::at(int64_t frame) const {
  const double time = speed_ * static_cast<double>(frame);
  const Phases moved = ordered_ ? travelled_in_order(time) : travelled(first_, time);
  const bool saw_tooth = !ordered_ && (first_ == Move::grow || first_ == Move::shrink);
  const double size = fraction(start_.size + moved.size);
  const double large = saw_tooth ? size : there_and_back(size);  // uniform in [0,1) either way
  const double slender = 2 * there_and_back(start_.stretch + moved.stretch) - 1;
  return {.x = width_ * fraction(start_.x + moved.x),
          .y = height_ * fraction(start_.y + moved.y),
          .angle = kTurn * fraction(start_.turn + moved.turn),
          .area = kSmallArea * std::pow(kLargeArea / kSmallArea, large),
          .stretch = std::pow(kStretch, slender)};
}

}  // namespace cstp
