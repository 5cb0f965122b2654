/// What the object of a synthetic video does: pose as a function of the frame number.
#pragma once
#include <array>
#include <cstdint>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "cstp/core/random.h"
#include "cstp/video/synthetic.h"

namespace cstp {

enum class Move : uint8_t {
  drift,
  orbit,
  shuttle,
  spin,
  pulse,
  squash,
  hop,
  zigzag,  // ways of moving
  swing,   // only a part of `order`
  left,
  right,
  up,
  down,
  clockwise,
  counterclockwise,
  grow,
  shrink,  // directed
};

/// All classes that a kind knows, in label order; empty for a kind that does not exist.
std::vector<std::string> all_synthetic_classes(std::string_view kind);
std::vector<std::string> synthetic_kinds();

/// A point on five circles, each of length 1. Uniformly distributed start + anything independent = uniformly
/// distributed.
struct Phases {
  double x = 0;  ///< fraction of the frame's width
  double y = 0;  ///< fraction of the frame's height
  double turn = 0;
  double size = 0;     ///< 0 small, 1/2 large, 1 small again
  double stretch = 0;  ///< likewise
};

class SyntheticMotion {
 public:
  /// Draws the same amount from `rng` whatever the class is.
  SyntheticMotion(const SyntheticOptions& options, int64_t label, Rng& rng);
  ObjectPose at(int64_t frame) const;

 private:
  Phases travelled(Move move, double time) const;
  Phases travelled_in_order(double time) const;
  Phases along(double angle, double distance) const;

  double width_, height_, side_;
  Move first_ = Move::drift;
  Move second_ = Move::drift;  ///< of `order`, else unused
  bool ordered_ = false;
  Phases start_;
  double speed_ = 1;    ///< cycles run this much faster
  double sense_ = 1;    ///< +1 or -1: which way round
  double heading_ = 0;  ///< radians
  double beat_ = 0;     ///< where in its cycle a periodic motion begins, in cycles
  std::array<double, 64> hop_headings_{};
};

}  // namespace cstp
