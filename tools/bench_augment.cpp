// bench_augment FOLDER [--rounds N] [--json FILE] [--case TEXT] [--peer COMMAND...]: the renderer against OpenCV and,
// through COMMAND (`python tools/peers/augment.py`), against torchvision and OpenCV's Python wheel, on the same made
// frames and the same drawn plans.
//
// Clips per CPU second of one thread: rivals take turns, round by round, a round being every view of a case once; the
// median counts, and the fastest round is shown. Quality is the PSNR against the same view in double precision, by each
// rival's own rule where libraries mean different things by an operation (augment_reference.h). OpenCV and this
// renderer start from the decoder's 4:2:0 planes; torchvision, which has no such conversion, from RGB that OpenCV made
// and nobody pays for. FOLDER receives frames, plans and the peer's views.
#include <CLI/CLI.hpp>
#include <algorithm>
#include <cmath>
#include <cstdio>
#include <filesystem>
#include <fstream>
#include <functional>
#include <map>
#include <memory>
#include <nlohmann/json.hpp>
#include <opencv2/core/utility.hpp>
#include <sstream>
#include <string>
#include <vector>

#include "augment_cases.h"
#include "augment_opencv.h"
#include "augment_reference.h"
#include "cstp/core/error.h"
#include "cstp/core/process.h"
#include "cstp/core/text.h"
#include "peer.h"
#include "run_tool.h"

