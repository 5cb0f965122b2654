#include "render_cuda_cases.h"

#include <cmath>
#include <fstream>
#include <memory>
#include <nlohmann/json.hpp>

#include "cstp/core/error.h"
#include "cstp/core/text.h"
#include "cstp/sampling/draw.h"
#include "cstp/sampling/overlap_pair.h"
#include "cstp/sampling/view_recipe.h"

namespace cstp {
namespace {

using Json = nlohmann::json;

constexpr uint64_t kSeed = 20;

/// Frames of waves and noise: a renderer does the same for any pixels, so they need only not be all alike.
Sample made_video(FrameSize size, uint64_t seed) {
  Sample sample;
  uint32_t noise = static_cast<uint32_t>(seed * 2654435761U + 1);
  const int64_t luma = size.width * size.height;
  const int64_t chroma = (size.width + 1) / 2 * ((size.height + 1) / 2);
  for (int64_t t = 0; t < kRenderFrames; ++t) {
    const auto memory = std::make_shared<uint8_t[]>(static_cast<size_t>(luma + 2 * chroma));
    for (int64_t i = 0; i < luma + 2 * chroma; ++i) {
      noise = noise * 1664525U + 1013904223U;
      memory[static_cast<size_t>(i)] = static_cast<uint8_t>(60 + (i / 7 + 3 * t) % 100 + (noise >> 27));
    }
    Frame frame{.y_stride = size.width, .uv_stride = (size.width + 1) / 2, .width = size.width, .height = size.height};
    frame.y = memory.get();
    frame.u = frame.y + luma;
    frame.v = frame.u + chroma;
    sample.frame_numbers.push_back(t);
    sample.frames.push_back(frame);
    sample.memory.push_back(memory);
  }
  return sample;
}

void draw_cvrl(const VideoInfo& video, int64_t size, Rng& rng, std::vector<ViewPlan>& views) {
  for (size_t v = 0; v < views.size(); ++v) draw_recipe_view(video, {}, static_cast<int64_t>(v), size, rng, views[v]);
}
void draw_cstp(const VideoInfo& video, int64_t, Rng& rng, std::vector<ViewPlan>& views) {
  const SamplePlan pair = draw_overlap_pair(video, {}, rng);
  for (size_t v = 0; v < views.size(); ++v) {
    const std::vector<int64_t> frames = views[v].frames;
    views[v] = pair.views[v];
    views[v].frames = frames;
    draw_color({}, rng, views[v]);
  }
}
void draw_hdc(const VideoInfo& video, int64_t, Rng& rng, std::vector<ViewPlan>& views) {
  for (ViewPlan& view : views) {
    view.crop = draw_crop(video, {}, rng);
    ClipColorOptions color;
    color.grey = 0;
    draw_color(color, rng, view);
  }
}
void draw_sts(const VideoInfo&, int64_t, Rng& rng, std::vector<ViewPlan>& views) {
  for (ViewPlan& view : views) {
    const auto x = static_cast<double>(rng.integer(0, 59)), y = static_cast<double>(rng.integer(0, 16));
    view.crop = {x / 171, y / 128, 112.0 / 171, 112.0 / 128};
    view.flip = rng.chance(0.5);
    view.antialias = false;
  }
}
void draw_plain(const VideoInfo& video, int64_t, Rng& rng, std::vector<ViewPlan>& views) {
  for (ViewPlan& view : views) view.crop = draw_crop(video, {}, rng);
}

}  // namespace

std::string RenderCase::title() const { return cat(name, " ", frame.width, "x", frame.height, "->", size); }

const std::vector<RenderCase>& render_cases() {
  static const std::vector<RenderCase> all = {{"crop and resize", {340, 256}, 224, draw_plain},
                                              {"crop and resize", {320, 240}, 112, draw_plain},
                                              {"cvrl", {340, 256}, 224, draw_cvrl},
                                              {"cvrl", {320, 240}, 112, draw_cvrl},
                                              {"cstp", {320, 240}, 112, draw_cstp},
                                              {"hdc", {320, 240}, 112, draw_hdc},
                                              {"sts", {320, 240}, 112, draw_sts}};
  return all;
}

std::vector<Sample> drawn_batch(const RenderCase& one, int64_t videos) {
  const VideoInfo info{.frames = 300, .fps = 25, .width = one.frame.width, .height = one.frame.height, .seconds = 12};
  if (videos == 0) videos = one.size > 112 ? 32 : 64;
  std::vector<Sample> batch;
  for (int64_t b = 0; b < videos; ++b) {
    Sample sample = made_video(one.frame, static_cast<uint64_t>(b));
    Rng rng(kSeed, static_cast<uint64_t>(b));
    sample.plan.views.resize(2);
    for (ViewPlan& view : sample.plan.views) view.frames = sample.frame_numbers;
    one.draw(info, one.size, rng, sample.plan.views);
    batch.push_back(std::move(sample));
  }
  return batch;
}

void write_plans(const std::string& path, int64_t videos) {
  Json all = Json::array();
  const char* ops[] = {"brightness", "contrast", "saturation", "hue"};
  for (const RenderCase& one : render_cases()) {
    if (std::string(one.name) != "cvrl") continue;
    Json views = Json::array();
    const auto width = static_cast<double>(one.frame.width), height = static_cast<double>(one.frame.height);
    for (const Sample& sample : drawn_batch(one, videos)) {
      for (const ViewPlan& view : sample.plan.views) {
        Json jitter = Json::array();
        for (const ColorOp op : view.color.jitter) jitter.push_back(ops[static_cast<size_t>(op)]);
        views.push_back({{"box",
                          {std::llround(view.crop.x * width), std::llround(view.crop.y * height),
                           std::llround(view.crop.w * width), std::llround(view.crop.h * height)}},
                         {"flip", view.flip},
                         {"jitter", jitter},
                         {"brightness", view.color.brightness},
                         {"contrast", view.color.contrast},
                         {"saturation", view.color.saturation},
                         {"hue", view.color.hue},
                         {"grey", view.color.grey},
                         {"blur_sigma", view.color.blur_sigma},
                         {"blur_taps", view.color.blur_taps},
                         {"solarize", view.color.solarize}});
      }
    }
    all.push_back({{"case", one.title()},
                   {"width", one.frame.width},
                   {"height", one.frame.height},
                   {"size", one.size},
                   {"frames", kRenderFrames},
                   {"views", views}});
  }
  std::ofstream file(path);
  file << all.dump(1) << "\n";
  if (!file.flush()) throw DataError(cat(path, ": cannot be written"));
}

}  // namespace cstp
