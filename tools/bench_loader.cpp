// What it costs to make training pairs out of files: two clips of 16 frames, stride 2, each with a start and a crop of
// its own, rendered to 112x112. Everyone makes the same list (tools/peers/loader.py for the rivals,
// scripts/benchmark.sh runs all of them in turn).
//
//   bench_loader --make-pairs N --seed S VIDEO... > pairs.jsonl
//   bench_loader --pairs pairs.jsonl [--threads N] [--repeat N] [--dump FILE]    the project's loader and renderer
//   bench_loader --pairs pairs.jsonl --decode-only    the loader alone, which is what the limit is a limit of
//   bench_loader --pairs pairs.jsonl --decode cuda    the loader alone, decoding on the GPU
//   bench_loader --pairs pairs.jsonl --limit    libavcodec alone: the packets that a pair needs, already in memory
//
// Prints one JSON document. Nothing is kept between pairs but the index of each file, whose making is timed apart.
#include <CLI/CLI.hpp>
#include <algorithm>
#include <chrono>
#include <cmath>
#include <fstream>
#include <iostream>
#include <map>
#include <nlohmann/json.hpp>

#include "cstp/augment/render.h"
#include "cstp/core/error.h"
#include "cstp/core/process.h"
#include "cstp/core/random.h"
#include "cstp/core/text.h"
#include "cstp/data/clip_loader.h"
#include "cstp/video/video_reader.h"
#include "frame_index.h"
#include "packet_source.h"
#include "run_tool.h"

