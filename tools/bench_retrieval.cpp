// bench_retrieval: the exact neighbour search against faiss-cpu's flat index, side by side.
//
// Both search the same made galleries for the same queries, in turns, each in its own process that stays: a round is
// one search by each. The peer (tools/peers/retrieval.py, in the benchmark's Python) is spoken to by its standard input
// and output. `random` rows lie anywhere on the sphere; `clustered` ones around 400 centres, as embeddings of classes
// do. "f32" is our search without the processor's bfloat16 unit: what a machine that has none gets.
#include <torch/torch.h>
#include <unistd.h>

#include <CLI/CLI.hpp>
#include <algorithm>
#include <cstdio>
#include <cstdlib>
#include <filesystem>
#include <iostream>
#include <limits>
#include <nlohmann/json.hpp>
#include <sstream>
#include <string>
#include <vector>

#include "cstp/core/error.h"
#include "cstp/core/text.h"
#include "cstp/engine/neighbours.h"
#include "peer.h"
#include "run_tool.h"
#include "timing.h"

namespace {

using namespace cstp;

Cost search_cost(Peer& peer, const std::string& line) {
  std::istringstream numbers(peer.ask(line));
  Cost cost;
  numbers >> cost.wall >> cost.cpu;
  return cost;
}

struct Setup {
  std::vector<std::string> peer = {"python3", "tools/peers/retrieval.py"};
  int64_t rows = 100000, channels = 512, queries = 2000, k = 50, rounds = 5, seed = 1;
  std::vector<int> threads = {1, 2};
  std::vector<std::string> data = {"random", "clustered"};
  std::string folder, json;
};

at::Tensor made_rows(const std::string& data, int64_t rows, int64_t channels, const at::Tensor& centres) {
  at::Tensor values = torch::randn({rows, channels});
  if (data == "clustered") {
    values *= 0.7;
    values += centres.index_select(0, torch::randint(0, centres.size(0), {rows}));
  }
  return torch::nn::functional::normalize(values);
}

void write_raw(const std::string& path, const at::Tensor& values) {
  write_file_atomically(path, {static_cast<const char*>(values.const_data_ptr()), values.nbytes()});
}

/// The peer's neighbours against ours: the same, or as near to within f32's rounding. @return a sentence
std::string compare(const Setup& setup, const at::Tensor& gallery, const at::Tensor& queries, const Neighbours& ours,
                    const std::string& file) {
  const std::string bytes = read_text_file(file);
  const at::Tensor theirs = torch::empty_like(ours.rows);
  check(bytes.size() == theirs.nbytes(), "the peer wrote another number of neighbours");
  std::copy(bytes.begin(), bytes.end(), static_cast<char*>(theirs.data_ptr()));
  const double same = (theirs == ours.rows).to(torch::kFloat64).mean().item<double>();
  // At each rank, theirs must be as near as ours but for the rounding of a sum of f32 products.
  const at::Tensor scores = torch::einsum(
      "qc,qkc->qk",
      {queries, gallery.index_select(0, theirs.reshape(-1)).reshape({theirs.size(0), setup.k, setup.channels})});
  const double apart = (scores - ours.similarity).abs().max().item<double>();
  if (apart > 1e-5) throw DataError(cat("neighbours differ: at one rank the similarities are ", apart, " apart"));
  return cat(100 * same, " % of the ranks name the same row; elsewhere the two are ", apart, " apart or less");
}

void run(const Setup& setup) {
  namespace fs = std::filesystem;
  const fs::path folder =
      setup.folder.empty() ? fs::temp_directory_path() / cat("bench_retrieval.", ::getpid()) : fs::path(setup.folder);
  fs::create_directories(folder);
  const auto in_folder = [&](const char* name) { return (folder / name).string(); };
  Peer peer(setup.peer, "faiss-cpu");
  const std::string version = peer.ask("version");
  nlohmann::ordered_json document = {{"rows", nlohmann::ordered_json::array()}};
  double worst = std::numeric_limits<double>::infinity();
  std::printf("%lld x %lld gallery, %lld queries, k %lld, %lld rounds; peer: %s\n", static_cast<long long>(setup.rows),
              static_cast<long long>(setup.channels), static_cast<long long>(setup.queries),
              static_cast<long long>(setup.k), static_cast<long long>(setup.rounds), version.c_str());
  std::printf("%-10s %-8s %-9s | %-23s | %-23s | %s\n", "data", "threads", "search", "ours CPU s (med, min)",
              "peer CPU s (med, min)", "ratio CPU, wall");
  for (const std::string& data : setup.data) {
    torch::manual_seed(static_cast<uint64_t>(setup.seed));
    const at::Tensor centres = torch::randn({400, setup.channels});
    const at::Tensor gallery = made_rows(data, setup.rows, setup.channels, centres);
    const at::Tensor queries = made_rows(data, setup.queries, setup.channels, centres);
    write_raw(in_folder("gallery.f32"), gallery);
    write_raw(in_folder("queries.f32"), queries);
    peer.ask(cat("load ", setup.channels, " ", in_folder("gallery.f32"), " ", in_folder("queries.f32")));
    for (const int threads : setup.threads) {
      at::set_num_threads(threads);
      Times automatic, f32, theirs;
      Neighbours found;
      const auto search = [&](ScoreKind kind) {
        return cost_of([&] { found = nearest_rows(gallery, queries, setup.k, {.kind = kind}); });
      };
      const std::string line = cat("search ", threads, " ", setup.k, " ", in_folder("rows.i64"));
      for (int64_t round = -1; round < setup.rounds; ++round) {  // the first round warms up
        const Cost plain = search(ScoreKind::f32);
        const Cost peers = search_cost(peer, line);
        const Cost best = search(ScoreKind::automatic);
        if (round < 0) continue;
        f32.add(plain);
        theirs.add(peers);
        automatic.add(best);
      }
      const std::string agreement = compare(setup, gallery, queries, found, in_folder("rows.i64"));
      for (const auto& [name, ours] : {std::pair{"automatic", &automatic}, std::pair{"f32", &f32}}) {
        const double cpu = median(theirs.cpu) / median(ours->cpu);
        const double wall = median(theirs.wall) / median(ours->wall);
        std::printf("%-10s %-8d %-9s | %10.3f %10.3f   | %10.3f %10.3f   | %.2f, %.2f\n", data.c_str(), threads, name,
                    median(ours->cpu), least(ours->cpu), median(theirs.cpu), least(theirs.cpu), cpu, wall);
        std::fflush(stdout);
        document["rows"].push_back({{"data", data},
                                    {"threads", threads},
                                    {"search", name},
                                    {"ours_cpu_median", median(ours->cpu)},
                                    {"ours_cpu_min", least(ours->cpu)},
                                    {"ours_wall_median", median(ours->wall)},
                                    {"peer_cpu_median", median(theirs.cpu)},
                                    {"peer_cpu_min", least(theirs.cpu)},
                                    {"peer_wall_median", median(theirs.wall)},
                                    {"ratio_cpu", cpu},
                                    {"ratio_wall", wall}});
        if (std::string(name) == "automatic") worst = std::min(worst, cpu);
      }
      std::printf("%-10s %-8d neighbours: %s\n", data.c_str(), threads, agreement.c_str());
    }
  }
  document["peer"] = version;
  document["ratio_best_peer"] = worst;
  std::printf("ratio_best_peer %.2f (the lowest row of our search as it runs here)\n", worst);
  if (!setup.json.empty()) write_file_atomically(setup.json, document.dump(2) + "\n");
  if (setup.folder.empty()) fs::remove_all(folder);
}

}  // namespace

int main(int argc, char** argv) {
  cstp::restart_tuned(argv);  // as the program does
  cstp::keep_freed_memory();
  CLI::App app("bench_retrieval: exact nearest neighbours against faiss-cpu");
  Setup setup;
  app.add_option("--peer", setup.peer, "command of the peer: PYTHON tools/peers/retrieval.py");
  app.add_option("--rows", setup.rows, "of the gallery");
  app.add_option("--channels", setup.channels);
  app.add_option("--queries", setup.queries);
  app.add_option("--k", setup.k);
  app.add_option("--rounds", setup.rounds);
  app.add_option("--seed", setup.seed);
  app.add_option("--threads", setup.threads, "numbers of threads, one after the other");
  app.add_option("--data", setup.data, "random, clustered")->check(CLI::IsMember({"random", "clustered"}));
  app.add_option("--folder", setup.folder, "keep the made rows here");
  app.add_option("--json", setup.json, "write the rows and ratio_best_peer here");
  CLI11_PARSE(app, argc, argv);
  return cstp::run_tool("bench_retrieval", [&] { run(setup); });
}
