#include "sts_options.h"

#include <array>
#include <cmath>

#include "cstp/core/error.h"
#include "cstp/core/text.h"

namespace cstp {
namespace {

constexpr std::array<int64_t, 3> kBlocks = {16, 4, 8};

void bind_parts(Fields& f, StsParts& parts) {
  f.flag("p1", parts.p1, "ask about the 16 squares");
  f.flag("p2", parts.p2, "ask about the centre and the three rings around it");
  f.flag("p3", parts.p3, "ask about the 8 triangles");
  f.flag("global", parts.global, "ask about the clip as a whole");
}

/// Places of the slots that are asked for: four a pattern, then the global ones.
std::vector<size_t> asked(const StsParts& parts, bool on, size_t global) {
  std::vector<size_t> places;
  for (size_t p = 0; on && p < kBlocks.size(); ++p) {
    for (size_t i = 0; parts.pattern(p) && i < 4; ++i) places.push_back(4 * p + i);
  }
  for (size_t i = 0; on && parts.global && i < global; ++i) places.push_back(4 * kBlocks.size() + i);
  return places;
}

StsSlot motion_slot(size_t place, int64_t frames) {
  const char* component = place % 4 < 2 ? "u" : "v";
  if (place >= 12) {
    return {cat("motion.global.", place == 12 ? "u" : "v"), StsSlot::Kind::time, true, 3, frames - 1};
  }
  const auto pattern = static_cast<int64_t>(place / 4);
  const std::string name = cat("motion.p", pattern + 1, ".", component);
  if (place % 2 == 0) {
    return {name + ".location", StsSlot::Kind::location, true, pattern, kBlocks[static_cast<size_t>(pattern)]};
  }
  return {name + ".orientation", StsSlot::Kind::orientation, true, pattern, 8};
}

StsSlot appearance_slot(size_t place) {
  if (place == 12) return {"appearance.global.color", StsSlot::Kind::color, false, 3, 8};
  const auto pattern = static_cast<int64_t>(place / 4);
  const std::string name = cat("appearance.p", pattern + 1, place % 4 < 2 ? ".diverse" : ".stable");
  if (place % 2 == 0) {
    return {name + ".location", StsSlot::Kind::location, false, pattern, kBlocks[static_cast<size_t>(pattern)]};
  }
  return {name + ".color", StsSlot::Kind::color, false, pattern, 8};
}

}  // namespace

void StsMotionOptions::bind(Fields& f) {
  f.number("weight", weight, {.min = 0}, "of the motion statistics in the loss; 0: they are not computed");
  bind_parts(f, parts);
}

void StsAppearanceOptions::bind(Fields& f) {
  f.number("weight", weight, {.min = 0}, "of the appearance statistics in the loss; 0: they are not computed");
  bind_parts(f, parts);
  f.choice("color_rule", color_rule, {"count", "mode"},
           "dominant colour: of most pixels, or of the commonest exact colour (released code)");
}

void StsFlowOptions::bind(Fields& f) {
  f.choice("source", source, {"on_the_fly", "stored"}, "solved on the loader's threads; or made by `cstp data flow`");
  f.text("root", root, "stored: the folder that `cstp data flow` wrote");
  f.choice("method", view.solver.method, {"dis", "tvl1"}, "optical flow; of on_the_fly, as the next two");
  f.choice("preset", view.solver.preset, {"ultrafast", "fast", "medium", "fine"}, "of dis");
  f.integer("margin", view.margin, {.min = 0, .max = 256}, "pixels around the view that flow is solved on too");
  f.flag("flip_negate_u", flip_negate_u, "a flip turns horizontal motion round; false: parity with the released code");
  f.flag("field_past_clip", field_past_clip, "sum one field past the clip too, as the released code does");
}

void StsOptions::bind(Fields& f) {
  f.section("motion", motion, "14 motion statistics");
  f.section("appearance", appearance, "13 appearance statistics");
  f.section("flow", flow, "what motion is measured from");
  f.integer("resize_height", resize_height, {.min = 0, .max = 4096},
            "pixels that frames are squeezed to before the random crop; 0: 128 for a view of 112");
  f.integer("resize_width", resize_width, {.min = 0, .max = 4096}, "the same across; 0: 171 for a view of 112");
  f.flag("antialias", antialias, "widen the bilinear filter where frames shrink");
  f.number("flip", flip, {.min = 0, .max = 1}, "probability of a horizontal flip");
  f.choice("targets", targets, {"raw", "standard"},
           "labels as they are; or less the middle of their range, over the deviation of uniform ones");
  f.choice("loss", loss, {"mse", "cross_entropy"}, "regression as published; or a softmax over each label's values");
}

void StsOptions::validate() const {
  if (!motion.on() && !appearance.on()) {
    throw ConfigError(
        "objective: every part of motion and appearance is off, so nothing would be learnt; switch one on and give it "
        "a weight above 0");
  }
  if (loss == "cross_entropy" && targets == "standard") {
    throw ConfigError("objective.targets: standard is for loss: mse; with cross_entropy give raw");
  }
  if (!motion.on()) return;
  if (flow.source == "stored" && flow.root.empty()) {
    throw ConfigError(
        "objective.flow.root: flow.source is stored, and no folder is given; make one with `cstp data flow`");
  }
  if (flow.source == "on_the_fly")
    (void)FlowSolver(flow.view.solver);  // a method that this build lacks is said at once
}

SharedViews StsOptions::shared_views() const {
  SharedViews shared;
  shared.draws = {.text = "one clip of consecutive frames"};
  shared.needs = {.text = "clips that are neither turned nor tilted",
                  .upright = true,
                  .flow = motion.on(),
                  .raw_bytes = appearance.on(),
                  .drawing_keys = {"flip", "resize_height", "resize_width", "antialias"}};
  if (motion.on() && flow.source == "stored") {
    shared.needs.most = 0;  // a dump leads from a frame to the next one, and others draw strides
    shared.needs.text = "neighbouring frames, because its flow is stored";
    shared.needs.way_out = "set its flow.source to on_the_fly";
  }
  return shared;
}

int64_t StsOptions::checked_size(const ClipOptions& clip) const {
  const int64_t size = clip.size;
  if (size % 8 != 0) {
    throw ConfigError(cat("clip.size: sts cuts views into eighths, and ", size, " is no multiple of 8; give ",
                          size / 8 * 8, " or ", size / 8 * 8 + 8));
  }
  if (clip.frames < 2) throw ConfigError("clip.frames: sts looks at motion, which wants at least 2 frames");
  if (motion.on() && flow.source == "stored" && clip.stride != 1) {
    throw ConfigError(cat("clip.stride: stored flow leads from a frame to the next one, and clips have every ",
                          clip.stride, ". frame; give clip.stride 1, or objective.flow.source on_the_fly"));
  }
  const int64_t height = resized_height(size), width = resized_width(size);
  if (height < size || width < size) {
    throw ConfigError(cat("objective.resize_", height < size ? "height" : "width", ": no view of ", size,
                          " pixels can be cut from frames of ", width, "x", height, "; give at least ", size));
  }
  return size;
}

int64_t StsOptions::resized_height(int64_t size) const {
  return resize_height > 0 ? resize_height : std::lround(static_cast<double>(size) * 128 / 112);
}
int64_t StsOptions::resized_width(int64_t size) const {
  return resize_width > 0 ? resize_width : std::lround(static_cast<double>(size) * 171 / 112);
}

std::vector<size_t> asked_motion(const StsMotionOptions& options) { return asked(options.parts, options.on(), 2); }
std::vector<size_t> asked_appearance(const StsAppearanceOptions& options) {
  return asked(options.parts, options.on(), 1);
}

std::vector<StsSlot> StsOptions::slots(int64_t frames) const {
  std::vector<StsSlot> slots;
  for (const size_t place : asked_motion(motion)) slots.push_back(motion_slot(place, frames));
  for (const size_t place : asked_appearance(appearance)) slots.push_back(appearance_slot(place));
  return slots;
}

}  // namespace cstp
