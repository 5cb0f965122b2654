// Whole samples: all views, previews, options, and the promise that bits never change.
#include <gtest/gtest.h>

#include <thread>

#include "cstp/core/config.h"
#include "cstp/core/error.h"
#include "made_frames.h"

namespace cstp {
namespace {

constexpr int64_t kSide = 20;

Sample two_view_sample() {
  Sample sample = made_sample({noisy_picture(50, 38, 1), noisy_picture(50, 38, 2), noisy_picture(50, 38, 3)});
  ViewPlan first = view_of(sample, {0.1, 0.1, 0.5, 0.5});
  first.frames = {0, 1};
  first.color.jitter = {ColorOp::hue, ColorOp::contrast, ColorOp::brightness};
  first.color.brightness = 1.2;
  first.color.contrast = 0.8;
  first.color.hue = 0.1;
  ViewPlan second = view_of(sample, {0.3, 0.2, 0.6, 0.7});
  second.frames = {1, 2};
  second.flip = true;
  second.tilt_degrees = 5;
  second.filter = Filter::bicubic;
  second.color.blur_sigma = 0.8;
  sample.plan.views = {first, second};
  return sample;
}

TEST(RenderSample, PutsTheViewsOneAfterTheOtherAndReleasesTheFrames) {
  Sample sample = two_view_sample();
  UnsetVector<float> expected;
  for (const ViewPlan& view : sample.plan.views) {
    const std::vector<float> one = rendered(sample, view, kSide, "signed");
    expected.insert(expected.end(), one.begin(), one.end());
  }
  const std::weak_ptr<uint8_t[]> memory = sample.memory.front();
  render_sample(sample, kSide, InputOptions{});
  EXPECT_EQ(sample.rendered, expected);
  EXPECT_TRUE(sample.frames.empty());
  EXPECT_TRUE(memory.expired());
}

TEST(RenderSample, LeavesASampleThatCouldNotBeDecodedAlone) {
  Sample sample;
  sample.plan.views.resize(1);
  sample.error = "no decodable frame";
  render_sample(sample, kSide, InputOptions{});
  EXPECT_TRUE(sample.rendered.empty());
}

TEST(RenderSample, GivesTheSameBitsOnEveryThreadAndAfterOtherWork) {
  Sample first = two_view_sample();
  render_sample(first, kSide, InputOptions{});
  std::vector<UnsetVector<float>> results(4);
  std::vector<std::thread> threads;
  for (size_t i = 0; i < results.size(); ++i) {
    threads.emplace_back([&results, i] {
      const Sample other = made_sample({noisy_picture(130 + 10 * static_cast<int64_t>(i), 90)});
      rendered(other, view_of(other), 33);  // leaves its own traces in the thread's scratch memory
      Sample sample = two_view_sample();
      render_sample(sample, kSide, InputOptions{});
      results[i] = sample.rendered;
    });
  }
  for (std::thread& thread : threads) thread.join();
  for (const UnsetVector<float>& result : results) EXPECT_EQ(result, first.rendered);
}

TEST(RenderPreview, IsTheUnitViewInBytes) {
  const Sample sample = two_view_sample();
  for (const ViewPlan& view : sample.plan.views) {
    const std::vector<float> clip = rendered(sample, view, kSide, "unit");
    for (size_t frame = 0; frame < view.frames.size(); ++frame) {
      std::vector<uint8_t> bytes(kSide * kSide * 3);
      render_preview(sample, view, kSide, frame, bytes);
      for (size_t i = 0; i < bytes.size(); ++i) {
        ASSERT_EQ(bytes[i], static_cast<uint8_t>(std::lround(255 * clip[frame * bytes.size() + i])));
      }
    }
  }
}

TEST(InputOptions, AreReadFromYamlAndRefusedWhenWrong) {
  const auto options =
      ConfigNode::parse("{range: standard, mean: [0.5, 0.4, 0.3]}", "test").read<InputOptions>("input");
  EXPECT_EQ(options.range, "standard");
  EXPECT_EQ(options.mean, (std::array<double, 3>{0.5, 0.4, 0.3}));
  EXPECT_EQ(options.std, InputOptions{}.std);
  EXPECT_THROW(ConfigNode::parse("{range: bytes}", "test").read<InputOptions>("input"), ConfigError);
  EXPECT_THROW(ConfigNode::parse("{mean: [0.5, 0.4]}", "test").read<InputOptions>("input"), ConfigError);
  EXPECT_THROW(ConfigNode::parse("{std: [0.5, 0, 0.5]}", "test").read<InputOptions>("input"), ConfigError);
  EXPECT_EQ(to_config(options).read<InputOptions>("input").mean, options.mean);
}

TEST(RenderCpu, RefusesPlansThatCannotBeMeant) {
  const Sample sample = two_view_sample();
  ViewPlan view = sample.plan.views.front();
  std::vector<float> out(2 * kSide * kSide * 3);
  EXPECT_THROW(render_cpu(sample, view, kSide, {}, std::span(out).first(7)), std::exception);
  view.color.grey_channel = {0};
  EXPECT_THROW(render_cpu(sample, view, kSide, {}, out), std::exception);
  view.color.grey_channel = {0, 3};
  EXPECT_THROW(render_cpu(sample, view, kSide, {}, out), std::exception);
}

}  // namespace
}  // namespace cstp
