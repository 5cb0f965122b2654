// Whole samples and pictures for people, on top of render_cpu(); the options of the input range.
#include <algorithm>
#include <cmath>
#include <vector>

#include "cstp/augment/render.h"
#include "cstp/core/config.h"
#include "cstp/core/error.h"
#include "cstp/core/text.h"

namespace cstp {
namespace {

void bind_channels(Fields& f, const std::string& key, std::array<double, 3>& values, NumberRange range,
                   const std::string& help) {
  std::vector<double> list(values.begin(), values.end());
  f.numbers(key, list, range, help);
  if (list.size() != values.size()) {
    throw ConfigError(cat("input.", key, ": found ", list.size(),
                          " numbers, wanted three (red, green, blue), as in [0.5, 0.5, 0.5]"));
  }
  std::ranges::copy(list, values.begin());
}

}  // namespace

void InputOptions::bind(Fields& f) {
  f.choice("range", range, {"signed", "unit", "standard"},
           "what the network sees: signed [-1,1], unit [0,1] or standard (x - mean) / std");
  bind_channels(f, "mean", mean, {.min = 0, .max = 1}, "per channel (RGB, in [0,1]); used by range: standard");
  bind_channels(f, "std", std, {.min = 1e-6}, "per channel (RGB, in [0,1]); used by range: standard");
}

void render_sample(Sample& sample, int64_t size, const InputOptions& input) {
  if (!sample.error.empty()) return;  // nothing was decoded, and evaluation wants to know why
  const std::vector<ViewPlan>& views = sample.plan.views;
  check(!views.empty(), "a sample has a view");
  const size_t view_floats = views.front().frames.size() * static_cast<size_t>(size * size * 3);
  sample.rendered.resize(views.size() * view_floats);  // [V,T,S,S,3]
  for (size_t v = 0; v < views.size(); ++v) {
    check(views[v].frames.size() == views.front().frames.size(),
          "all views of a sample have the same number of frames");
    render_cpu(sample, views[v], size, input, std::span(sample.rendered).subspan(v * view_floats, view_floats));
  }
  sample.frames.clear();
  sample.memory.clear();
}

void render_raw(Sample& sample, int64_t size) {
  const std::vector<ViewPlan>& views = sample.plan.views;
  check(!views.empty(), "a sample has a view");
  InputOptions unit;
  unit.range = "unit";
  thread_local std::vector<float> clip;
  clip.resize(views.front().frames.size() * static_cast<size_t>(size * size * 3));
  sample.raw.resize(views.size() * clip.size());  // [V,T,S,S,3]
  for (size_t v = 0; v < views.size(); ++v) {
    ViewPlan colourless = views[v];
    colourless.color = {};
    render_cpu(sample, colourless, size, unit, clip);
    std::ranges::transform(clip, sample.raw.begin() + static_cast<std::ptrdiff_t>(v * clip.size()),
                           [](float value) { return static_cast<uint8_t>(255 * value + 0.5F); });
  }
}

void render_preview(const Sample& sample, const ViewPlan& view, int64_t size, size_t frame, std::span<uint8_t> rgb) {
  const auto frame_values = static_cast<size_t>(size * size * 3);
  check(frame < view.frames.size() && rgb.size() == frame_values, "a preview is one frame of the view, [S,S,3] bytes");
  InputOptions unit;
  unit.range = "unit";
  std::vector<float> clip(view.frames.size() * frame_values);  // the whole of it: contrast depends on every frame
  render_cpu(sample, view, size, unit, clip);
  std::ranges::transform(std::span(clip).subspan(frame * frame_values, frame_values), rgb.begin(),
                         [](float value) { return static_cast<uint8_t>(std::lround(255 * value)); });
}

}  // namespace cstp
