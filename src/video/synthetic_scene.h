/// What a synthetic video looks like: a ground, the textured object that moves over it, and showers of rain.
#pragma once
#include <cstdint>
#include <span>
#include <vector>

#include "cstp/core/random.h"
#include "cstp/video/synthetic.h"

namespace cstp {

struct Tint {
  float r = 0, g = 0, b = 0;  ///< 0 to 255
};

/// An outline as distance from the centre by direction, scaled so that its area is that of a disc of radius 1.
struct Outline {
  int64_t corners = 0;  ///< of a regular polygon; 0: a disc with lobes
  int64_t lobes = 0;
  double depth = 0;  ///< of the lobes
  double scale = 1;
  double reach(double angle) const;
  double farthest() const;
};

class SyntheticScene {
 public:
  /// Draws the same amount from `rng` whatever the pattern is. @param pattern as in kind "appearance"; -1 draws one
  SyntheticScene(const SyntheticOptions& options, int64_t pattern, Rng& rng);
  void render(int64_t frame, const ObjectPose& pose, std::span<uint8_t> rgb) const;

 private:
  /// A point of the object's picture, in units of its radius.
  struct Texel {
    float r = 0, g = 0, b = 0, inside = 0;  ///< inside: distance to the outline, in radii, negative outside
  };
  using Canvas = std::vector<Tint>;

  Canvas paint_ground(Rng& rng) const;
  void add_mottle(Canvas& canvas, double cells, double strength, Rng& rng) const;
  void add_shapes(Canvas& canvas, int64_t count, Rng& rng) const;
  void make_object(int64_t pattern, Rng& rng);
  Texel object_at(double u, double v) const;
  bool rains_at(int64_t frame) const;
  float rain_light(int64_t x, int64_t y) const;

  int64_t width_, height_;
  Canvas ground_;
  std::vector<double> changes_;  ///< frames at which a shower begins or ends, ascending
  bool wet_first_ = false;
  Outline outline_;
  std::vector<Texel> object_;  ///< kObjectSide x kObjectSide over [-kObjectReach, kObjectReach]
};

}  // namespace cstp
