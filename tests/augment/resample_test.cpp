// The renderer's filters against slow references in double precision, written from the definitions of the libraries:
// pictures become RGB at full size first, are cropped with black around them, and resized then.
#include <gtest/gtest.h>

#include <cmath>

#include "made_frames.h"

namespace cstp {
namespace {

struct Image {  // one channel
  int64_t width = 0, height = 0;
  std::vector<double> values;
  double at(int64_t x, int64_t y) const { return values[static_cast<size_t>(y * width + x)]; }
};

double triangle(double x) { return std::max(0.0, 1 - std::abs(x)); }

double keys(double x, double a) {
  x = std::abs(x);
  if (x < 1) return (a + 2) * x * x * x - (a + 3) * x * x + 1;
  return x < 2 ? a * (x * x * x - 5 * x * x + 8 * x - 4) : 0;
}

/// weights[i][j] of source j in output i, along one axis of a cropped picture of `length` samples.
using Weights = std::vector<std::vector<double>>;

/// Pillow's resize: filter widened when shrinking, normalised over the samples there are.
Weights pillow_weights(int64_t length, int64_t size, Filter filter) {
  Weights weights(static_cast<size_t>(size), std::vector<double>(static_cast<size_t>(length)));
  const double scale = static_cast<double>(length) / static_cast<double>(size);
  const double widening = std::max(1.0, scale);
  for (size_t i = 0; i < weights.size(); ++i) {
    const double centre = (static_cast<double>(i) + 0.5) * scale;
    double sum = 0;
    for (size_t j = 0; j < weights[i].size(); ++j) {
      const double distance = (static_cast<double>(j) + 0.5 - centre) / widening;
      weights[i][j] = filter == Filter::bicubic ? keys(distance, -0.5) : triangle(distance);
      sum += weights[i][j];
    }
    for (double& weight : weights[i]) weight /= sum;
  }
  return weights;
}

/// PyTorch's interpolate without antialias (align_corners=False): 2 or 4 neighbours, indices held inside the picture.
Weights pytorch_weights(int64_t length, int64_t size, Filter filter) {
  Weights weights(static_cast<size_t>(size), std::vector<double>(static_cast<size_t>(length)));
  const double scale = static_cast<double>(length) / static_cast<double>(size);
  for (size_t i = 0; i < weights.size(); ++i) {
    double source = (static_cast<double>(i) + 0.5) * scale - 0.5;
    if (filter == Filter::bilinear) source = std::max(source, 0.0);
    const double whole = std::floor(source);
    const double part = source - whole;
    const auto add = [&](double j, double weight) {
      weights[i][static_cast<size_t>(std::clamp<int64_t>(static_cast<int64_t>(j), 0, length - 1))] += weight;
    };
    if (filter == Filter::bilinear) {
      add(whole, 1 - part);
      add(whole + 1, part);
    } else {
      for (int k = -1; k <= 2; ++k) add(whole + k, keys(part - k, -0.75));
    }
  }
  return weights;
}

Image resized(const Image& image, int64_t size, const Weights& across, const Weights& down) {
  Image result{size, size, {}};
  for (const auto& row : down) {
    for (const auto& column : across) {
      double sum = 0;
      for (size_t y = 0; y < row.size(); ++y) {
        if (row[y] == 0) continue;
        for (size_t x = 0; x < column.size(); ++x) {
          if (column[x] != 0) sum += row[y] * column[x] * image.at(static_cast<int64_t>(x), static_cast<int64_t>(y));
        }
      }
      result.values.push_back(std::clamp(sum, 0.0, 1.0));
    }
  }
  return result;
}

/// Crop in whole pixels; what lies outside is 0.
Image cropped(const Image& image, int64_t left, int64_t top, int64_t width, int64_t height) {
  Image result{width, height, {}};
  for (int64_t y = top; y < top + height; ++y) {
    for (int64_t x = left; x < left + width; ++x) {
      const bool inside = x >= 0 && x < image.width && y >= 0 && y < image.height;
      result.values.push_back(inside ? image.at(x, y) : 0);
    }
  }
  return result;
}

double chroma_at(const std::vector<uint8_t>& plane, const Picture& p, int64_t x, int64_t y) {  // bilinear, centred
  const auto sample = [&](double position, int64_t last) {
    const double whole = std::floor(position);
    return std::tuple(std::clamp<int64_t>(static_cast<int64_t>(whole), 0, last),
                      std::clamp<int64_t>(static_cast<int64_t>(whole) + 1, 0, last), position - whole);
  };
  const auto [x0, x1, fx] = sample((static_cast<double>(x) + 0.5) / 2 - 0.5, p.chroma_width() - 1);
  const auto [y0, y1, fy] = sample((static_cast<double>(y) + 0.5) / 2 - 0.5, p.chroma_height() - 1);
  const auto value = [&](int64_t i, int64_t j) { return double(plane[static_cast<size_t>(j * p.chroma_width() + i)]); };
  return (1 - fy) * ((1 - fx) * value(x0, y0) + fx * value(x1, y0)) +
         fy * ((1 - fx) * value(x0, y1) + fx * value(x1, y1));
}

/// Full-size RGB of a BT.601 limited-range picture.
std::array<Image, 3> full_rgb(const Picture& p) {
  std::array<Image, 3> rgb;
  for (Image& channel : rgb) channel = {p.width, p.height, {}};
  for (int64_t y = 0; y < p.height; ++y) {
    for (int64_t x = 0; x < p.width; ++x) {
      const double luma = (p.y[static_cast<size_t>(y * p.width + x)] - 16.0) / 219;
      const double cb = (chroma_at(p.u, p, x, y) - 128) / 224;
      const double cr = (chroma_at(p.v, p, x, y) - 128) / 224;
      rgb[0].values.push_back(luma + 1.402 * cr);
      rgb[1].values.push_back(luma - 0.344136 * cb - 0.714136 * cr);
      rgb[2].values.push_back(luma + 1.772 * cb);
    }
  }
  return rgb;
}

double psnr(const std::array<Image, 3>& expected, const std::vector<float>& actual) {
  double squares = 0;
  for (size_t i = 0; i < actual.size(); ++i) {
    const double difference = expected[i % 3].values[i / 3] - static_cast<double>(actual[i]);
    squares += difference * difference;
  }
  return -10 * std::log10(squares / static_cast<double>(actual.size()) + 1e-20);
}

struct Case {
  Filter filter;
  bool antialias;
  int64_t left, top, width, height, size;
};

class AgainstReference : public ::testing::TestWithParam<Case> {
 protected:
  double quality(const Picture& picture) const {
    const Case& c = GetParam();
    const Sample sample = made_sample({picture});
    ViewPlan view =
        view_of(sample, pixel_box(picture, double(c.left), double(c.top), double(c.width), double(c.height)));
    view.filter = c.filter;
    view.antialias = c.antialias;
    const auto weights = c.antialias ? pillow_weights : pytorch_weights;
    const Weights across = weights(c.width, c.size, c.filter);
    const Weights down = weights(c.height, c.size, c.filter);
    std::array<Image, 3> expected = full_rgb(picture);
    for (Image& channel : expected) {
      channel = resized(cropped(channel, c.left, c.top, c.width, c.height), c.size, across, down);
    }
    return psnr(expected, rendered(sample, view, c.size));
  }
};

TEST_P(AgainstReference, GreyNoiseAgreesToRounding) {
  std::mt19937 random(5);
  // 120 dB is an error of one millionth; clamping happens at the same place because nothing leaves [0,1] before it.
  EXPECT_GT(quality(grey_picture(81, 61, [&](int64_t, int64_t) { return static_cast<int>(16 + random() % 220); })),
            100);
}

TEST_P(AgainstReference, ColouredWavesAgreeWithinWhatChromaSubsamplingLeavesOpen) {
  EXPECT_GT(quality(wavy_picture(80, 60)), 45);
  // An odd size has half a chroma sample beyond its edge; off the frame it tints half a pixel of the black there.
  const bool off_frame = GetParam().left < 0 || GetParam().left + GetParam().width > 80;
  EXPECT_GT(quality(wavy_picture(81, 61)), off_frame ? 38 : 45);
}

INSTANTIATE_TEST_SUITE_P(
    Filters, AgainstReference,
    ::testing::Values(Case{Filter::bilinear, true, 10, 6, 60, 40, 24}, Case{Filter::bicubic, true, 10, 6, 60, 40, 24},
                      Case{Filter::bicubic, true, 0, 0, 80, 60, 16}, Case{Filter::bilinear, true, 20, 20, 16, 16, 40},
                      Case{Filter::bicubic, true, 20, 20, 16, 12, 40}, Case{Filter::bilinear, false, 10, 6, 60, 40, 24},
                      Case{Filter::bicubic, false, 10, 6, 60, 40, 24},
                      Case{Filter::bicubic, false, 20, 20, 16, 12, 40}));

INSTANTIATE_TEST_SUITE_P(OffTheFrame, AgainstReference,
                         ::testing::Values(Case{Filter::bilinear, true, 60, -10, 50, 40, 24},
                                           Case{Filter::bicubic, true, -20, 30, 60, 60, 24},
                                           Case{Filter::bicubic, false, -20, 30, 60, 60, 24}));

TEST(Resample, NearestTakesTheSampleUnderTheCentreOfThePixel) {  // Pillow's rule: floor((i + 0.5) * scale)
  const Picture picture = grey_picture(70, 50, [](int64_t x, int64_t y) { return static_cast<int>(16 + x + 2 * y); });
  const Sample sample = made_sample({picture});
  ViewPlan view = view_of(sample, pixel_box(picture, 7, 5, 50, 30));
  view.filter = Filter::nearest;
  const std::vector<float> out = rendered(sample, view, 16);
  for (int64_t y = 0; y < 16; ++y) {
    for (int64_t x = 0; x < 16; ++x) {
      const double from_x = 7 + std::floor((static_cast<double>(x) + 0.5) * 50 / 16);
      const double from_y = 5 + std::floor((static_cast<double>(y) + 0.5) * 30 / 16);
      EXPECT_NEAR(pixel(out, 16, x, y), (from_x + 2 * from_y) / 219, 1e-6);
    }
  }
}

TEST(Resample, AntialiasMakesAFineCheckerboardGrey) {
  const Picture picture = grey_picture(160, 160, [](int64_t x, int64_t y) { return (x + y) % 2 == 0 ? 16 : 235; });
  const Sample sample = made_sample({picture});
  ViewPlan view = view_of(sample);
  const std::vector<float> smooth = rendered(sample, view, 16);
  for (const float value : smooth) EXPECT_NEAR(value, 0.5F, 1e-3);
  view.antialias = false;
  view.filter = Filter::nearest;
  const std::vector<float> aliased = rendered(sample, view, 16);
  for (const float value : aliased) EXPECT_TRUE(value == 0.0F || std::abs(value - 1) < 1e-6F);
}

TEST(Resample, BoxesSmallerThanAPixelAndSidesOfOneWork) {
  const Picture picture = grey_picture(20, 20, [](int64_t x, int64_t) { return static_cast<int>(16 + 10 * x); });
  const Sample sample = made_sample({picture});
  for (const Filter filter : {Filter::nearest, Filter::bilinear, Filter::bicubic}) {
    ViewPlan view = view_of(sample, pixel_box(picture, 7.3, 3.2, 0.2, 0.1));
    view.filter = filter;
    for (const float value : rendered(sample, view, 5)) EXPECT_NEAR(value, 70.0 / 219, 1e-5);
    view.crop = {};
    EXPECT_EQ(rendered(sample, view, 1).size(), 3U);
  }
  const Sample single = made_sample({grey_picture(1, 1, [](int64_t, int64_t) { return 235; })});
  for (const float value : rendered(single, view_of(single), 6)) EXPECT_NEAR(value, 1.0F, 1e-6);
}

}  // namespace
}  // namespace cstp
