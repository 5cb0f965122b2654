// STS on rendered pixels, its plans and its switches; the statistics themselves, and the heads, have tests of their
// own.
#include "cstp/objectives/sts.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <random>
#include <set>

#include "augment/made_frames.h"
#include "cstp/augment/view_flow.h"
#include "cstp/augment/view_stream.h"
#include "cstp/core/error.h"
#include "made_batch.h"
#include "sts_motion.h"

namespace cstp {
namespace {

using testing::ElementsAre;
using testing::HasSubstr;

constexpr int64_t kView = 64;
constexpr int64_t kFrames = 8;

std::shared_ptr<StsObjective> sts(const std::string& more = "") {
  ObjectiveParts parts = small_parts("r3d10_pool");
  parts.clip = {.frames = kFrames, .stride = 1, .size = kView};
  return std::dynamic_pointer_cast<StsObjective>(made_objective("{name: sts" + more + "}", parts));
}

/// Smooth noise, so that flow has something to hold on to.
class Texture {
 public:
  explicit Texture(uint32_t seed) {
    std::mt19937 random(seed);
    for (double& value : waves_) value = static_cast<double>(random()) / 4294967296.0;
  }
  double at(double x, double y) const {
    double sum = 0;
    for (size_t i = 0; i < waves_.size(); i += 3) {
      sum += std::sin((.1 + .5 * waves_[i]) * x + (.6 * waves_[i + 1] - .3) * y + 6.28 * waves_[i + 2]);
    }
    return sum;
  }