namespace cstp {
namespace {

using Json = nlohmann::json;

constexpr int64_t kFrames = 16, kStride = 2, kSize = 112;
constexpr int64_t kSpan = (kFrames - 1) * kStride + 1;

/// Two clips of one video. Boxes are whole pixels of the displayed frame: x, y, width, height.
struct Pair {
  std::string path;
  std::array<int64_t, 2> start{};
  std::array<std::array<int64_t, 4>, 2> box{};
};

/// As a user's recipe would: starts uniform and independent, areas 0.2 to 1, aspect ratios 3/4 to 4/3.
void make_pairs(const std::vector<std::string>& videos, int64_t count, int64_t seed) {
  std::vector<VideoInfo> infos;
  for (const std::string& path : videos) infos.push_back(VideoReader(path).info());
  for (int64_t n = 0; n < count; ++n) {
    Rng rng(static_cast<uint64_t>(seed), 0, static_cast<uint64_t>(n), 0);
    const auto v = static_cast<size_t>(rng.integer(0, std::ssize(videos) - 1));
    const VideoInfo& info = infos[v];
    if (info.frames < kSpan) throw DataError(cat(videos[v], ": is too short for a clip of ", kSpan, " frames"));
    Json line = {{"path", videos[v]}, {"start", Json::array()}, {"box", Json::array()}};
    for (int clip = 0; clip < 2; ++clip) {
      line["start"].push_back(rng.integer(0, info.frames - kSpan));
      const double area = rng.uniform(0.2, 1) * static_cast<double>(info.width * info.height);
      const double ratio = std::exp(rng.uniform(std::log(3.0 / 4), std::log(4.0 / 3)));
      const int64_t w = std::min<int64_t>(info.width, std::llround(std::sqrt(area * ratio)));
      const int64_t h = std::min<int64_t>(info.height, std::llround(std::sqrt(area / ratio)));
      line["box"].push_back({rng.integer(0, info.width - w), rng.integer(0, info.height - h), w, h});
    }
    std::cout << line.dump() << '\n';
  }
}

std::vector<Pair> read_pairs(const std::string& path, int64_t first, int64_t count) {
  std::vector<Pair> pairs;
  for (const std::string& line : split(read_text_file(path), '\n')) {
    if (line.empty() || first-- > 0) continue;
    if (count-- == 0) break;
    const Json json = Json::parse(line);
    pairs.push_back({json.at("path"), json.at("start"), json.at("box")});
  }
  return pairs;
}

/// The pair that the worker thread is about to plan: a plan is asked for by video, and here it is not drawn but given.
thread_local const Pair* current_pair = nullptr;

SamplePlan plan_of(const Pair& pair, const VideoInfo& info) {
  SamplePlan plan;
  for (size_t clip = 0; clip < 2; ++clip) {
    ViewPlan view;
    view.stride = kStride;
    for (int64_t t = 0; t < kFrames; ++t) view.frames.push_back(pair.start[clip] + t * kStride);
    const auto width = static_cast<double>(info.width), height = static_cast<double>(info.height);
    const auto& [x, y, w, h] = pair.box[clip];
    view.crop = {static_cast<double>(x) / width, static_cast<double>(y) / height, static_cast<double>(w) / width,
                 static_cast<double>(h) / height};
    plan.views.push_back(view);
  }
  return plan;
}

/// Views as bytes, [pairs,2,T,S,S,3], for comparison with others'.
void dump(const Sample& sample, std::ofstream& file) {
  std::vector<char> bytes(sample.rendered.size());
  std::ranges::transform(sample.rendered, bytes.begin(),
                         [](float value) { return static_cast<char>(static_cast<uint8_t>(255 * value + 0.5F)); });
  file.write(bytes.data(), std::ssize(bytes));
}

double index_all(const std::vector<Pair>& pairs) {
  const double start = cpu_seconds();
  std::map<std::string, int> seen;
  for (const Pair& pair : pairs) {
    if (seen[pair.path]++ == 0) VideoReader{pair.path};  // its index is kept
  }
  return cpu_seconds() - start;
}

struct LoaderCase {
  int64_t threads = 1, repeat = 1;
  bool render = true, on_gpu = false;
  std::string dump_to;
};

Json run_loader(const std::vector<Pair>& pairs, const LoaderCase& how) {
  const auto& [threads, repeat, render, on_gpu, dump_to] = how;
  const double index = index_all(pairs);
  const auto count = std::ssize(pairs);
  Dataset dataset;
  for (const Pair& pair : pairs) dataset.videos.push_back({pair.path, 0});
  ClipLoader::Setup setup;
  setup.dataset = &dataset;
  setup.place = [&](int64_t n) {
    current_pair = &pairs[static_cast<size_t>(n % count)];
    return StreamPlace{.position = n, .record = n % count};
  };
  setup.plan = [](const VideoInfo& info, Rng&) { return plan_of(*current_pair, info); };
  const int64_t warm = on_gpu ? count : 0;  // the GPU's decoders are set up
  setup.last = warm + repeat * count;
  setup.batch = 4;
  setup.options.workers = threads;
  setup.options.prefetch = threads;
  setup.options.decode_deadline = 600;
  InputOptions input;
  input.range = "unit";
  if (on_gpu) setup.gpu = {.decoders = std::make_shared<GpuDecoders>(0, nullptr), .wait = true};
  if (render) setup.finish = [input](Sample& sample) { render_sample(sample, kSize, input); };
  std::ofstream file;
  if (!dump_to.empty()) file.open(dump_to, std::ios::binary);

  double cpu = cpu_seconds();
  auto wall = std::chrono::steady_clock::now();
  ClipLoader loader(std::move(setup));
  int64_t made = 0, halfway = 0, by_gpu = 0;
  for (Batch batch = loader.next(); !batch.empty(); batch = loader.next()) {
    for (const Sample& sample : batch) {
      if (!sample.error.empty()) throw DataError(sample.error);
      if (made++ < count && file.is_open()) dump(sample, file);
      by_gpu += sample.on_gpu && made > warm ? 1 : 0;
      if (made == warm) {
        cpu = cpu_seconds();
        wall = std::chrono::steady_clock::now();
      }
      if (made == std::max<int64_t>(1, repeat * count / 2)) halfway = peak_memory_bytes();
    }
  }
  const double wall_seconds = std::chrono::duration<double>(std::chrono::steady_clock::now() - wall).count();
  const double spent = cpu_seconds() - cpu;
  const ClipLoader::Timing timing = loader.timing();
  made -= warm;
  const auto clips = static_cast<double>(2 * made);
  return {{"reader", render ? "cstp" : "cstp_decoding"},
          {"clips", 2 * made},
          {"threads", threads},
          {"clips_by_gpu", 2 * by_gpu},
          {"cpu_seconds", spent},
          {"wall_seconds", wall_seconds},
          {"clips_per_cpu_second", clips / spent},
          {"clips_per_second", clips / wall_seconds},
          {"index_cpu_seconds", index},
          {"worker_seconds",
           {{"open", timing.open}, {"plan", timing.plan}, {"decode", timing.decode}, {"render", timing.finish}}},
          {"peak_memory_mb", static_cast<double>(peak_memory_bytes()) / 1e6},
          {"peak_memory_mb_halfway", static_cast<double>(halfway) / 1e6}};
}

/// The packets that a pair needs, runs of them from a key frame on. What nothing wanted refers to is left out.
std::vector<std::vector<PacketPtr>> packets_of(const Pair& pair, const FrameIndex& index, PacketSource& source) {
  std::vector<bool> wanted(index.packet_of.size());
  for (const int64_t start : pair.start) {
    for (int64_t t = 0; t < kFrames; ++t) wanted[static_cast<size_t>(start + t * kStride)] = true;
  }
  std::vector<bool> needed(index.packets.size()), starts(index.packets.size());
  for (size_t frame = 0; frame < wanted.size(); ++frame) {
    if (!wanted[frame]) continue;
    const auto from = static_cast<size_t>(index.start_for(static_cast<int64_t>(frame)).packet);
    starts[from] = true;
    for (auto p = from; p <= static_cast<size_t>(index.packet_of[frame]); ++p) {
      const FrameIndex::Packet& packet = index.packets[p];
      needed[p] = needed[p] || !packet.disposable || wanted[static_cast<size_t>(packet.frame)];
    }
  }
  std::vector<std::vector<PacketPtr>> runs;
  source.reopen();
  bool within = false;
  for (size_t p = 0; p < needed.size(); ++p) {
    PacketPtr packet = new_packet();
    if (!source.next(*packet)) throw DataError(cat(pair.path, ": has fewer packets than its index"));
    if (!needed[p]) {
      within = within && index.packets[p].disposable;
      continue;
    }
    if (!within) {
      check(starts[p], "a run begins at a key frame");
      runs.emplace_back();
    }
    within = true;
    runs.back().push_back(std::move(packet));
  }
  return runs;
}

Json run_limit(const std::vector<Pair>& pairs) {
  double spent = 0;
  int64_t frames = 0;
  for (const Pair& pair : pairs) {
    Deadline never;
    PacketSource source(pair.path, never);
    const auto index = build_index(source, {});
    if (!index->matched) throw DataError(cat(pair.path, ": its packets do not tell its frames"));
    const auto runs = packets_of(pair, *index, source);
    StreamDecoder decoder(source, 1);
    const auto take = [&frames](const AVFrame&) { ++frames; };
    const double start = cpu_seconds();
    for (const auto& run : runs) {
      for (const PacketPtr& packet : run) decoder.send(packet.get(), take);
      decoder.send(nullptr, take);
      decoder.flush();
    }
    spent += cpu_seconds() - start;
  }
  const auto clips = static_cast<double>(2 * pairs.size());
  return {{"reader", "limit"},
          {"clips", 2 * pairs.size()},
          {"cpu_seconds", spent},
          {"clips_per_cpu_second", clips / spent},
          {"frames_decoded_per_clip", static_cast<double>(frames) / clips}};
}

}  // namespace
}  // namespace cstp

