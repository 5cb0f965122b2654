#include "augment_cases.h"

#include <algorithm>
#include <array>
#include <cmath>
#include <fstream>
#include <map>
#include <memory>
#include <nlohmann/json.hpp>
#include <set>

#include "augment_opencv.h"
#include "cstp/core/error.h"
#include "cstp/core/text.h"
#include "cstp/sampling/draw.h"
#include "cstp/sampling/overlap_pair.h"
#include "cstp/sampling/view_recipe.h"

namespace cstp {
namespace {

using Json = nlohmann::json;

constexpr size_t kClips = 2;
constexpr size_t kViews = 12;
constexpr uint64_t kSeed = 20;

struct FrameSize {
  int64_t width, height;
};

/// Moving waves of three colours with edges and a little noise in them: what matters of a film here is that its colours
/// differ and rarely clip. In 8 bits of BT.601, limited range, chroma the mean of 2 x 2 pixels, as cameras give it.
void fill_frame(FrameSize size, int64_t t, Rng& rng, uint8_t* to) {
  const auto [width, height] = size;
  const std::array<double, 3> phase = {rng.uniform(0, 6.28), rng.uniform(0, 6.28), rng.uniform(0, 6.28)};
  uint32_t noise = rng.bits();
  const int64_t chroma_width = (width + 1) / 2;
  std::vector<double> cb(static_cast<size_t>(chroma_width * ((height + 1) / 2))), cr(cb.size());
  const auto byte = [](double value) { return static_cast<uint8_t>(std::lround(value)); };
  const auto time = static_cast<double>(t);
  for (int64_t y = 0; y < height; ++y) {
    for (int64_t x = 0; x < width; ++x) {
      const double edge = ((x + 3 * t) / 37 + y / 29) % 2 == 0 ? 0.12 : -0.12;
      std::array<double, 3> rgb{};
      for (size_t c = 0; c < 3; ++c) {
        noise = noise * 1664525U + 1013904223U;
        const double wave = std::sin(0.031 * static_cast<double>(x) + 0.1 * time + phase[c]) *
                            std::cos((0.023 + 0.004 * static_cast<double>(c)) * static_cast<double>(y) - 0.05 * time);
        rgb[c] = std::clamp(0.5 + 0.25 * wave + edge + 0.03 * (static_cast<double>(noise >> 24) / 128 - 1), 0.0, 1.0);
      }
      const double luma = 0.299 * rgb[0] + 0.587 * rgb[1] + 0.114 * rgb[2];
      to[y * width + x] = byte(16 + 219 * luma);
      const auto place = static_cast<size_t>(y / 2 * chroma_width + x / 2);
      cb[place] += (rgb[2] - luma) / 1.772 / 4;
      cr[place] += (rgb[0] - luma) / 1.402 / 4;
    }
  }
  to += width * height;
  for (const double value : cb) *to++ = byte(128 + 224 * value);
  for (const double value : cr) *to++ = byte(128 + 224 * value);
}

std::vector<Sample> made_clips(FrameSize size) {
  std::vector<Sample> clips(kClips);
  const auto [width, height] = size;
  check(width % 2 == 0 && height % 2 == 0, "the benchmark's frames have even sides");
  const int64_t luma = width * height;
  for (size_t c = 0; c < kClips; ++c) {
    Rng rng(kSeed, c);
    for (int64_t t = 0; t < kBenchFrames; ++t) {
      const auto memory = std::make_shared<uint8_t[]>(static_cast<size_t>(luma * 3 / 2));
      fill_frame(size, t, rng, memory.get());
      Frame frame{.y_stride = width, .uv_stride = width / 2, .width = width, .height = height};
      frame.y = memory.get();
      frame.u = frame.y + luma;
      frame.v = frame.u + luma / 4;
      clips[c].frame_numbers.push_back(t);
      clips[c].frames.push_back(frame);
      clips[c].memory.push_back(memory);
    }
  }
  return clips;
}

VideoInfo video_of(const BenchCase& bench) {
  return {.frames = 300, .fps = 25, .width = bench.width, .height = bench.height, .seconds = 12};
}

BenchCase empty_case(const std::string& name, FrameSize frame, int64_t size, const std::string& range) {
  BenchCase bench{.name = cat(name, " ", frame.width, "x", frame.height, "->", size)};
  bench.width = frame.width;
  bench.height = frame.height;
  bench.size = size;
  bench.input.range = range;
  return bench;
}

/// Boxes on whole pixels, which every rival can cut.
void add_view(BenchCase& bench, ViewPlan plan) {
  const PixelCrop box = pixel_crop(bench, plan);
  check(box.x >= 0 && box.y >= 0 && box.x + box.w <= bench.width && box.y + box.h <= bench.height,
        "a box of the benchmark lies in the frame");
  const auto width = static_cast<double>(bench.width), height = static_cast<double>(bench.height);
  plan.crop = {double(box.x) / width, double(box.y) / height, double(box.w) / width, double(box.h) / height};
  bench.views.push_back({bench.views.size() % kClips, std::move(plan)});
}

ViewPlan whole_clip() {
  ViewPlan view;
  for (int64_t t = 0; t < kBenchFrames; ++t) view.frames.push_back(t);
  return view;
}

BenchCase resize_case(const std::string& name, Filter filter, bool antialias, FrameSize frame, int64_t size) {
  BenchCase bench = empty_case(name, frame, size, "signed");
  for (uint64_t i = 0; i < kViews; ++i) {
    Rng rng(kSeed, 1, i);
    ViewPlan view = whole_clip();
    view.crop = draw_crop(video_of(bench), {}, rng);
    view.filter = filter;
    view.antialias = antialias;
    add_view(bench, view);
  }
  return bench;
}

/// CVRL's two views in turn; its blur reflects and its formulas are torchvision's, as the rivals have no others.
BenchCase cvrl_case(FrameSize frame, int64_t size) {
  BenchCase bench = empty_case("cvrl", frame, size, "unit");
  ViewRecipeOptions options;
  options.blur_border = "reflect";
  for (uint64_t i = 0; i < kViews; ++i) {
    Rng rng(kSeed, 2, i);
    ViewPlan view = whole_clip();
    draw_recipe_view(video_of(bench), options, static_cast<int64_t>(i % 2), size, rng, view);
    view.color.rule = ColorRule::torchvision;
    add_view(bench, view);
  }
  return bench;
}

BenchCase cstp_case(FrameSize frame, int64_t size) {
  BenchCase bench = empty_case("cstp", frame, size, "signed");
  for (uint64_t i = 0; bench.views.size() < kViews; ++i) {
    Rng rng(kSeed, 3, i);
    SamplePlan pair = draw_overlap_pair(video_of(bench), {}, rng);
    for (ViewPlan& view : pair.views) {
      view.frames = whole_clip().frames;
      draw_color({}, rng, view);
      add_view(bench, view);
    }
  }
  return bench;
}

/// [clips, T, H*3/2, W] as I420.
std::vector<uint8_t> yuv_clips(const BenchCase& bench) {
  std::vector<uint8_t> bytes;
  for (const Sample& clip : bench.clips) {
    for (const Frame& frame : clip.frames)
      bytes.insert(bytes.end(), frame.y, frame.y + bench.width * bench.height * 3 / 2);
  }
  return bytes;
}

Json json_of(const BenchCase& bench, const BenchView& view) {
  const char* filters[] = {"nearest", "bilinear", "bicubic"};
  const char* ops[] = {"brightness", "contrast", "saturation", "hue"};
  const PixelCrop box = pixel_crop(bench, view.plan);
  const ColorPlan& color = view.plan.color;
  Json jitter = Json::array();
  for (const ColorOp op : color.jitter) jitter.push_back(ops[static_cast<size_t>(op)]);
  return {{"clip", view.clip},
          {"box", {box.x, box.y, box.w, box.h}},
          {"turns", view.plan.quarter_turns},
          {"flip", view.plan.flip},
          {"tilt", view.plan.tilt_degrees},
          {"filter", filters[static_cast<size_t>(view.plan.filter)]},
          {"antialias", view.plan.antialias},
          {"jitter", jitter},
          {"brightness", color.brightness},
          {"contrast", color.contrast},
          {"saturation", color.saturation},
          {"hue", color.hue},
          {"grey", color.grey},
          {"grey_channel", color.grey_channel},
          {"blur_sigma", color.blur_sigma},
          {"blur_taps", blur_taps(color)},
          {"solarize", color.solarize}};
}

}  // namespace

std::vector<BenchCase> bench_cases() {
  const FrameSize small{320, 240}, large{1280, 720}, kinetics{340, 256};
  std::vector<BenchCase> cases;
  for (const auto& [frame, size] : {std::pair{small, int64_t{112}}, {large, int64_t{112}}, {kinetics, int64_t{224}}}) {
    cases.push_back(resize_case("bilinear antialias", Filter::bilinear, true, frame, size));
    cases.push_back(resize_case("bilinear", Filter::bilinear, false, frame, size));
    cases.push_back(resize_case("bicubic", Filter::bicubic, false, frame, size));
  }
  cases.push_back(cvrl_case(small, 112));
  cases.push_back(cvrl_case(kinetics, 224));
  cases.push_back(cstp_case(small, 112));
  std::map<int64_t, std::vector<Sample>> clips;
  for (BenchCase& bench : cases) {
    if (!clips.contains(bench.width)) clips[bench.width] = made_clips({bench.width, bench.height});
    bench.clips = clips[bench.width];  // the planes are shared
  }
  return cases;
}

PixelCrop pixel_crop(const BenchCase& bench, const ViewPlan& plan) {
  const auto pixels = [](double share, int64_t side) { return std::llround(share * static_cast<double>(side)); };
  return {pixels(plan.crop.x, bench.width), pixels(plan.crop.y, bench.height), pixels(plan.crop.w, bench.width),
          pixels(plan.crop.h, bench.height)};
}

int64_t blur_taps(const ColorPlan& color) {
  if (color.blur_taps > 0) return color.blur_taps;
  return 2 * static_cast<int64_t>(std::ceil(3 * color.blur_sigma)) + 1;
}

void write_cases(const std::vector<BenchCase>& cases, const std::string& folder) {
  const auto write = [&](const std::string& file, const std::vector<uint8_t>& bytes) {
    std::ofstream(cat(folder, "/", file), std::ios::binary)
        .write(reinterpret_cast<const char*>(bytes.data()), static_cast<std::streamsize>(bytes.size()));
  };
  Json all = Json::array();
  std::set<std::string> written;
  for (const BenchCase& bench : cases) {
    const std::string size = cat(bench.width, "x", bench.height, ".bin");
    if (written.insert(size).second) {
      write("rgb_" + size, rgb_clips(bench));
      write("yuv_" + size, yuv_clips(bench));
    }
    Json views = Json::array();
    for (const BenchView& view : bench.views) views.push_back(json_of(bench, view));
    all.push_back({{"name", bench.name},
                   {"frames", {bench.clips.size(), kBenchFrames, bench.height, bench.width}},
                   {"rgb", "rgb_" + size},
                   {"yuv", "yuv_" + size},
                   {"size", bench.size},
                   {"range", bench.input.range},
                   {"views", views}});
  }
  std::ofstream(folder + "/cases.json") << all.dump(1) << "\n";
}

}  // namespace cstp
