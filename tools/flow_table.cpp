// flow_table FOLDER [SEEDS [VIDEOS]]: how far STS's motion labels depend on the flow that they are measured in, and
// what each flow costs, as a Markdown table on stdout.
//
// From every video below FOLDER (or VIDEOS of them, evenly spread) one clip a seed is cut as STS cuts them: 16 frames,
// a window of 112 x 112 out of 128 x 171, half of them mirrored. Each flow gives the 14 labels of the clip; the table
// says which share of them is that of the published flow: TV-L1 of the whole frames at short side 256, kept as bytes.
// "guessing" is the commonest label of each question. A margin reaches no further than the frame: of 128 rows a window
// of 112 leaves 16, so that more than 8 on each side changes nothing. Mean and sample standard deviation over the
// seeds; cost in milliseconds of processor time a clip, decoding left out, rendering of the greys included.
#include <time.h>

#include <algorithm>
#include <array>
#include <cmath>
#include <cstdio>
#include <exception>
#include <functional>
#include <iostream>
#include <map>
#include <memory>
#include <string>
#include <tuple>
#include <vector>

#include "cstp/augment/view_flow.h"
#include "cstp/core/error.h"
#include "cstp/core/random.h"
#include "cstp/core/text.h"
#include "cstp/data/flow_dump.h"
#include "cstp/data/flow_store.h"
#include "cstp/video/video_reader.h"
#include "run_tool.h"
#include "sts_motion.h"

