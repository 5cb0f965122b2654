// The CUDA body of the renderer against the CPU body: the functions that a GPU's threads run, run over the launch's own
// grid on the CPU (launch_on_cpu.h says what that leaves out). On a GPU: cuda_render_test.cpp.
#include <gtest/gtest.h>

#include <algorithm>
#include <array>
#include <bit>
#include <cmath>

#include "cstp/core/error.h"
#include "cstp/core/text.h"
#include "drawn_views.h"
#include "launch_on_cpu.h"
#include "tile_needs.h"

namespace cstp {
namespace {

/// By the CPU body, in the order of a batch.
std::vector<float> rendered_batch(const std::vector<Sample>& batch, int64_t size, const InputOptions& input) {
  std::vector<float> all;
  for (size_t v = 0; v < batch.front().plan.views.size(); ++v) {
    for (const Sample& sample : batch) {
      const std::vector<float> one = rendered(sample, sample.plan.views[v], size, input.range);
      all.insert(all.end(), one.begin(), one.end());
    }
  }
  return all;
}

struct Agreement {
  double worst = 0;  ///< of all values but `apart`
  size_t apart = 0;  ///< values further apart than the tolerance
  size_t values = 0;
};
Agreement agreement(const std::vector<float>& a, const std::vector<float>& b, double tolerance) {
  Agreement result{.values = a.size()};
  for (size_t i = 0; i < a.size(); ++i) {
    const double difference = std::abs(static_cast<double>(a[i]) - static_cast<double>(b[i]));
    if (!(difference <= tolerance)) {
      ++result.apart;
    } else {
      result.worst = std::max(result.worst, difference);
    }
  }
  return result;
}

InputOptions range(const std::string& name) {
  InputOptions input;
  input.range = name;
  return input;
}

/// Tighter by far than the 1/255 that is promised: both bodies do the same sums, in nearly the same order. A blur goes
/// through 65535ths.
constexpr double kTolerance = 6e-5;

void expect_agreement(const std::vector<Sample>& batch, int64_t size, const InputOptions& input,
                      size_t may_differ = 0) {
  const std::vector<float> expected = rendered_batch(batch, size, input);
  const std::vector<float> found = rendered_as_on_gpu<AsFloat>(batch, size, input);
  ASSERT_EQ(found.size(), expected.size());
  const double scale = input.range == "standard" ? 5 : 2;
  const Agreement agree = agreement(found, expected, scale * kTolerance);
  EXPECT_LE(agree.apart, may_differ) << "of " << agree.values;
}

Sample with_views(Sample sample, std::vector<ViewPlan> views) {
  sample.plan.views = std::move(views);
  return sample;
}

Sample colourful(const Layout& layout = {}) {
  return made_sample({noisy_picture(64, 48, 1), wavy_picture(64, 48, 1), noisy_picture(64, 48, 2)}, layout);
}

struct NamedColor {
  const char* name;
  ColorPlan color;
};
std::vector<NamedColor> single_operations() {
  std::vector<NamedColor> all;
  all.push_back({"none", {}});
  for (const ColorRule rule : {ColorRule::torchvision, ColorRule::tensorflow}) {
    for (const double amount : {0.3, 1.7}) {
      for (const ColorOp op : {ColorOp::brightness, ColorOp::contrast, ColorOp::saturation, ColorOp::hue}) {
        ColorPlan color;
        color.rule = rule;
        color.jitter = {op};
        color.brightness = color.contrast = color.saturation = amount;
        color.hue = amount - 1.2;  // -0.9 would be too much
        color.hue = std::clamp(color.hue, -0.5, 0.5);
        all.push_back({"jitter", color});
      }
    }
    ColorPlan grey;
    grey.rule = rule;
    grey.grey = true;
    all.push_back({"grey", grey});
  }
  ColorPlan channels;
  channels.grey_channel = {2, 0, 1};
  all.push_back({"grey channel", channels});
  ColorPlan solar;
  solar.solarize = 0.5;
  all.push_back({"solarize", solar});
  for (const BlurBorder border : {BlurBorder::reflect, BlurBorder::zero}) {
    for (const double sigma : {0.1, 0.7, 2.0, 4.5}) {
      ColorPlan blurred;
      blurred.blur_sigma = sigma;
      blurred.blur_border = border;
      blurred.blur_taps = sigma == 0.7 ? 5 : 0;
      blurred.solarize = sigma == 2.0 ? 0.5 : 2;
      all.push_back({"blur", blurred});
    }
  }
  return all;
}

TEST(RenderCudaBody, GivesThePixelsOfTheCpuBodyForEveryOperationAlone) {
  for (const NamedColor& one : single_operations()) {
    Sample sample = colourful();
    ViewPlan view = view_of(sample, {0.1, 0.05, 0.7, 0.8});
    view.color = one.color;
    sample = with_views(sample, {view});
    for (const int64_t size : {40, 37}) {
      SCOPED_TRACE(cat(one.name, " at ", size));
      // A pixel that stands at the threshold to a millionth is inverted or not: at 0.5 that is all the same.
      expect_agreement({sample}, size, range("signed"));
    }
  }
}

TEST(RenderCudaBody, GivesThePixelsOfTheCpuBodyForEveryDraw) {
  const int64_t sides[][3] = {{96, 72, 40}, {131, 77, 37}, {64, 90, 48}, {200, 120, 32}, {50, 41, 56}};
  const char* ranges[] = {"unit", "signed", "standard"};
  std::map<std::string, Draw> all = draws();
  all["sts"] = squeezed_view;
  for (const auto& [name, draw] : all) {
    for (uint64_t seed = 0; seed < 20; ++seed) {
      SCOPED_TRACE(cat(name, ", seed ", seed));
      const auto [width, height, size] = sides[seed % 5];
      std::vector<Sample> batch;
      for (uint64_t b = 0; b < 2; ++b) {
        const Scene made = scene(width, height, seed + 20 * b);
        Rng rng(seed, 7 + b);
        std::vector<ViewPlan> views;
        for (int64_t v = 0; v < 2; ++v) views.push_back(draw(made.video, made.sample.frame_numbers, size, rng));
        batch.push_back(with_views(made.sample, views));
      }
      // Where solarize inverts at a drawn threshold, a value beside it may fall on the other side.
      const bool jumps = std::ranges::any_of(batch, [](const Sample& sample) {
        return std::ranges::any_of(sample.plan.views,
                                   [](const ViewPlan& v) { return v.color.solarize < 1 && v.color.solarize != 0.5; });
      });
      // Decoded by the CPU, by the GPU, or one by each.
      for (size_t b = 0; b < 2; ++b) batch[b].on_gpu = seed % 8 >= 5 + b;
      expect_agreement(batch, size, range(ranges[seed % 3]), jumps ? 12 : 0);
    }
  }
}

TEST(RenderCudaBody, ReadsPlanesOfAnyLayoutMatrixAndRange) {
  for (const bool interleaved : {false, true}) {
    for (const int64_t padding : {0, 1, 3, 8, 12}) {
      for (const auto& [width, height] : {std::pair<int64_t, int64_t>{64, 48}, {63, 47}, {5, 3}, {66, 2}, {1, 1}}) {
        for (const int turns : {0, 1, 3}) {
          Picture picture = noisy_picture(width, height, 3);
          picture.matrix = turns == 1 ? ColorMatrix::bt709 : turns == 3 ? ColorMatrix::bt2020 : ColorMatrix::bt601;
          picture.range = padding == 3 ? ColorRange::full : ColorRange::limited;
          picture.quarter_turns = turns;
          Sample sample = made_sample({picture}, {.padding = padding, .interleaved = interleaved});
          ViewPlan view = view_of(sample, {-0.1, 0.2, 0.9, 1.1});
          sample = with_views(sample, {view});
          SCOPED_TRACE(cat(width, "x", height, " interleaved ", interleaved, " padding ", padding, " turns ", turns));
          for (const bool on_gpu : {false, true}) {
            sample.on_gpu = on_gpu;
            expect_agreement({sample}, 24, range("unit"));
          }
        }
      }
    }
  }
}

TEST(RenderCudaBody, PlacesEveryTurnFlipAndTilt) {
  for (const Filter filter : {Filter::nearest, Filter::bilinear, Filter::bicubic}) {
    for (const bool antialias : {false, true}) {
      std::vector<ViewPlan> views;
      const Sample frames = made_sample({noisy_picture(90, 70, 4), noisy_picture(90, 70, 5)});
      for (int turns = 0; turns < 4; ++turns) {
        for (const bool flip : {false, true}) {
          for (const double tilt : {0.0, 7.0, -60.0}) {
            ViewPlan view = view_of(frames, {0.05, 0.1, 0.8, 0.75});
            view.quarter_turns = turns;
            view.flip = flip;
            view.tilt_degrees = tilt;
            view.turn_before_crop = flip;
            view.filter = filter;
            view.antialias = antialias;
            views.push_back(view);
          }
        }
      }
      for (const int64_t size : {64, 41}) expect_agreement({with_views(frames, views)}, size, range("unit"));
    }
  }
}

TEST(RenderCudaBody, MakesTheViewsOfTraining) {  // the tiles of 16 x 56 that views of 112 and 224 have
  for (const auto& [width, height, size] : {std::array<int64_t, 3>{340, 256, 224}, {320, 240, 112}}) {
    EXPECT_EQ(tile_shape(size, 0).columns, 56);
    Sample frames = made_sample({noisy_picture(width, height, 6)});
    ViewPlan straight = view_of(frames, {0.1, 0.2, 0.5, 0.7});
    straight.antialias = false;
    ViewPlan turned = straight;
    turned.quarter_turns = 1;
    turned.filter = Filter::bicubic;
    turned.antialias = true;
    ViewPlan blurred = straight;
    blurred.color.jitter = {ColorOp::hue, ColorOp::contrast, ColorOp::brightness, ColorOp::saturation};
    blurred.color.contrast = 1.4;
    blurred.color.hue = 0.13;
    blurred.color.brightness = 0.8;
    blurred.color.saturation = 1.3;
    blurred.color.blur_sigma = 2;
    blurred.color.blur_taps = recipe_blur_taps(size);
    blurred.color.blur_border = BlurBorder::zero;
    ViewPlan tilted = turned;
    tilted.tilt_degrees = 9;
    expect_agreement({with_views(frames, {straight, turned, blurred, tilted})}, size, range("signed"));
  }
}

TEST(RenderCudaBody, TakesSmallerTilesWhereFramesShrinkALot) {
  Sample large = made_sample({noisy_picture(2600, 700, 7)});
  ViewPlan view = view_of(large);
  view.filter = Filter::bicubic;
  Sample small = made_sample({noisy_picture(48, 40, 8)});
  HostViews packed;
  pack_views(with_views(large, {view}), 40, {}, packed);
  EXPECT_GT(packed.geometries.front().choice, 0);
  for (const double tilt : {0.0, 20.0}) {
    view.tilt_degrees = tilt;
    expect_agreement({with_views(large, {view}), with_views(small, {view_of(small)})}, 40, range("unit"));
  }
}

TEST(RenderCudaBody, BlursWiderThanATileAndNoWiderThanThePicture) {
  Sample frames = made_sample({noisy_picture(80, 60, 9)});
  for (const auto& [size, sigma] : {std::pair<int64_t, double>{112, 9.0}, {16, 30.0}, {3, 2.0}, {1, 1.0}}) {
    ViewPlan view = view_of(frames, {0.1, 0.1, 0.8, 0.8});
    view.color.blur_sigma = sigma;
    expect_agreement({with_views(frames, {view})}, size, range("unit"));
  }
  ViewPlan view = view_of(frames);
  view.color.blur_sigma = 200;
  EXPECT_THROW(rendered_as_on_gpu<AsFloat>({with_views(frames, {view})}, 1024, {}), DeviceError);
}

TEST(RenderCudaBody, RoundsBf16ToTheNearest) {
  const Sample frames = colourful();
  ViewPlan plain = view_of(frames, {0.1, 0.05, 0.7, 0.8});
  ViewPlan blurred = plain;
  blurred.color.blur_sigma = 1;
  for (const int64_t size : {40, 37}) {
    const std::vector<Sample> batch = {with_views(frames, {plain, blurred})};
    const std::vector<float> exact = rendered_as_on_gpu<AsFloat>(batch, size, range("standard"));
    const std::vector<uint16_t> half = rendered_as_on_gpu<AsBfloat16>(batch, size, range("standard"));
    ASSERT_EQ(half.size(), exact.size());
    for (size_t i = 0; i < half.size(); ++i) {
      const float value = std::bit_cast<float>(static_cast<uint32_t>(half[i]) << 16);
      ASSERT_LE(std::abs(value - exact[i]), std::abs(exact[i]) / 256 + 1e-30F) << i;
    }
  }
}

TEST(RenderCudaBody, BringsNoMoreOfAPlaneThanItsViewsRead) {
  const Sample frames = made_sample({noisy_picture(400, 300, 2)});
  HostViews whole, part;
  pack_views(with_views(frames, {view_of(frames)}), 32, {}, whole);
  pack_views(with_views(frames, {view_of(frames, {0.5, 0.5, 0.25, 0.25})}), 32, {}, part);
  const size_t planes = 400 * 300 * 3 / 2;
  EXPECT_GE(whole.bytes, planes);
  EXPECT_LT(part.bytes, planes / 8);
}

TEST(RenderCudaBody, SizesOfFramesMayDifferWithinAView) {
  const Sample frames = made_sample({noisy_picture(64, 48, 1), noisy_picture(50, 70, 2), noisy_picture(64, 48, 3)});
  expect_agreement({with_views(frames, {view_of(frames, {0.1, 0.2, 0.6, 0.6})})}, 32, range("unit"));
}

}  // namespace
}  // namespace cstp