 private:
  std::array<double, 18> waves_{};
};

/// A square of side 14 at (x, y) of frame 0 that moves right by `steps[t]` before frame t, over a scene that drifts.
struct Scene {
  double x = 34, y = 18;
  std::vector<double> steps = {0, 1, 1, 1, 1, 1, 1, 1};
  double camera = 0;
  int scene_red = 128, square_red = 128;  ///< chroma
};

Sample filmed(const Scene& scene) {
  static const Texture ground(3), figure(8);
  std::vector<Picture> pictures;
  double moved = 0;
  for (size_t t = 0; t < scene.steps.size(); ++t) {
    moved += scene.steps[t];
    const double left = scene.x + moved, shift = scene.camera * static_cast<double>(t);
    const auto inside = [=](double x, double y) {
      return x >= left && x < left + 14 && y >= scene.y && y < scene.y + 14;
    };
    pictures.push_back(made_picture(
        kView, kView,
        [&](int64_t x, int64_t y) {
          const auto a = static_cast<double>(x), b = static_cast<double>(y);
          const double value = inside(a, b) ? figure.at(a - left, b) : ground.at(a - shift, b);
          return std::clamp(static_cast<int>(std::lround(120 + 25 * value)), 16, 235);
        },
        grey_chroma,
        [&](int64_t x, int64_t y) {
          return inside(2 * static_cast<double>(x), 2 * static_cast<double>(y)) ? scene.square_red : scene.scene_red;
        }));
  }
  Sample sample = made_sample(pictures);
  ViewPlan view = view_of(sample);
  view.antialias = false;
  sample.plan.views = {view};
  sample.plan.flow = sample.plan.raw_bytes = true;
  return sample;
}

/// As the loader does it.
std::vector<int64_t> labels_of(const StsObjective& objective, Sample sample) {
  render_raw(sample, kView);
  objective.annotate(sample);
  return {sample.targets.begin(), sample.targets.end()};
}
std::vector<int64_t> labels_of(const StsObjective& objective, const Scene& scene, bool flip = false) {
  Sample sample = filmed(scene);
  sample.plan.views.front().flip = flip;
  return labels_of(objective, std::move(sample));
}

TEST(Sts, FindsASquareThatMoves) {
  const Scene scene{.steps = {0, 1, 1, 1, 1, 2, 1, 1}};
  const auto labels = labels_of(*sts(), scene);
  ASSERT_EQ(labels.size(), 27U);
  EXPECT_EQ(labels[0], 7);  // from (34,18) to (56,32): the second row of squares, mostly in the third column
  EXPECT_EQ(labels[12], 5);
  Scene lower = scene;
  lower.y = 50;
  lower.x = -4;
  EXPECT_EQ(labels_of(*sts(), lower)[0], 13);
}

TEST(Sts, ACameraThatMovesIsNoMotion) {
  const auto boundary = [](const Scene& scene) {
    const Sample sample = filmed(scene);
    const ViewFlow flow = view_flow(sample, sample.plan.views[0], -1, kView, {});
    return boundary_sum(std::span(flow.u).first(kView * kView), kView, kView);
  };
  Scene still;
  still.steps.assign(kFrames, 0);
  still.x = -20;  // nothing but ground
  Scene pan = still;
  pan.camera = 1.5;
  const double figure = boundary(Scene{.steps = {0, 2, 2}});
  EXPECT_LT(boundary(still), .02 * figure);
  EXPECT_LT(boundary(pan), .35 * figure);
}

/// What a mirror makes of labels: columns of the grid and wedges change sides; an orientation k (from 0) of u becomes
/// -k, of v 4-k, as flow along x changes its sign and so does the derivative along x.
std::vector<int64_t> mirrored(std::vector<int64_t> labels, bool negate_u) {
  const auto square = [](int64_t id) { return (id - 1) / 4 * 4 + 4 - (id - 1) % 4; };
  const auto wedge = [](int64_t id) {
    return std::array<int64_t, 9>{0, 4, 3, 2, 1, 8, 7, 6, 5}[static_cast<size_t>(id)];
  };
  const auto turned = [](int64_t label, int64_t from) { return 1 + (from + 8 - (label - 1)) % 8; };
  for (const size_t i : {0, 2, 14, 16}) labels[i] = square(labels[i]);
  for (const size_t i : {8, 10, 22, 24}) labels[i] = wedge(labels[i]);
  for (const size_t i : {1, 5, 9}) labels[i] = turned(labels[i], negate_u ? 0 : 4);
  for (const size_t i : {3, 7, 11}) labels[i] = turned(labels[i], 4);
  return labels;
}

TEST(Sts, AFlippedViewHasTheMirroredLabels) {
  for (const double x : {10.0, 34.0, 40.0}) {
    const Scene scene{.x = x, .y = 25, .steps = {0, 1, 1, 2, 1, 1, 1, 1}, .camera = .5, .square_red = 240};
    const auto plain = labels_of(*sts(), scene);
    EXPECT_EQ(labels_of(*sts(), scene, true), mirrored(plain, true)) << x;
    EXPECT_EQ(labels_of(*sts(", flow: {flip_negate_u: false}"), scene, true), mirrored(plain, false)) << x;
    EXPECT_EQ(labels_of(*sts(", flow: {flip_negate_u: false}"), scene), plain) << x;
  }
}

TEST(Sts, ColoursAreMeasuredBeforeTheirChangesAndCanBeFound) {
  const Scene scene{.x = 0, .y = 0, .steps = {0, 1, 0, 0, 0, 0, 0, 0}, .scene_red = 128, .square_red = 240};
  Sample sample = filmed(scene);
  const auto labels = labels_of(*sts(), sample);
  EXPECT_EQ(labels[14], 1);  // most diverse square
  EXPECT_EQ(labels[15], 7);  // red
  sample.plan.views[0].color.grey = true;
  sample.plan.views[0].color.solarize = .3;
  EXPECT_EQ(labels_of(*sts(), sample), labels);
}

TEST(Sts, SwitchesTakeTheirSlotsAndOutputsAway) {
  const Scene scene;
  const auto whole = labels_of(*sts(), scene);
  const auto of = [&whole](std::initializer_list<std::pair<size_t, size_t>> ranges) {
    std::vector<int64_t> kept;
    for (const auto& [from, to] : ranges)
      kept.insert(kept.end(), whole.begin() + static_cast<std::ptrdiff_t>(from),
                  whole.begin() + static_cast<std::ptrdiff_t>(to));
    return kept;
  };
  struct Row {
    std::string yaml;
    std::vector<int64_t> labels;
    int64_t motion, appearance;
  };
  for (const Row& row :
       {Row{"", whole, 14, 13}, Row{", motion: {p1: false}", of({{4, 27}}), 10, 13},
        Row{", motion: {p2: false}", of({{0, 4}, {8, 27}}), 10, 13},
        Row{", motion: {p3: false}", of({{0, 8}, {12, 27}}), 10, 13},
        Row{", motion: {global: false}", of({{0, 12}, {14, 27}}), 12, 13},
        Row{", appearance: {p1: false}", of({{0, 14}, {18, 27}}), 14, 9},
        Row{", appearance: {p2: false}", of({{0, 18}, {22, 27}}), 14, 9},
        Row{", appearance: {p3: false}", of({{0, 22}, {26, 27}}), 14, 9},
        Row{", appearance: {global: false}", of({{0, 26}}), 14, 12},
        Row{", motion: {weight: 0}", of({{14, 27}}), 0, 13}, Row{", appearance: {weight: 0}", of({{0, 14}}), 14, 0},
        Row{", motion: {p1: false, p2: false, p3: false}", of({{12, 27}}), 2, 13}}) {
    const auto objective = sts(row.yaml);
    EXPECT_EQ(labels_of(*objective, scene), row.labels) << row.yaml;
    EXPECT_EQ(objective->target_width(), row.motion + row.appearance) << row.yaml;
    EXPECT_EQ(std::ssize(objective->slots()), row.motion + row.appearance) << row.yaml;
    EXPECT_EQ(has_module(*objective, "motion_head"), row.motion > 0) << row.yaml;
    EXPECT_EQ(has_module(*objective, "appearance_head"), row.appearance > 0) << row.yaml;
    if (row.motion > 0) {
      EXPECT_EQ(tensor_of(*objective, "motion_head.linear.weight").size(0), row.motion) << row.yaml;
    }
    if (row.appearance > 0) {
      EXPECT_EQ(tensor_of(*objective, "appearance_head.linear.weight").size(0), row.appearance) << row.yaml;
    }
    Rng rng(1);
    const SamplePlan plan = objective->plan(made_video(), rng);
    EXPECT_EQ(plan.flow, row.motion > 0) << row.yaml;  // what nobody asks for is not computed
    EXPECT_EQ(plan.raw_bytes, row.appearance > 0) << row.yaml;
  }
}

TEST(Sts, NamesItsSlotsInTheOrderOfTheLabels) {
  const auto objective = sts();
  std::vector<std::string> names;
  std::vector<int64_t> classes;
  for (const StsSlot& slot : objective->slots()) {
    names.push_back(slot.name);
    classes.push_back(slot.classes);
  }
  EXPECT_EQ(names[0], "motion.p1.u.location");
  EXPECT_EQ(names[7], "motion.p2.v.orientation");
  EXPECT_EQ(names[13], "motion.global.v");
  EXPECT_EQ(names[16], "appearance.p1.stable.location");
  EXPECT_EQ(names[23], "appearance.p3.diverse.color");
  EXPECT_EQ(names[26], "appearance.global.color");
  EXPECT_THAT(classes,
              ElementsAre(16, 8, 16, 8, 4, 8, 4, 8, 8, 8, 8, 8, 7, 7, 16, 8, 16, 8, 4, 8, 4, 8, 8, 8, 8, 8, 8));
}

TEST(Sts, HistogramsCountTheLabelsMeasured) {
  const auto objective = sts(", motion: {weight: 0}");
  EXPECT_TRUE(objective->annotated_labels().empty());
  for (int i = 0; i < 3; ++i) labels_of(*objective, Scene{});
  const auto lines = objective->annotated_labels();
  ASSERT_EQ(lines.size(), 13U);
  EXPECT_THAT(lines[12], testing::StartsWith("appearance.global.color "));
  EXPECT_THAT(lines[12], HasSubstr("1.000"));
}

ObjectiveParts parts_of(int64_t frames, int64_t stride, int64_t size) {
  ObjectiveParts parts = small_parts("r3d10_pool");
  parts.clip = {.frames = frames, .stride = stride, .size = size};
  return parts;
}

TEST(StsPlan, DrawsEveryWindowOfTheReleasedResize) {
  const auto objective = made_objective("{name: sts, motion: {weight: 0}}", parts_of(16, 1, 112));
  std::set<int64_t> lefts, tops, starts;
  int64_t flips = 0;
  for (uint64_t i = 0; i < 4000; ++i) {
    Rng rng(1, 0, i);
    const SamplePlan plan = objective->plan({.frames = 40, .fps = 25, .width = 320, .height = 240, .seconds = 2}, rng);
    ASSERT_EQ(plan.views.size(), 1U);
    const ViewPlan& view = plan.views[0];
    EXPECT_EQ(view.color, ColorPlan{});
    EXPECT_FALSE(view.antialias);
    EXPECT_DOUBLE_EQ(view.crop.w, 112.0 / 171);
    EXPECT_DOUBLE_EQ(view.crop.h, 112.0 / 128);
    lefts.insert(std::lround(view.crop.x * 171));
    tops.insert(std::lround(view.crop.y * 128));
    starts.insert(view.frames[0]);
    flips += view.flip ? 1 : 0;
    for (size_t t = 0; t < 16; ++t) ASSERT_EQ(view.frames[t], view.frames[0] + static_cast<int64_t>(t));
  }
  EXPECT_EQ(std::pair(*lefts.begin(), *lefts.rbegin()), (std::pair<int64_t, int64_t>{0, 59}));
  EXPECT_EQ(lefts.size(), 60U);
  EXPECT_EQ(std::pair(*tops.begin(), *tops.rbegin()), (std::pair<int64_t, int64_t>{0, 16}));
  EXPECT_EQ(std::pair(*starts.begin(), *starts.rbegin()), (std::pair<int64_t, int64_t>{0, 24}));
  EXPECT_NEAR(static_cast<double>(flips) / 4000, .5, .04);
}

TEST(StsPlan, NeverWrapsAShortVideoAround) {
  const auto objective = made_objective("{name: sts}", parts_of(8, 3, 32));
  for (const auto& [frames, stride] :
       {std::pair<int64_t, int64_t>{100, 3}, {20, 2}, {15, 2}, {14, 1}, {8, 1}, {3, 1}}) {
    Rng rng(1);
    const ViewPlan view = objective->plan({.frames = frames, .fps = 25, .width = 64, .height = 48}, rng).views[0];
    EXPECT_EQ(view.stride, stride) << frames;
    for (size_t t = 1; t < view.frames.size(); ++t) {
      EXPECT_EQ(view.frames[t], std::min(view.frames[t - 1] + stride, frames - 1)) << frames;
    }
  }
}

TEST(StsPlan, AFieldPastTheClipWantsAFrameMoreWhereThereIsOne) {
  const auto objective = made_objective("{name: sts, flow: {field_past_clip: true}}", parts_of(8, 1, 32));
  for (uint64_t i = 0; i < 50; ++i) {
    Rng rng(1, 0, i);
    const SamplePlan plan = objective->plan({.frames = 12, .fps = 25, .width = 64, .height = 48}, rng);
    EXPECT_EQ(plan.frame_after, plan.views[0].frames.back() + 1);
    EXPECT_LT(plan.frame_after, 12);
  }
  Rng rng(1);
  EXPECT_EQ(objective->plan({.frames = 8, .fps = 25, .width = 64, .height = 48}, rng).frame_after, -1);
}

std::string refusal(const std::string& yaml, const ObjectiveParts& parts = parts_of(8, 1, 32)) {
  try {
    made_objective(yaml, parts);
  } catch (const ConfigError& error) {
    return error.what();
  }
  return "";
}

TEST(StsOptions, RefuseWhatHasNoLabels) {
  EXPECT_THAT(refusal("{name: sts}", parts_of(8, 1, 100)), HasSubstr("100 is no multiple of 8; give 96 or 104"));
  EXPECT_THAT(refusal("{name: sts}", parts_of(1, 1, 32)), HasSubstr("clip.frames"));
  EXPECT_THAT(refusal("{name: sts, resize_height: 24}"), HasSubstr("resize_height"));
  EXPECT_THAT(refusal("{name: sts, motion: {weight: 0}, appearance: {weight: 0}}"),
              HasSubstr("nothing would be learnt"));
  EXPECT_THAT(refusal("{name: sts, flow: {source: stored}}"), HasSubstr("objective.flow.root"));
  EXPECT_THAT(refusal("{name: sts, flow: {source: stored, root: flow}}", parts_of(8, 2, 32)), HasSubstr("clip.stride"));
  EXPECT_EQ(refusal("{name: sts, flow: {source: stored, root: absent}}"), "");  // looked for when it is first read
  EXPECT_THAT(refusal("{name: sts, loss: cross_entropy, targets: standard}"), HasSubstr("objective.targets"));
}

TEST(StsBatch, CarriesTheTargetsOfEverySampleInItsRow) {
  const auto objective = sts();
  Batch batch;
  for (const double x : {4.0, 40.0}) {
    batch.push_back(filmed(Scene{.x = x}));
    render_raw(batch.back(), kView);
    objective->annotate(batch.back());
    render_sample(batch.back(), kView, {});
  }
  const ViewBatch views = gather_views(batch, {.size = kView});
  ASSERT_EQ(views.targets.sizes(), (std::vector<int64_t>{2, 27}));
  for (int64_t b = 0; b < 2; ++b) {
    for (int64_t i = 0; i < 27; ++i) {
      EXPECT_EQ(views.targets[b][i].item<float>(), batch[static_cast<size_t>(b)].targets[static_cast<size_t>(i)]);
    }
  }
  EXPECT_NE(views.targets[0][0].item<float>(), views.targets[1][0].item<float>());
  objective->eval();
  EXPECT_EQ(objective->predict(views.views).sizes(), views.targets.sizes());
}

TEST(StsBatch, RowsAreViewMajorWhereThereAreSeveralViews) {
  Batch batch(2);
  for (size_t b = 0; b < 2; ++b) {
    batch[b] = filmed(Scene{.steps = {0, 1}});
    batch[b].plan.views.push_back(batch[b].plan.views[0]);
    const auto first = static_cast<float>(10 * b);
    batch[b].targets = {first + 1, first + 2, first + 3, first + 4};  // two views of two
    render_sample(batch[b], kView, {});
  }
  const ViewBatch views = gather_views(batch, {.size = kView});
  EXPECT_TRUE(torch::equal(views.targets, torch::tensor({{1.F, 2.F}, {11.F, 12.F}, {3.F, 4.F}, {13.F, 14.F}})));
}

}  // namespace
}  // namespace cstp