namespace {

using namespace cstp;

constexpr int64_t kFrames = 16, kSize = 112, kResizedWidth = 171, kResizedHeight = 128;
using Labels = std::array<int64_t, 14>;

struct Clip {
  Sample sample;
  const ViewPlan& view() const { return sample.plan.views.front(); }
};

Clip read_clip(const std::string& path, uint64_t seed, uint64_t number) {
  VideoReader reader(path);
  Rng rng(seed, 0, number);
  Clip clip;
  clip.sample.video = reader.info();
  if (clip.sample.video.frames < kFrames) throw DecodeError(cat(path, ": has fewer than ", kFrames, " frames"));
  ViewPlan view;
  const int64_t start = rng.integer(0, clip.sample.video.frames - kFrames);
  for (int64_t t = 0; t < kFrames; ++t) view.frames.push_back(start + t);
  const auto x = static_cast<double>(rng.integer(0, kResizedWidth - kSize));
  const auto y = static_cast<double>(rng.integer(0, kResizedHeight - kSize));
  view.crop = {x / kResizedWidth, y / kResizedHeight, 1.0 * kSize / kResizedWidth, 1.0 * kSize / kResizedHeight};
  view.flip = rng.chance(0.5);
  view.antialias = false;
  clip.sample.plan.views = {view};
  clip.sample.frame_numbers = view.frames;
  clip.sample.frames = reader.read(view.frames, [&](size_t bytes) {
    clip.sample.memory.push_back(std::make_shared<uint8_t[]>(bytes));
    return clip.sample.memory.back().get();
  });
  return clip;
}

/// The fields of a clip's whole frames, as a dump would keep them.
FlowFields whole_fields(const Clip& clip, const FlowSettings& settings) {
  FlowFields fields;
  std::tie(fields.width, fields.height) = size_with_short_side(clip.sample.video, settings.short_side);
  fields.count = kFrames - 1;
  const auto size = static_cast<size_t>(fields.width * fields.height);
  std::vector<uint8_t> from(size), to(size);
  std::vector<float> u(size), v(size);
  FlowSolver solver(settings.flow);
  for (int64_t t = 0; t < kFrames; ++t) {
    std::swap(from, to);
    grey_frame(clip.sample.frame(clip.view().frames[static_cast<size_t>(t)]), fields.width, fields.height, to);
    if (t == 0) continue;
    solver.solve(from.data(), to.data(), fields.width, fields.height, u.data(), v.data());
    for (const std::vector<float>* plane : {&u, &v}) {
      std::ranges::transform(*plane, std::back_inserter(fields.bytes), flow_byte);
    }
  }
  return fields;
}

/// As training cuts the view out of a dump.
ViewFlow cut(const FlowFields& fields, const ViewPlan& view) { return cut_view_flow(fields, view, -1, kSize); }

/// Through the codec of a dump and back.
FlowFields kept_as(FlowFields fields, const PlaneCodec& codec) {
  const auto size = static_cast<size_t>(fields.width * fields.height);
  for (size_t from = 0; from < fields.bytes.size(); from += size) {
    const auto plane = std::span(fields.bytes).subspan(from, size);
    const std::string file = compress_plane(plane, fields.width, fields.height, codec);
    check(decompress_plane(file, fields.width, fields.height, plane), "a plane could not be read back");
  }
  return fields;
}

double processor_seconds() {
  timespec now{};
  ::clock_gettime(CLOCK_THREAD_CPUTIME_ID, &now);
  return static_cast<double>(now.tv_sec) + 1e-9 * static_cast<double>(now.tv_nsec);
}

struct Row {
  std::string name;
  std::function<ViewFlow(const Clip&)> flow;
  std::vector<std::vector<Labels>> labels = {};  ///< by seed, by clip
  double seconds = 0;
};

std::vector<Row> all_rows(FlowFields& published) {
  std::vector<Row> rows;
  if (FlowSolver::has_tvl1()) {
    rows.push_back({"TV-L1, whole frame (published)", [&published](const Clip& clip) {
                      published = whole_fields(clip, {.flow = {.method = "tvl1"}});
                      return cut(published, clip.view());
                    }});
    rows.push_back({"the same through JPEG of quality 95", [&published](const Clip& clip) {
                      return cut(kept_as(published, {.name = "jpeg", .quality = 95}), clip.view());
                    }});
    rows.push_back({"TV-L1, crop, margin 16", [](const Clip& clip) {
                      return view_flow(clip.sample, clip.view(), -1, kSize,
                                       {.solver = {.method = "tvl1"}, .margin = 16});
                    }});
  }
  rows.push_back({"DIS medium, whole frame",
                  [](const Clip& clip) { return cut(whole_fields(clip, {.flow = {.method = "dis"}}), clip.view()); }});
  for (const char* preset : {"fine", "medium", "fast", "ultrafast"}) {
    for (const int64_t margin : {16, 8, 0}) {
      rows.push_back({cat("DIS ", preset, ", crop, margin ", margin), [preset, margin](const Clip& clip) {
                        const ViewFlowOptions options{.solver = {.method = "dis", .preset = preset}, .margin = margin};
                        return view_flow(clip.sample, clip.view(), -1, kSize, options);
                      }});
    }
  }
  return rows;
}

enum class Question { location, orientation, near_orientation, time, any };

bool asks(Question question, size_t slot) {
  switch (question) {
    case Question::location: return slot < 12 && slot % 2 == 0;
    case Question::orientation:
    case Question::near_orientation: return slot < 12 && slot % 2 == 1;
    case Question::time: return slot >= 12;
    case Question::any: return true;
  }
  return false;
}

/// Share of a seed's labels that are the reference's.
double agreement(const std::vector<Labels>& labels, const std::vector<Labels>& reference, Question question) {
  int64_t asked = 0, same = 0;
  for (size_t i = 0; i < labels.size(); ++i) {
    for (size_t slot = 0; slot < 14; ++slot) {
      if (!asks(question, slot)) continue;
      const int64_t apart = (labels[i][slot] - reference[i][slot] + 8) % 8;  // of the eight orientations
      const bool near = question == Question::near_orientation && (apart == 1 || apart == 7);
      same += labels[i][slot] == reference[i][slot] || near;
      ++asked;
    }
  }
  return static_cast<double>(same) / static_cast<double>(asked);
}

/// For every clip the commonest label of all.
std::vector<std::vector<Labels>> guessed(const std::vector<std::vector<Labels>>& reference) {
  Labels commonest{};
  for (size_t slot = 0; slot < 14; ++slot) {
    std::map<int64_t, int64_t> counts;
    for (const auto& seed : reference) {
      for (const Labels& labels : seed) ++counts[labels[slot]];
    }
    commonest[slot] = std::ranges::max_element(counts, {}, [](const auto& count) { return count.second; })->first;
  }
  std::vector<std::vector<Labels>> result;
  for (const auto& seed : reference) result.emplace_back(seed.size(), commonest);
  return result;
}

void print_row(const Row& row, const Row& reference, bool timed, double clips) {
  std::cout << "| " << row.name;
  for (const Question question :
       {Question::location, Question::orientation, Question::near_orientation, Question::time, Question::any}) {
    double sum = 0, squares = 0;
    const auto seeds = static_cast<double>(row.labels.size());
    for (size_t seed = 0; seed < row.labels.size(); ++seed) {
      const double share = agreement(row.labels[seed], reference.labels[seed], question);
      sum += share;
      squares += share * share;
    }
    const double mean = sum / seeds;
    const double deviation = seeds > 1 ? std::sqrt(std::max(0.0, (squares - seeds * mean * mean) / (seeds - 1))) : 0;
    std::array<char, 40> cell{};
    std::snprintf(cell.data(), cell.size(), " | %.1f ± %.1f", 100 * mean, 100 * deviation);
    std::cout << cell.data();
  }
  std::array<char, 40> cost{};
  std::snprintf(cost.data(), cost.size(), "%.1f", 1e3 * row.seconds / clips);
  std::cout << " | " << (timed ? cost.data() : "-") << " |\n";
}

void run(const std::string& folder, int64_t seeds, int64_t most) {
  std::vector<std::string> videos = videos_below(folder);
  if (most > 0 && most < std::ssize(videos)) {
    std::vector<std::string> taken;
    for (int64_t i = 0; i < most; ++i) taken.push_back(videos[static_cast<size_t>(i * std::ssize(videos) / most)]);
    videos = taken;
  }
  const StsPatterns patterns(kSize);
  FlowFields published;
  std::vector<Row> rows = all_rows(published);
  int64_t clips = 0;
  for (int64_t seed = 0; seed < seeds; ++seed) {
    for (Row& row : rows) row.labels.emplace_back();
    for (size_t i = 0; i < videos.size(); ++i) {
      try {
        const Clip clip = read_clip(videos[i], static_cast<uint64_t>(seed), i);
        ++clips;
        for (Row& row : rows) {
          const double start = processor_seconds();
          const ViewFlow flow = row.flow(clip);
          row.seconds += processor_seconds() - start;
          row.labels.back().push_back(motion_labels(patterns, {}, flow.u, flow.v, flow.fields, flow.fields));
        }
      } catch (const DecodeError& error) {
        if (seed == 0) std::cerr << error.what() << "; left out\n";
      }
    }
  }
  if (clips == 0) throw DataError(cat(folder, ": holds no video of ", kFrames, " frames or more"));
  const Row guessing{"guessing", {}, guessed(rows.front().labels)};
  std::cout << clips << " clips (" << seeds << " seeds) of " << videos.size() << " videos in " << folder
            << "; share of labels that are those of \"" << rows.front().name << "\", in per cent\n\n"
            << "| flow | 6 locations | 6 orientations | within 45 degrees | 2 times | all 14 | ms a clip |\n"
            << "|---|---|---|---|---|---|---|\n";
  for (const Row& row : rows) print_row(row, rows.front(), true, static_cast<double>(clips));
  print_row(guessing, rows.front(), false, 1);
}

}  // namespace

int main(int argc, char** argv) {
  return run_tool("flow_table", [&] {
    if (argc < 2 || argc > 4) throw UsageError("usage: flow_table FOLDER [SEEDS [VIDEOS]]");
    run(argv[1], argc > 2 ? std::stoll(argv[2]) : 3, argc > 3 ? std::stoll(argv[3]) : 0);
  });
}
