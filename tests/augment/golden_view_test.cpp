// The renderer's pixels, held to what they were before its loops were made faster. A view is remembered by two sums
// over all its values: the plain one, and one in which half of them, chosen by a hash, count negatively. A change of
// one value by more than the tolerance moves them, and so does a change of all values by a millionth.
#include <gtest/gtest.h>

#include <cstdlib>
#include <iomanip>
#include <sstream>

#include "drawn_views.h"
#include "golden_views.h"

namespace cstp {
namespace {

GoldenView golden_of(const std::string& name, uint64_t seed) {
  const int64_t sides[][3] = {{96, 72, 40}, {131, 77, 37}, {64, 90, 48}, {200, 120, 32}, {50, 41, 56}};
  const auto [width, height, size] = sides[seed % 5];
  const Scene made = scene(width, height, seed);
  Rng rng(seed, 7);
  const ViewPlan view = draws().at(name)(made.video, made.sample.frame_numbers, size, rng);
  const char* ranges[] = {"unit", "signed", "standard"};
  GoldenView golden{name, seed};
  Rng signs(99);
  const std::vector<float> values = rendered(made.sample, view, size, ranges[seed % 3]);
  golden.values = values.size();
  for (const float value : values) {
    golden.sum += value;
    golden.signed_sum += signs.chance(0.5) ? value : -value;
  }
  return golden;
}

TEST(GoldenViews, AreThePixelsThatTheyWere) {
  constexpr double kTolerance = 1.0 / 4096;
  ASSERT_EQ(std::size(kGoldenViews), draws().size() * kGoldenSeeds);
  for (const GoldenView& golden : kGoldenViews) {
    const GoldenView now = golden_of(golden.draw, golden.seed);
    // A contrast's mean that rounds another way moves every value alike, which adds up in the plain sum alone.
    const double drift = 1e-7 * static_cast<double>(now.values);
    EXPECT_TRUE(std::abs(now.sum - golden.sum) < kTolerance + drift &&
                std::abs(now.signed_sum - golden.signed_sum) < kTolerance)
        << std::setprecision(12) << "found    {\"" << now.draw << "\", " << now.seed << ", " << now.sum << ", "
        << now.signed_sum << "},\nexpected {\"" << golden.draw << "\", " << golden.seed << ", " << golden.sum << ", "
        << golden.signed_sum << "},";
  }
}

}  // namespace
}  // namespace cstp
