#include "cstp/video/flow.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <numbers>
#include <ostream>
#include <vector>

#include "cstp/core/error.h"
#include "cstp/core/random.h"

namespace cstp {

void PrintTo(const FlowOptions& options, std::ostream* out) { *out << options.method << " " << options.preset; }

namespace {

/// A texture that is known between the pixels too: 40 waves of 6 to 40 pixels.
std::vector<uint8_t> texture(int64_t width, int64_t height, double shift_x, double shift_y, uint64_t seed = 3) {
  struct Wave {
    double x, y, phase;
  };
  Rng rng(seed);
  std::vector<Wave> waves;
  for (int i = 0; i < 40; ++i) {
    const double length = rng.uniform(6, 40), angle = rng.uniform(0, 2 * std::numbers::pi);
    const double rate = 2 * std::numbers::pi / length;
    waves.push_back({rate * std::cos(angle), rate * std::sin(angle), rng.uniform(0, 2 * std::numbers::pi)});
  }
  std::vector<uint8_t> grey(static_cast<size_t>(width * height));
  for (int64_t y = 0; y < height; ++y) {
    for (int64_t x = 0; x < width; ++x) {
      double sum = 0;
      for (const Wave& wave : waves) {
        sum += std::sin(wave.x * (static_cast<double>(x) - shift_x) + wave.y * (static_cast<double>(y) - shift_y) +
                        wave.phase);
      }
      grey[static_cast<size_t>(y * width + x)] =
          static_cast<uint8_t>(std::clamp(std::lround(128 + 20 * sum), 0L, 255L));
    }
  }
  return grey;
}

struct Field {
  std::vector<float> u, v;
};

Field flow_of(FlowSolver& solver, const std::vector<uint8_t>& from, const std::vector<uint8_t>& to, int64_t width,
              int64_t height) {
  Field field{std::vector<float>(from.size(), 99), std::vector<float>(from.size(), 99)};
  solver.solve(from.data(), to.data(), width, height, field.u.data(), field.v.data());
  return field;
}

double median_error(const std::vector<float>& found, double wanted) {
  std::vector<double> errors;
  for (const float value : found) errors.push_back(std::abs(static_cast<double>(value) - wanted));
  std::nth_element(errors.begin(), errors.begin() + std::ssize(errors) / 2, errors.end());
  return errors[errors.size() / 2];
}

class EveryFlow : public testing::TestWithParam<FlowOptions> {
 protected:
  void SetUp() override {
    if (GetParam().method == "tvl1" && !FlowSolver::has_tvl1())
      GTEST_SKIP() << "built without OpenCV's contrib modules";
  }
};

TEST_P(EveryFlow, FindsAKnownShift) {
  constexpr int64_t kWidth = 112, kHeight = 96;
  FlowSolver solver(GetParam());
  for (const auto& [dx, dy] : {std::pair{2.0, 1.0}, {-3.0, 0.5}, {1.5, -2.5}, {0.25, 0.0}}) {
    const Field field =
        flow_of(solver, texture(kWidth, kHeight, 0, 0), texture(kWidth, kHeight, dx, dy), kWidth, kHeight);
    EXPECT_LT(median_error(field.u, dx), 0.1) << dx << "," << dy;
    EXPECT_LT(median_error(field.v, dy), 0.1) << dx << "," << dy;
  }
}

TEST_P(EveryFlow, UPointsRightAndVDown) {
  constexpr int64_t kSide = 160;
  FlowSolver solver(GetParam());
  // A textured disc of radius 36 around (60, 80) goes 2 pixels to the right and 1 down over a still ground.
  const auto picture = [](double dx, double dy) {
    std::vector<uint8_t> grey = texture(kSide, kSide, 0, 0, 5);
    const std::vector<uint8_t> moved = texture(kSide, kSide, dx, dy, 9);
    for (int64_t y = 0; y < kSide; ++y) {
      for (int64_t x = 0; x < kSide; ++x) {
        const double from_centre = std::hypot(static_cast<double>(x) - 60 - dx, static_cast<double>(y) - 80 - dy);
        const auto at = static_cast<size_t>(y * kSide + x);
        if (from_centre < 36) grey[at] = moved[at];
      }
    }
    return grey;
  };
  const Field field = flow_of(solver, picture(0, 0), picture(2, 1), kSide, kSide);
  const auto disc = static_cast<size_t>(80 * kSide + 60), ground = static_cast<size_t>(20 * kSide + 130);
  EXPECT_NEAR(field.u[disc], 2, 0.5);  // the faster presets smear over some 30 pixels
  EXPECT_NEAR(field.v[disc], 1, 0.5);
  EXPECT_NEAR(field.u[ground], 0, 0.2);
  EXPECT_NEAR(field.v[ground], 0, 0.2);
}

TEST_P(EveryFlow, OfAStillPairIsNothing) {
  constexpr int64_t kWidth = 80, kHeight = 64;
  FlowSolver solver(GetParam());
  const std::vector<uint8_t> still = texture(kWidth, kHeight, 0, 0);
  const Field field = flow_of(solver, still, still, kWidth, kHeight);
  for (size_t i = 0; i < still.size(); ++i) {
    ASSERT_NEAR(field.u[i], 0, 0.01);
    ASSERT_NEAR(field.v[i], 0, 0.01);
  }
}

TEST_P(EveryFlow, DependsOnItsPairAlone) {
  constexpr int64_t kSide = 64;
  const std::vector<uint8_t> from = texture(kSide, kSide, 0, 0), to = texture(kSide, kSide, 1, -1);
  FlowSolver fresh(GetParam()), used(GetParam());
  const Field alone = flow_of(fresh, from, to, kSide, kSide);
  flow_of(used, texture(kSide, kSide, 0, 0, 21), texture(kSide, kSide, -5, 4, 21), kSide, kSide);
  flow_of(used, texture(96, 40, 0, 0), texture(96, 40, 2, 2), 96, 40);
  const Field after = flow_of(used, from, to, kSide, kSide);
  EXPECT_EQ(alone.u, after.u);
  EXPECT_EQ(alone.v, after.v);
}

TEST_P(EveryFlow, TakesPicturesOfAnySize) {
  FlowSolver solver(GetParam());
  for (const auto& [width, height] :
       {std::pair<int64_t, int64_t>{1, 1}, {7, 5}, {11, 200}, {200, 11}, {12, 12}, {31, 33}, {113, 77}}) {
    const Field field = flow_of(solver, texture(width, height, 0, 0), texture(width, height, 0.5, 0), width, height);
    for (size_t i = 0; i < field.u.size(); ++i) {
      ASSERT_LT(std::abs(field.u[i]), 20) << width << "x" << height << " at " << i;
      ASSERT_LT(std::abs(field.v[i]), 20) << width << "x" << height << " at " << i;
    }
  }
  const Field small = flow_of(solver, texture(24, 20, 0, 0), texture(24, 20, 1, 0), 24, 20);
  EXPECT_LT(median_error(small.u, 1), 0.25);
  EXPECT_LT(median_error(small.v, 0), 0.25);
}

INSTANTIATE_TEST_SUITE_P(Methods, EveryFlow,
                         testing::Values(FlowOptions{"dis", "ultrafast"}, FlowOptions{"dis", "fast"},
                                         FlowOptions{"dis", "medium"}, FlowOptions{"dis", "fine"},
                                         FlowOptions{"tvl1", ""}),
                         [](const auto& one) { return one.param.method + one.param.preset; });

TEST(FlowSolver, SaysWhichMethodsAndPresetsThereAre) {
  const auto message = [](const FlowOptions& options) -> std::string {
    try {
      FlowSolver solver(options);
    } catch (const ConfigError& error) {
      return error.what();
    }
    return "";
  };
  EXPECT_THAT(message({"farneback", "fast"}), testing::HasSubstr("there are 'dis' and 'tvl1'"));
  EXPECT_THAT(message({"dis", "slow"}), testing::HasSubstr("ultrafast, fast, medium and fine"));
  if (!FlowSolver::has_tvl1()) {
    EXPECT_THAT(message({"tvl1", ""}), testing::HasSubstr("libopencv-contrib-dev"));
  }
}

}  // namespace
}  // namespace cstp
