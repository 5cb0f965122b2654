// Colour operations, blur and input range against scalar references in double precision, written from torchvision's
// definitions (adjust_brightness, adjust_contrast, adjust_saturation, adjust_hue, solarize, gaussian_blur).
#include <gtest/gtest.h>

#include <array>
#include <cmath>

#include "made_frames.h"

namespace cstp {
namespace {

constexpr int64_t kSide = 40;
using Colour = std::array<double, 3>;

ColorPlan one_operation(ColorOp op, double ColorPlan::*amount, double value) {
  ColorPlan color;
  color.jitter = {op};
  color.*amount = value;
  return color;
}

double clamped(double value) { return std::clamp(value, 0.0, 1.0); }
double grey_of(const Colour& p) { return 0.299 * p[0] + 0.587 * p[1] + 0.114 * p[2]; }

Colour blended(const Colour& p, double other, double factor) {
  Colour result{};
  for (size_t c = 0; c < 3; ++c) result[c] = clamped(factor * p[c] + (1 - factor) * other);
  return result;
}

/// Through HSV, case by case, as in a textbook.
Colour hue_turned(const Colour& p, double shift) {
  const double high = std::max({p[0], p[1], p[2]});
  const double low = std::min({p[0], p[1], p[2]});
  const double chroma = high - low;
  double hue = 0;
  if (chroma > 0) {
    if (high == p[0]) {
      hue = std::fmod((p[1] - p[2]) / chroma + 6, 6) / 6;
    } else if (high == p[1]) {
      hue = ((p[2] - p[0]) / chroma + 2) / 6;
    } else {
      hue = ((p[0] - p[1]) / chroma + 4) / 6;
    }
  }
  const double saturation = high > 0 ? chroma / high : 0;
  hue = hue + shift - std::floor(hue + shift);
  const int sextant = static_cast<int>(std::floor(hue * 6)) % 6;
  const double f = hue * 6 - std::floor(hue * 6);
  const double a = high * (1 - saturation);
  const double b = high * (1 - saturation * f);
  const double c = high * (1 - saturation * (1 - f));
  switch (sextant) {
    case 0: return {high, c, a};
    case 1: return {b, high, a};
    case 2: return {a, high, c};
    case 3: return {a, b, high};
    case 4: return {c, a, high};
    default: return {high, a, b};
  }
}

/// Three frames full of all colours, some of them out of the RGB cube and so at its faces after the conversion.
Sample colourful_sample() {
  return made_sample({noisy_picture(64, 48, 1), noisy_picture(64, 48, 2), wavy_picture(64, 48)});
}

std::vector<Colour> colours(const std::vector<float>& view) {
  std::vector<Colour> result;
  for (size_t i = 0; i < view.size(); i += 3) result.push_back({view[i], view[i + 1], view[i + 2]});
  return result;
}

/// Renders with and without the colour plan and compares with `reference(clip, t)` applied to the plain one.
template <class Reference>
void expect_colours(const ColorPlan& color, Reference reference, double tolerance = 2e-6) {
  const Sample sample = colourful_sample();
  ViewPlan view = view_of(sample, {0.1, 0.1, 0.8, 0.8});
  std::vector<Colour> expected = colours(rendered(sample, view, kSide));
  reference(expected);
  view.color = color;
  const std::vector<Colour> actual = colours(rendered(sample, view, kSide));
  ASSERT_EQ(actual.size(), expected.size());
  for (size_t i = 0; i < actual.size(); ++i) {
    for (size_t c = 0; c < 3; ++c)
      ASSERT_NEAR(actual[i][c], expected[i][c], tolerance) << "pixel " << i << " channel " << c;
  }
}

template <class PixelFunction>
auto every_pixel(PixelFunction function) {
  return [function](std::vector<Colour>& clip) {
    for (Colour& p : clip) p = function(p);
  };
}

double mean_grey(const std::vector<Colour>& clip) {
  double sum = 0;
  for (const Colour& p : clip) sum += grey_of(p);
  return sum / static_cast<double>(clip.size());
}

TEST(Colour, BrightnessMultipliesAndClamps) {
  for (const double factor : {0.0, 0.6, 1.4, 3.0}) {
    expect_colours(one_operation(ColorOp::brightness, &ColorPlan::brightness, factor),
                   every_pixel([factor](const Colour& p) { return blended(p, 0, factor); }));
  }
}

TEST(Colour, ContrastBlendsWithTheMeanGreyOfTheWholeClip) {
  for (const double factor : {0.0, 0.6, 1.4}) {
    expect_colours(one_operation(ColorOp::contrast, &ColorPlan::contrast, factor), [factor](std::vector<Colour>& clip) {
      const double mean = mean_grey(clip);
      for (Colour& p : clip) p = blended(p, mean, factor);
    });
  }
}

TEST(Colour, SaturationBlendsWithThePixelsGrey) {
  for (const double factor : {0.0, 0.6, 1.4, 2.5}) {
    expect_colours(one_operation(ColorOp::saturation, &ColorPlan::saturation, factor),
                   every_pixel([factor](const Colour& p) { return blended(p, grey_of(p), factor); }));
  }
}

TEST(Colour, HueTurnsTheColourCircle) {
  for (const double shift : {-0.5, -0.1, 0.0, 0.07, 0.25, 0.5}) {
    expect_colours(one_operation(ColorOp::hue, &ColorPlan::hue, shift),
                   every_pixel([shift](const Colour& p) { return hue_turned(p, shift); }), 5e-6);
  }
}

TEST(Colour, OperationsRunInTheOrderDrawn) {
  ColorPlan color;
  color.brightness = 1.4;
  color.contrast = 0.6;
  color.saturation = 1.4;
  color.hue = 0.1;
  color.jitter = {ColorOp::brightness, ColorOp::contrast, ColorOp::hue, ColorOp::saturation};
  expect_colours(
      color,
      [](std::vector<Colour>& clip) {
        for (Colour& p : clip) p = blended(p, 0, 1.4);
        const double mean = mean_grey(clip);
        for (Colour& p : clip) {
          p = hue_turned(blended(p, mean, 0.6), 0.1);
          p = blended(p, grey_of(p), 1.4);
        }
      },
      1e-5);
  color.jitter = {ColorOp::saturation, ColorOp::hue, ColorOp::contrast, ColorOp::brightness};
  expect_colours(
      color,
      [](std::vector<Colour>& clip) {
        for (Colour& p : clip) p = hue_turned(blended(p, grey_of(p), 1.4), 0.1);
        const double mean = mean_grey(clip);
        for (Colour& p : clip) p = blended(blended(p, mean, 0.6), 0, 1.4);
      },
      1e-5);
}

TEST(Colour, GreyIsLuma) {
  ColorPlan color;
  color.grey = true;
  expect_colours(color, every_pixel([](const Colour& p) { return Colour{grey_of(p), grey_of(p), grey_of(p)}; }));
}

TEST(Colour, GreyChannelIsChosenFrameByFrame) {
  ColorPlan color;
  color.grey_channel = {2, 0, 1};
  expect_colours(color, [](std::vector<Colour>& clip) {
    const std::array<size_t, 3> channel = {2, 0, 1};
    for (size_t i = 0; i < clip.size(); ++i) {
      const double value = clip[i][channel[i / (kSide * kSide)]];
      clip[i] = {value, value, value};
    }
  });
}

TEST(Colour, SolarizeInvertsFromItsThresholdOn) {
  ColorPlan color;
  color.solarize = 0.5;
  expect_colours(color, every_pixel([](Colour p) {
                   for (double& value : p) value = value >= 0.5 ? 1 - value : value;
                   return p;
                 }));
}

TEST(Colour, BlurIsTheGaussianOutToThreeSigmaWithReflectedBorders) {
  for (const double sigma : {0.1, 0.7, 2.0}) {
    ColorPlan color;
    color.blur_sigma = sigma;
    expect_colours(color, [sigma](std::vector<Colour>& clip) {
      const auto radius = static_cast<int64_t>(std::ceil(3 * sigma));
      const auto reflected = [](int64_t i) { return i < 0 ? -i : (i >= kSide ? 2 * kSide - 2 - i : i); };
      const std::vector<Colour> source = clip;
      double norm = 0;
      for (int64_t k = -radius; k <= radius; ++k) norm += std::exp(-0.5 * double(k * k) / sigma / sigma);
      for (size_t i = 0; i < clip.size(); ++i) {
        const auto n = static_cast<int64_t>(i);
        const int64_t frame = n / (kSide * kSide) * kSide * kSide;
        const int64_t x = n % kSide;
        const int64_t y = (n - frame) / kSide;
        clip[i] = {};
        for (int64_t dy = -radius; dy <= radius; ++dy) {
          for (int64_t dx = -radius; dx <= radius; ++dx) {
            const double weight = std::exp(-0.5 * double(dx * dx + dy * dy) / sigma / sigma) / norm / norm;
            const Colour& p = source[static_cast<size_t>(frame + reflected(y + dy) * kSide + reflected(x + dx))];
            for (size_t c = 0; c < 3; ++c) clip[i][c] += weight * p[c];
          }
        }
      }
    });
  }
}

TEST(Colour, BlurKeepsConstantsAndTheSumOfAnInnerSpot) {
  const Sample flat = made_sample({grey_picture(30, 30, [](int64_t, int64_t) { return 100; })});
  ViewPlan view = view_of(flat);
  view.color.blur_sigma = 1.7;
  for (const float value : rendered(flat, view, 30)) EXPECT_NEAR(value, 84.0 / 219, 1e-6);

  const Sample spot =
      made_sample({grey_picture(30, 30, [](int64_t x, int64_t y) { return x == 14 && y == 15 ? 235 : 16; })});
  double sum = 0;
  for (const float value : rendered(spot, view, 30)) sum += static_cast<double>(value);
  EXPECT_NEAR(sum, 3.0, 1e-4);
  view.color.blur_sigma = 50;  // wider than the view: reflects as far as there are pixels
  const std::vector<float> spread = rendered(spot, view, 30);
  EXPECT_LT(*std::ranges::max_element(spread), 0.01F);
}

TEST(Colour, BlurComesAfterGreyAndBeforeSolarize) {
  const Sample sample = colourful_sample();
  ViewPlan view = view_of(sample);
  view.color.grey_channel = {0, 1, 2};
  view.color.blur_sigma = 1.0;
  std::vector<float> expected = rendered(sample, view, kSide);
  for (float& value : expected) value = value >= 0.4F ? 1 - value : value;
  view.color.solarize = 0.4;
  EXPECT_EQ(rendered(sample, view, kSide), expected);
}

TEST(InputRange, SignedPutsBytesOnMinusOneToOne) {  // methods/cstp: 128 -> 0.003922, 0 -> -1, 255 -> 1
  for (const auto& [byte, value] : {std::pair{128, 0.003922}, {0, -1.0}, {255, 1.0}}) {
    Picture picture = grey_picture(8, 8, [byte = byte](int64_t, int64_t) { return byte; });
    picture.range = ColorRange::full;
    const Sample sample = made_sample({picture});
    for (const float out : rendered(sample, view_of(sample), 4, "signed")) EXPECT_NEAR(out, value, 1e-6);
  }
}

TEST(InputRange, StandardSubtractsTheMeanAndDividesByTheDeviation) {
  const Sample sample = colourful_sample();
  const std::vector<float> unit = rendered(sample, view_of(sample), kSide, "unit");
  const std::vector<float> standard = rendered(sample, view_of(sample), kSide, "standard");
  const InputOptions input;
  for (size_t i = 0; i < unit.size(); ++i) {
    ASSERT_NEAR(standard[i], (static_cast<double>(unit[i]) - input.mean[i % 3]) / input.std[i % 3], 1e-5);
  }
}

}  // namespace
}  // namespace cstp
