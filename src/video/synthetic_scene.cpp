#include "synthetic_scene.h"

#include <algorithm>
#include <array>
#include <cmath>
#include <numbers>

namespace cstp {
namespace {

constexpr double kTurn = 2 * std::numbers::pi;
constexpr int64_t kObjectSide = 112;
constexpr double kObjectReach = 1.32;  // radii; the farthest corner of a square is at 1.26

/// Smooth random field in [-1, 1]: random values on a grid, smoothly interpolated.
class Field {
 public:
  Field(double cells_x, double cells_y, Rng& rng)
      : columns_(static_cast<int64_t>(std::ceil(cells_x)) + 2), cells_x_(cells_x), cells_y_(cells_y) {
    values_.resize(static_cast<size_t>(columns_ * (static_cast<int64_t>(std::ceil(cells_y)) + 2)));
    for (float& value : values_) value = static_cast<float>(rng.uniform(-1, 1));
  }
  /// @param x, y in [0, 1]
  float at(double x, double y) const {
    const double gx = x * cells_x_, gy = y * cells_y_;
    const auto ix = static_cast<int64_t>(gx), iy = static_cast<int64_t>(gy);
    const float fx = smooth(gx - static_cast<double>(ix)), fy = smooth(gy - static_cast<double>(iy));
    const float* p = values_.data() + iy * columns_ + ix;
    const float top = p[0] + fx * (p[1] - p[0]);
    const float bottom = p[columns_] + fx * (p[columns_ + 1] - p[columns_]);
    return top + fy * (bottom - top);
  }

