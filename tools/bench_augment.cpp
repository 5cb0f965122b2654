// bench_augment FOLDER [--rounds N] [--json FILE] [--case TEXT] [--peer COMMAND]: the renderer against OpenCV and,
// through COMMAND (`python tools/peers/augment.py`), against torchvision and OpenCV's Python wheel, on the same made
// frames and the same drawn plans.
//
// Clips per CPU second of one thread: rivals take turns, round by round, a round being every view of a case once; the
// median counts, and the fastest round is shown. Quality is the PSNR against the same view in double precision, by each
// rival's own rule where libraries mean different things by an operation (augment_reference.h). OpenCV and this
// renderer start from the decoder's 4:2:0 planes; torchvision, which has no such conversion, from RGB that OpenCV made
// and nobody pays for. FOLDER receives frames, plans and the peer's views.
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include <algorithm>
#include <cmath>
#include <cstdio>
#include <exception>
#include <fstream>
#include <functional>
#include <iostream>
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
#include "cstp/core/text.h"

namespace {

using namespace cstp;

struct Options {
  std::string folder, json, peer, only;
  int rounds = 9;
};

Options parsed(int argc, char** argv) {
  Options options;
  for (int i = 1; i < argc; ++i) {
    const std::string word = argv[i];
    const auto value = [&]() -> std::string {
      if (i + 1 == argc) throw UsageError(cat(word, " wants a value"));
      return argv[++i];
    };
    if (word == "--rounds") {
      options.rounds = std::max(1, std::stoi(value()));
    } else if (word == "--json") {
      options.json = value();
    } else if (word == "--peer") {
      options.peer = value();
    } else if (word == "--case") {
      options.only = value();
    } else if (word.starts_with("--") || !options.folder.empty()) {
      throw UsageError(
          cat("'", word,
              "' is not known; usage: bench_augment FOLDER [--rounds N] [--json FILE] [--case TEXT] [--peer COMMAND]"));
    } else {
      options.folder = word;
    }
  }
  if (options.folder.empty()) throw UsageError("bench_augment wants a folder for frames, plans and the peer's views");
  return options;
}

double cpu_seconds() {
  timespec now{};
  clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &now);
  return static_cast<double>(now.tv_sec) + 1e-9 * static_cast<double>(now.tv_nsec);
}

/// A program that answers a line with a line.
class Peer {
 public:
  explicit Peer(const std::string& command) {
    int to[2], from[2];
    check(pipe(to) == 0 && pipe(from) == 0, "a pipe to the peer could not be made");
    child_ = fork();
    check(child_ >= 0, "the peer could not be started");
    if (child_ == 0) {
      dup2(to[0], 0);
      dup2(from[1], 1);
      for (const int end : {to[0], to[1], from[0], from[1]}) close(end);
      execl("/bin/sh", "sh", "-c", command.c_str(), nullptr);
      _exit(127);
    }
    close(to[0]);
    close(from[1]);
    to_ = fdopen(to[1], "w");
    from_ = fdopen(from[0], "r");
  }
  Peer(const Peer&) = delete;
  Peer& operator=(const Peer&) = delete;
  ~Peer() {
    fclose(to_);
    fclose(from_);
    waitpid(child_, nullptr, 0);
  }

  std::string ask(const std::string& line) {
    fprintf(to_, "%s\n", line.c_str());
    fflush(to_);
    return answer();
  }
  std::string answer() {
    char line[4096];
    if (fgets(line, sizeof line, from_) == nullptr)
      throw DataError("the peer ended before its work did; see its message above");
    std::string text = line;
    while (!text.empty() && text.back() == '\n') text.pop_back();
    return text;
  }

 private:
  pid_t child_ = 0;
  FILE *to_ = nullptr, *from_ = nullptr;
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
    write_cases(cases, options.folder);
    peer = std::make_unique<Peer>(cat(options.peer, " ", options.folder));
    std::istringstream names(peer->answer());
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
  try {
    run(parsed(argc, argv));
    return 0;
  } catch (const std::exception& error) {
    std::cerr << "bench_augment: " << error.what() << "\n";
    const auto* known = dynamic_cast<const Error*>(&error);
    return static_cast<int>(known != nullptr ? known->code() : ExitCode::bug);
  }
}
