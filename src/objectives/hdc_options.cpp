#include "hdc_options.h"

#include <algorithm>
#include <functional>

#include "cstp/core/error.h"
#include "cstp/core/text.h"

namespace cstp {
namespace {

const std::vector<std::string> kPools = {"per_step", "flatten", "3d"};

}  // namespace

void HdcColorOptions::bind(Fields& f) {
  const NumberRange share{.min = 0, .max = 1};
  f.number("flip", flip, share, "probability of a horizontal flip");
  f.number("jitter", jitter, share, "probability of colour jitter, its operations in random order");
  f.number("brightness", brightness, share, "factor uniform in [1-v, 1+v]");
  f.number("contrast", contrast, share, "factor uniform in [1-v, 1+v]");
  f.number("saturation", saturation, share, "factor uniform in [1-v, 1+v]");
  f.number("hue", hue, {.min = 0, .max = 0.5}, "shift uniform in [-v, v] turns");
  f.number("grey", grey, share, "probability of a grey clip");
  f.number("blur", blur, share, "probability of a Gaussian blur");
  f.number("blur_sigma_min", blur_sigma_min, {.min = 0, .max = 100}, "smallest blur, in output pixels");
  f.number("blur_sigma_max", blur_sigma_max, {.min = 0, .max = 100}, "largest blur, in output pixels");
}

ClipColorOptions HdcColorOptions::without_grey() const {
  return {.strong = 1,
          .tilt_degrees = 0,
          .jitter = jitter,
          .brightness = brightness,
          .contrast = contrast,
          .saturation = saturation,
          .hue = hue,
          .grey = 0,
          .blur = blur,
          .blur_sigma_min = blur_sigma_min,
          .blur_sigma_max = blur_sigma_max,
          .flip = flip};
}

void SpatialOptions::bind(Fields& f) {
  f.number("weight", weight, {.min = 0}, "of spatial contrast in the loss; 0: left out, with its view");
  f.choice("time", time, {"same", "new"}, "frames of the positive: the anchor's, or a window of its own");
  f.choice("pool", pool, kPools,
           "per_step: over space, steps contrasted one by one; flatten: over space, steps side by side; 3d: over "
           "space and time");
}

void TemporalOptions::bind(Fields& f) {
  f.number("weight", weight, {.min = 0}, "of temporal contrast in the loss; 0: left out, with its view");
  f.choice("spatial", spatial, {"new", "same"}, "crop, flip and colours of the positive: drawn anew, or the anchor's");
  f.integer("max_gap", max_gap, {.min = 0}, "largest distance between the starts, in source frames; 0: any");
  f.choice("pool", pool, kPools, "as of sc; the steps of a temporal pair are not aligned");
}

void HdcOptions::bind(Fields& f) {
  f.choice("views", views, {"shared", "independent"},
           "shared: one anchor for both subtasks, three views; independent: a pair for each, four views");
  f.integers("levels", levels, {.min = 1, .max = 4}, "stages of the network that are contrasted, 1 the shallowest");
  f.section("sc", sc, "spatial contrast");
  f.section("tc", tc, "temporal contrast");
  f.choice("weights", weights, {"uniform", "linear", "geometric", "measured"},
           "of the levels: 1; k; gamma^(K-k); or by each level's measured invariance");
  f.number("gamma", gamma, {.min = 1e-3, .max = 1}, "geometric: a level's weight over that of the next deeper one");
  f.number("epsilon", epsilon, {.min = 1e-6, .max = 1}, "measured: least invariance a level counts with");
  f.number("measured_momentum", measured_momentum, {.min = 0, .max = 0.99999},
           "measured: of the running invariance, whose first value is the first batch's");
  f.choice("contrast", contrast, {"ntxent", "cross_view"},
           "candidates: every other clip of the batch, or the clips of the opposite view");
  f.number("temperature", temperature, {.min = 1e-3, .max = 100}, "of the softmax");
  f.integer("head_hidden", head_hidden, {.min = 1}, "hidden width of each head");
  f.integer("head_out", head_out, {.min = 1}, "numbers that are compared");
  f.section("crop", crop, "random crop of each spatial draw");
  f.section("color", color, "flip and colours of each spatial draw");
}

void HdcOptions::validate() const {
  if (levels.empty() || std::ranges::adjacent_find(levels, std::greater_equal<>()) != levels.end()) {
    throw ConfigError(cat("objective.levels: [", join(levels, ", "),
                          "]; wanted stages in rising order, each once, e.g. [1, 2, 3, 4]"));
  }
  if (levels.back() != 4) {
    throw ConfigError(cat("objective.levels: [", join(levels, ", "),
                          "] leaves the last stage, which downstream tasks take, untrained; add 4"));
  }
  if (sc.weight + tc.weight == 0) {
    throw ConfigError("objective: sc.weight and tc.weight are both 0, so nothing would be learnt");
  }
  crop.validate("objective.crop");
  color.without_grey().validate("objective.color");
}

int64_t HdcOptions::view_count() const {
  if (sc.weight == 0 || tc.weight == 0) return 2;
  return views == "shared" ? 3 : 4;
}

SharedViews HdcOptions::shared_views() const {
  const bool space = sc.weight > 0, time = tc.weight > 0;
  const bool same_frames = space && sc.time == "same";
  const std::string own = same_frames ? "the same frames under another crop and colours" : "other frames";
  const std::string text = !time    ? cat("two clips of a video: an anchor, and ", own)
                           : !space ? "two clips of a video: an anchor, and other frames"
                           : views == "shared"
                               ? cat("three clips of a video: an anchor, ", own, " for sc, and other frames for tc")
                               : cat("four clips of a video: a pair for sc (", own, "), and one for tc");
  SharedViews shared;
  shared.draws = {.text = text, .count = view_count(), .same_frames = same_frames};
  shared.needs = {.text = text,
                  .way_out = space ? "set its sc.weight to 0, which leaves tc to pair two clips" : "",
                  .least = view_count(),
                  .most = view_count(),
                  .same_frames = same_frames,
                  .drawing_keys = {"tc.spatial", "tc.max_gap", "crop", "color"}};
  return shared;
}

}  // namespace cstp