namespace {

using namespace cstp;

struct Options {
  std::string folder, json, only;
  std::vector<std::string> peer;
  int rounds = 9;
};

/// One way to render a case.
struct Rival {
  std::string name;
  ReferenceRules rules;
  std::function<double()> round;                          ///< renders every view; CPU seconds
  std::function<std::vector<float>(size_t view)> render;  ///< one view, to be compared
};

using Body = std::function<void(const BenchView&, std::span<float>)>;

Rival local_rival(const std::string& name, const BenchCase& bench, const ReferenceRules& rules, const Body& body) {
  const auto floats = static_cast<size_t>(kBenchFrames * bench.size * bench.size * 3);
  const auto out = std::make_shared<std::vector<float>>(floats);
  const auto round = [&bench, body, out] {
    const double start = cpu_seconds();
    for (const BenchView& view : bench.views) body(view, *out);
    return cpu_seconds() - start;
  };
  const auto render = [&bench, body, floats](size_t view) {
    std::vector<float> result(floats);
    body(bench.views[view], result);
    return result;
  };
  return {name, rules, round, render};
}

std::vector<Rival> rivals_of(const BenchCase& bench, size_t number, Peer* peer, const std::vector<std::string>& peers,
                             const std::string& folder) {
  const ViewPlan& plan = bench.views.front().plan;
  std::vector<Rival> rivals;
  rivals.push_back(local_rival("cstp", bench, {}, [&bench](const BenchView& view, std::span<float> out) {
    render_cpu(bench.clips[view.clip], view.plan, bench.size, bench.input, out);
  }));
  // Without a widened bicubic filter, OpenCV's users take the plain one or the mean over areas.
  const bool area = plan.antialias;
  const auto opencv = [&](const std::string& name, OpencvShrink shrink, bool uses_area) {
    rivals.push_back(local_rival(
        name, bench, {.area = uses_area},
        [&bench, shrink](const BenchView& view, std::span<float> out) { render_opencv(bench, view, shrink, out); }));
  };
  opencv(area ? "OpenCV area" : "OpenCV", OpencvShrink::area, area);
  for (const std::string& name : peers) {
    const auto round = [peer, name, number] { return std::stod(peer->ask(cat("time ", number, " ", name))); };
    const auto render = [&bench, peer, name, number, folder](size_t view) {
      const std::string file = folder + "/peer_view.bin";
      peer->ask(cat("write ", number, " ", name, " ", view, " ", file));
      std::vector<float> result(static_cast<size_t>(kBenchFrames * bench.size * bench.size * 3));
      std::ifstream(file, std::ios::binary)
          .read(reinterpret_cast<char*>(result.data()), static_cast<std::streamsize>(result.size() * sizeof(float)));
      return result;
    };
    // torchvision's contrast has a mean for each frame; OpenCV's users write their own, of the clip.
    const bool torchvision = name.starts_with("torchvision");
    rivals.push_back({name, {.area = area && !torchvision, .clip_contrast = !torchvision}, round, render});
  }
  return rivals;
}

struct Result {
  std::string name;
  std::vector<double> seconds;  ///< sorted
  double psnr = 0;
  double median(size_t views) const { return static_cast<double>(views) / seconds[seconds.size() / 2]; }
  double best(size_t views) const { return static_cast<double>(views) / seconds.front(); }
};

/// PSNR over the case's first views, their squared errors put together.
double quality(const BenchCase& bench, const Rival& rival,
               std::map<std::pair<size_t, ReferenceRules>, std::vector<double>>& references) {
  double error = 0;
  constexpr size_t kCompared = 3;
  for (size_t view = 0; view < kCompared; ++view) {
    const auto key = std::pair(view, rival.rules);
    if (!references.contains(key)) references[key] = reference_view(bench, bench.views[view], rival.rules);
    error += std::pow(10, -psnr(bench, rival.render(view), references[key]) / 10) / kCompared;
  }
  return -10 * std::log10(error);
}

std::vector<Result> measured(const BenchCase& bench, const std::vector<Rival>& rivals, int rounds) {
  std::vector<Result> results;
  std::map<std::pair<size_t, ReferenceRules>, std::vector<double>> references;
  for (const Rival& rival : rivals) results.push_back({rival.name, {}, quality(bench, rival, references)});
  for (int round = 0; round < rounds; ++round) {
    for (size_t i = 0; i < rivals.size(); ++i) results[i].seconds.push_back(rivals[i].round());
  }
  for (Result& result : results) std::ranges::sort(result.seconds);
  return results;
}

void run(const Options& options) {
  cv::setNumThreads(1);
  const std::vector<BenchCase> cases = bench_cases();
  std::unique_ptr<Peer> peer;
  std::vector<std::string> peers;
  if (!options.peer.empty()) {
    std::filesystem::create_directories(options.folder);
    write_cases(cases, options.folder);
    std::vector<std::string> command = options.peer;
    command.push_back(options.folder);
    peer = std::make_unique<Peer>(command, "torchvision and OpenCV");
    std::istringstream names(peer->ask("names"));
    for (std::string name; names >> name;) peers.push_back(name);
  }
  nlohmann::json rows = nlohmann::json::array();
  double worst = 0;
  printf("clips per CPU second (median of %d rounds, the best in brackets), PSNR in dB\n", options.rounds);
  for (size_t number = 0; number < cases.size(); ++number) {
    const BenchCase& bench = cases[number];
    if (bench.name.find(options.only) == std::string::npos) continue;
    const std::vector<Result> results =
        measured(bench, rivals_of(bench, number, peer.get(), peers, options.folder), options.rounds);
    const size_t views = bench.views.size();
    nlohmann::json row = {{"case", bench.name}, {"results", nlohmann::json::array()}};
    double best_peer = 0, best_peer_round = 0;
    printf("%s\n", bench.name.c_str());
    for (const Result& result : results) {
      printf("  %-22s %8.1f (%8.1f) %7.1f dB\n", result.name.c_str(), result.median(views), result.best(views),
             result.psnr);
      row["results"].push_back({{"name", result.name},
                                {"clips_per_cpu_second", result.median(views)},
                                {"best_clips_per_cpu_second", result.best(views)},
                                {"psnr", result.psnr}});
      if (&result == &results.front()) continue;
      best_peer = std::max(best_peer, result.median(views));
      best_peer_round = std::max(best_peer_round, result.best(views));
    }
    const double ratio = results.front().median(views) / best_peer;
    printf("  ratio to the best peer %8.2f (%8.2f)\n", ratio, results.front().best(views) / best_peer_round);
    fflush(stdout);
    row["ratio_best_peer"] = ratio;
    rows.push_back(row);
    worst = worst == 0 ? ratio : std::min(worst, ratio);
  }
  printf("worst ratio to the best peer %.2f\n", worst);
  if (!options.json.empty()) {
    std::ofstream(options.json) << nlohmann::json{{"rows", rows}, {"ratio_best_peer", worst}}.dump(1) << "\n";
  }
}

}  // namespace

int main(int argc, char** argv) {
  CLI::App app("bench_augment: the renderer against OpenCV and torchvision");
  Options options;
  app.add_option("folder", options.folder, "receives frames, plans and the peer's views")->required();
  app.add_option("--rounds", options.rounds)->check(CLI::PositiveNumber);
  app.add_option("--json", options.json, "write the rows and ratio_best_peer here");
  app.add_option("--case", options.only, "cases whose name holds this");
  app.add_option("--peer", options.peer, "command of the peer: PYTHON tools/peers/augment.py");
  CLI11_PARSE(app, argc, argv);
  return run_tool("bench_augment", [&] { run(options); });
}