 private:
  static float smooth(double t) { return static_cast<float>(t * t * (3 - 2 * t)); }
  int64_t columns_;
  double cells_x_, cells_y_;
  std::vector<float> values_;
};

/// Hue in turns, saturation and value in [0,1].
Tint from_hsv(double hue, double saturation, double value) {
  const auto channel = [&](double shift) {
    const double k = std::fmod(shift + 6 * (hue - std::floor(hue)), 6.0);
    return static_cast<float>(255 * value * (1 - saturation * std::clamp(std::min(k, 4 - k), 0.0, 1.0)));
  };
  return {channel(5), channel(3), channel(1)};
}

Tint mix(Tint a, Tint b, float t) { return {a.r + t * (b.r - a.r), a.g + t * (b.g - a.g), a.b + t * (b.b - a.b)}; }
Tint lit(Tint a, float factor) { return {a.r * factor, a.g * factor, a.b * factor}; }

uint8_t to_byte(float value) { return static_cast<uint8_t>(std::clamp(value, 0.0F, 255.0F) + 0.5F); }

Outline draw_outline(std::span<const Outline> choices, Rng& rng) {
  Outline outline = choices[static_cast<size_t>(rng.integer(0, std::ssize(choices) - 1))];
  constexpr int kSteps = 360;
  double area = 0;  // in units of the unit disc's
  for (int i = 0; i < kSteps; ++i) area += std::pow(outline.reach(kTurn * i / kSteps), 2) / kSteps;
  outline.scale = 1 / std::sqrt(area);
  return outline;
}

// The object's outlines stay compact, so that it never meets itself across the frame's edges.
constexpr std::array<Outline, 6> kObjectOutlines = {
    {{}, {.corners = 4}, {.corners = 5}, {.corners = 6}, {.lobes = 3, .depth = 0.14}, {.lobes = 5, .depth = 0.12}}};
constexpr std::array<Outline, 6> kSceneOutlines = {
    {{}, {.corners = 3}, {.corners = 4}, {.corners = 6}, {.lobes = 2, .depth = 0.3}, {.lobes = 5, .depth = 0.3}}};

/// It rains in showers, at moments of a video's own: where one begins or ends within two clips tells how they overlap.
/// A shower, and a pause between two, lasts this share of the video.
constexpr double kShortestSpell = 0.05, kLongestSpell = 0.25;
constexpr double kStreaks = 10;  // side by side along the frame's shorter side
constexpr double kSlant = 0.35;  // sideways per downwards
constexpr double kStreakStrength = 0.45;
constexpr double kRainLight = 0.8;  // it is darker then

/// Share of the second colour, in [0,1], at (u, v) of an object of radius 1: the classes of kind "appearance".
double pattern_at(int64_t pattern, double u, double v, double frequency, double shift) {
  const double radius = std::hypot(u, v), angle = std::atan2(v, u);
  const auto edge = [](double wave) { return std::clamp(0.5 + 2.5 * wave, 0.0, 1.0); };  // a square wave, softened
  const double x = std::sin(kTurn * (frequency * u + shift)), y = std::sin(kTurn * (frequency * v + shift));
  switch (pattern) {
    case 0: return edge(x);                                                                             // stripes
    case 1: return edge(3 * x * y);                                                                     // checks
    case 2: return edge(1.2 * (x + y - 0.9));                                                           // dots
    case 3: return edge(std::sin(kTurn * (1.1 * frequency * radius + shift)));                          // rings
    case 4: return edge(std::sin(kTurn * (frequency * u + 0.35 * std::sin(1.2 * kTurn * v) + shift)));  // waves
    case 5: return edge(std::sin(6 * angle + kTurn * shift) * std::min(1.0, 4 * radius));               // spokes
    case 6:
      return edge(std::sin(2.3 * frequency * u + 7 * shift) + std::sin(2.9 * frequency * (v + 0.4 * u)));  // patches
    default: return 0.5 + 0.5 * v;                                                                         // plain
  }
}

}  // namespace

double Outline::reach(double angle) const {
  if (corners == 0) return scale * (1 + depth * std::cos(static_cast<double>(lobes) * angle));
  const double side = kTurn / static_cast<double>(corners);
  const double from_middle = angle - side * std::round(angle / side);
  return scale * std::cos(side / 2) / std::cos(from_middle);
}

double Outline::farthest() const { return corners == 0 ? reach(0) : reach(kTurn / static_cast<double>(2 * corners)); }

SyntheticScene::SyntheticScene(const SyntheticOptions& options, int64_t pattern, Rng& rng)
    : width_(options.width), height_(options.height) {
  ground_ = paint_ground(rng);
  add_mottle(ground_, 14, 26, rng);
  add_shapes(ground_, 7, rng);
  wet_first_ = rng.chance(0.5);
  const auto frames = static_cast<double>(options.frames);
  for (double at = frames * rng.uniform(-kLongestSpell, 0); at < frames;) {
    at += frames * rng.uniform(kShortestSpell, kLongestSpell);
    changes_.push_back(at);
  }
  const int64_t any_pattern = rng.integer(0, 7);
  make_object(pattern < 0 ? any_pattern : pattern, rng);
}

/// Bright above and dark below, with large stains.
SyntheticScene::Canvas SyntheticScene::paint_ground(Rng& rng) const {
  const Tint above = from_hsv(rng.uniform(), rng.uniform(0.15, 0.5), rng.uniform(0.72, 0.95));
  const Tint below = from_hsv(rng.uniform(), rng.uniform(0.3, 0.7), rng.uniform(0.25, 0.5));
  const double horizon = rng.uniform(0.35, 0.65), softness = rng.uniform(0.15, 0.5);
  const std::array<Field, 3> stains = {Field(3, 3, rng), Field(3, 3, rng), Field(3, 3, rng)};
  Canvas canvas(static_cast<size_t>(width_ * height_));
  for (int64_t y = 0; y < height_; ++y) {
    const double v = (static_cast<double>(y) + 0.5) / static_cast<double>(height_);
    const double depth = std::clamp(0.5 + (v - horizon) / softness, 0.0, 1.0);
    const Tint ground = mix(above, below, static_cast<float>(0.75 * depth + 0.25 * v));
    for (int64_t x = 0; x < width_; ++x) {
      const double u = (static_cast<double>(x) + 0.5) / static_cast<double>(width_);
      canvas[static_cast<size_t>(y * width_ + x)] = {
          ground.r + 30 * stains[0].at(u, v), ground.g + 30 * stains[1].at(u, v), ground.b + 30 * stains[2].at(u, v)};
    }
  }
  return canvas;
}

/// Middle-sized light and dark spots, and half as strong ones of half their size.
void SyntheticScene::add_mottle(Canvas& canvas, double cells, double strength, Rng& rng) const {
  const double aspect = static_cast<double>(width_) / static_cast<double>(height_);
  for (int octave = 0; octave < 2; ++octave, cells *= 2, strength *= 0.5) {
    const Field field(cells * aspect, cells, rng);
    for (int64_t i = 0; i < width_ * height_; ++i) {
      const double u = (static_cast<double>(i % width_) + 0.5) / static_cast<double>(width_);
      const double v = (static_cast<double>(i / width_) + 0.5) / static_cast<double>(height_);
      const float spot = static_cast<float>(strength) * field.at(u, v);
      Tint& tint = canvas[static_cast<size_t>(i)];
      tint = {tint.r + spot, tint.g + spot, tint.b + spot};
    }
  }
}

void SyntheticScene::add_shapes(Canvas& canvas, int64_t count, Rng& rng) const {
  const double side = static_cast<double>(std::min(width_, height_));
  for (int64_t shape = 0; shape < count; ++shape) {
    const Outline outline = draw_outline(kSceneOutlines, rng);
    const double radius = side * rng.uniform(0.06, 0.14), turn = kTurn * rng.uniform();
    const double cx = rng.uniform(0, static_cast<double>(width_)), cy = rng.uniform(0, static_cast<double>(height_));
    const Tint tint = from_hsv(rng.uniform(), rng.uniform(0.4, 0.95), rng.uniform(0.3, 1.0));
    for (int64_t y = 0; y < height_; ++y) {
      for (int64_t x = 0; x < width_; ++x) {
        const double dx = static_cast<double>(x) + 0.5 - cx, dy = static_cast<double>(y) + 0.5 - cy;
        const double distance = std::hypot(dx, dy);
        if (distance > 1.6 * radius) continue;
        const double inside = radius * outline.reach(std::atan2(dy, dx) - turn) - distance;
        const auto cover = static_cast<float>(std::clamp(inside + 0.5, 0.0, 1.0));
        Tint& pixel = canvas[static_cast<size_t>(y * width_ + x)];
        pixel = mix(pixel, lit(tint, static_cast<float>(1 - 0.25 * dy / radius)), cover);  // light from above
      }
    }
  }
}

void SyntheticScene::make_object(int64_t pattern, Rng& rng) {
  outline_ = draw_outline(kObjectOutlines, rng);
  const double hue = rng.uniform();
  const Tint bright = from_hsv(hue, rng.uniform(0.2, 0.8), rng.uniform(0.8, 1.0));
  const Tint dark = from_hsv(hue + rng.uniform(0.15, 0.85), rng.uniform(0.4, 0.9), rng.uniform(0.15, 0.45));
  const double frequency = rng.uniform(1.1, 1.8), shift = rng.uniform();
  const bool swap = rng.chance(0.5);
  const Field blotches(5, 5, rng);  // so that a turn is seen on rings and plain discs too
  object_.resize(static_cast<size_t>(kObjectSide * kObjectSide));
  for (int64_t i = 0; i < kObjectSide * kObjectSide; ++i) {
    const double x = (static_cast<double>(i % kObjectSide) + 0.5) / static_cast<double>(kObjectSide);
    const double y = (static_cast<double>(i / kObjectSide) + 0.5) / static_cast<double>(kObjectSide);
    const double u = kObjectReach * (2 * x - 1), v = kObjectReach * (2 * y - 1);
    const double share = std::clamp(pattern_at(pattern, u, v, frequency, shift), 0.0, 1.0);
    const double inside = outline_.reach(std::atan2(v, u)) - std::hypot(u, v);
    Tint tint = mix(swap ? dark : bright, swap ? bright : dark, static_cast<float>(share));
    tint = lit(tint, 1 + 0.28F * blotches.at(x, y));
    if (inside < 0.07) tint = lit(tint, 0.35F);  // a dark rim
    object_[static_cast<size_t>(i)] = {tint.r, tint.g, tint.b, static_cast<float>(inside)};
  }
}

/// Bilinear; (u, v) within kObjectReach.
SyntheticScene::Texel SyntheticScene::object_at(double u, double v) const {
  const auto place = [](double c) {
    const double texel = (c / kObjectReach + 1) * 0.5 * static_cast<double>(kObjectSide) - 0.5;
    return std::clamp(texel, 0.0, static_cast<double>(kObjectSide) - 1.001);
  };
  const double x = place(u), y = place(v);
  const auto ix = static_cast<int64_t>(x), iy = static_cast<int64_t>(y);
  const auto fx = static_cast<float>(x - static_cast<double>(ix)), fy = static_cast<float>(y - static_cast<double>(iy));
  const Texel* p = object_.data() + iy * kObjectSide + ix;
  const auto blend = [](const Texel& a, const Texel& b, float t) {
    return Texel{a.r + t * (b.r - a.r), a.g + t * (b.g - a.g), a.b + t * (b.b - a.b),
                 a.inside + t * (b.inside - a.inside)};
  };
  return blend(blend(p[0], p[1], fx), blend(p[kObjectSide], p[kObjectSide + 1], fx), fy);
}

bool SyntheticScene::rains_at(int64_t frame) const {
  const auto passed =
      std::count_if(changes_.begin(), changes_.end(), [&](double at) { return at <= static_cast<double>(frame); });
  return (passed % 2 == 0) == wet_first_;
}

/// Dimmer, with bright and dark slanted streaks, so long that they do not seem to move.
float SyntheticScene::rain_light(int64_t x, int64_t y) const {
  const double across =
      (static_cast<double>(x) + kSlant * static_cast<double>(y)) / static_cast<double>(std::min(width_, height_));
  return static_cast<float>(kRainLight *
                            (1 + kStreakStrength * std::clamp(2 * std::sin(kTurn * kStreaks * across), -1.0, 1.0)));
}

void SyntheticScene::render(int64_t frame, const ObjectPose& pose, std::span<uint8_t> rgb) const {
  const double w = static_cast<double>(width_), h = static_cast<double>(height_);
  const bool wet = rains_at(frame);
  const double long_axis = std::sqrt(pose.stretch);
  const double fits = 0.5 * std::min(w, h) / (outline_.farthest() * long_axis);  // it must not meet itself
  const double radius = std::min(std::sqrt(pose.area * w * h / std::numbers::pi), fits);
  const double c = std::cos(pose.angle) / radius, s = std::sin(pose.angle) / radius;
  for (int64_t y = 0; y < height_; ++y) {
    double dy = static_cast<double>(y) + 0.5 - pose.y;
    dy -= h * std::round(dy / h);  // the nearest of its images on the wrapped frame
    for (int64_t x = 0; x < width_; ++x) {
      const auto i = static_cast<size_t>(y * width_ + x);
      Tint pixel = ground_[i];
      double dx = static_cast<double>(x) + 0.5 - pose.x;
      dx -= w * std::round(dx / w);
      const double u = (c * dx + s * dy) / long_axis, v = (c * dy - s * dx) * long_axis;
      if (std::abs(u) < kObjectReach && std::abs(v) < kObjectReach) {
        const Texel texel = object_at(u, v);
        const auto cover = static_cast<float>(std::clamp(texel.inside * radius + 0.5, 0.0, 1.0));
        const auto light = static_cast<float>(1 - 0.2 * dy / radius);  // from above, whichever way it is turned
        pixel = mix(pixel, {texel.r * light, texel.g * light, texel.b * light}, cover);
      }
      if (wet) pixel = lit(pixel, rain_light(x, y));
      rgb[3 * i] = to_byte(pixel.r);
      rgb[3 * i + 1] = to_byte(pixel.g);
      rgb[3 * i + 2] = to_byte(pixel.b);
    }
  }
}

}  // namespace cstp