int main(int argc, char** argv) {
  cstp::keep_freed_memory();  // as the program does
  CLI::App app("training pairs from files: what they cost");
  int64_t make = 0, seed = 1, first = 0, count = -1;
  std::string pairs_file, decode = "cpu";
  std::vector<std::string> videos;
  bool limit = false, decode_only = false;
  cstp::LoaderCase how;
  app.add_option("--make-pairs", make, "print so many pairs of the given videos");
  app.add_option("--seed", seed, "of --make-pairs");
  app.add_option("--pairs", pairs_file, "the list to make");
  app.add_option("--first", first, "pairs of it to pass over");
  app.add_option("--count", count, "pairs to make; -1: all");
  app.add_option("--threads", how.threads, "decoding threads");
  app.add_option("--repeat", how.repeat, "times the list is made");
  app.add_option("--dump", how.dump_to, "write the views as bytes, [pairs,2,16,112,112,3]");
  app.add_flag("--decode-only", decode_only, "without rendering");
  app.add_option("--decode", decode, "cpu, or cuda: by the GPU's decoder, without rendering")
      ->check(CLI::IsMember({"cpu", "cuda"}));
  app.add_flag("--limit", limit, "libavcodec alone");
  app.add_option("videos", videos);
  CLI11_PARSE(app, argc, argv);
  return cstp::run_tool("bench_loader", [&] {
    if (make > 0) return cstp::make_pairs(videos, make, seed);
    const auto pairs = cstp::read_pairs(pairs_file, first, count);
    how.on_gpu = decode == "cuda";
    how.render = !decode_only && !how.on_gpu;  // the CPU cannot read what the GPU keeps
    std::cout << (limit ? cstp::run_limit(pairs) : cstp::run_loader(pairs, how)).dump() << '\n';
  });
}
