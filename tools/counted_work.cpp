// counted_work: a little rendering and a little drawing, always the same, whose instructions
// scripts/count_instructions.sh counts. The renderer is compiled for one kind of machine here, so that the count does
// not depend on the one that counts.
#include <algorithm>
#include <cstdio>
#include <memory>
#include <vector>

#include "cstp/augment/render.h"
#include "cstp/sampling/draw.h"
#include "cstp/sampling/overlap_pair.h"
#include "cstp/sampling/view_recipe.h"

using namespace cstp;

namespace {

constexpr int64_t kWidth = 160, kHeight = 120, kFrames = 4, kSize = 112;
constexpr VideoInfo kVideo{.frames = 300, .fps = 25, .width = kWidth, .height = kHeight, .seconds = 12};

Sample made_clip() {
  Sample sample;
  for (int64_t t = 0; t < kFrames; ++t) {
    constexpr int64_t kBytes = kWidth * kHeight * 3 / 2;
    const auto memory = std::make_shared<uint8_t[]>(kBytes);
    Rng rng(1, 0, static_cast<uint64_t>(t));
    std::generate_n(memory.get(), kBytes, [&] { return static_cast<uint8_t>(16 + rng.bits() % 220); });
    const uint8_t* y = memory.get();
    sample.frames.push_back({.y = y,
                             .u = y + kWidth * kHeight,
                             .v = y + kWidth * kHeight * 5 / 4,
                             .y_stride = kWidth,
                             .uv_stride = kWidth / 2,
                             .width = kWidth,
                             .height = kHeight});
    sample.frame_numbers.push_back(t);
    sample.memory.push_back(memory);
  }
  return sample;
}

/// Views of both recipes, colours always on, and a plain one.
std::vector<ViewPlan> some_views(const std::vector<int64_t>& frames) {
  std::vector<ViewPlan> views(8);
  for (size_t i = 0; i < views.size(); ++i) {
    Rng rng(2, 0, i);
    views[i].frames = frames;
    if (i < 3) {
      draw_recipe_view(kVideo, {}, static_cast<int64_t>(i % 2), kSize, rng, views[i]);
    } else if (i < 7) {
      views[i] = draw_overlap_pair(kVideo, {}, rng).views[i % 2];
      views[i].frames = frames;
      draw_color({.strong = i < 5 ? 1.0 : 0.0}, rng, views[i]);
    }
  }
  return views;
}

}  // namespace

// Named plainly, for callgrind's --toggle-collect.
extern "C" __attribute__((noinline)) void counted_rendering(const Sample& clip, const std::vector<ViewPlan>& views,
                                                            std::vector<float>& out) {
  for (const ViewPlan& view : views) render_cpu(clip, view, kSize, {}, out);
}

extern "C" __attribute__((noinline)) int64_t counted_drawing(uint64_t draws) {
  int64_t frames = 0;
  for (uint64_t i = 0; i < draws; ++i) {
    Rng rng(3, 0, i);
    SamplePlan plan = draw_overlap_pair(kVideo, {}, rng);
    for (ViewPlan& view : plan.views) draw_color({}, rng, view);
    draw_recipe_view(kVideo, {}, 0, kSize, rng, plan.views[0]);
    frames += static_cast<int64_t>(frames_wanted(plan).size());
  }
  return frames;
}

int main() {
  const Sample clip = made_clip();
  const std::vector<ViewPlan> views = some_views(clip.frame_numbers);
  std::vector<float> out(static_cast<size_t>(kFrames * kSize * kSize * 3));
  render_cpu(clip, views.front(), kSize, {}, out);  // memory that is kept from view to view is there now
  counted_rendering(clip, views, out);
  std::printf("%lld frames wanted, first value %g\n", static_cast<long long>(counted_drawing(300)),
              static_cast<double>(out.front()));
  return 0;
}
