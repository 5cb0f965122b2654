#include "rank_start.h"

#include <torch/utils.h>

#include <algorithm>

#include "cstp/core/error.h"
#include "cstp/core/random.h"
#include "cstp/core/text.h"
#include "cstp/distributed/collectives.h"
#include "cstp/engine/checkpoint.h"

namespace cstp {
namespace fs = std::filesystem;
namespace {

constexpr uint64_t kStepStream = 0x73746570;  // keeps these draws apart from those of samples

}  // namespace

fs::path journal_of(const fs::path& output, int64_t rank) {
  return output / (rank == 0 ? "bad.jsonl" : cat("bad-", rank, ".jsonl"));
}

std::vector<fs::path> journals(const fs::path& output) {
  std::vector<fs::path> found;
  std::error_code error;
  for (const auto& entry : fs::directory_iterator(output, error)) {
    const std::string name = entry.path().filename().string();
    if (name == "bad.jsonl" || (name.starts_with("bad-") && name.ends_with(".jsonl"))) found.push_back(entry.path());
  }
  std::sort(found.begin(), found.end());
  return found;
}

void require_same_on_all(const World& world, const RunConfig& config, const std::string& data_hash) {
  const std::vector<std::string> all = join_texts(cat(fingerprint(config.yaml()), "\n", data_hash), world);
  for (size_t rank = 0; rank < all.size(); ++rank) {
    if (all[rank] == all[0]) continue;
    const bool data = all[rank].substr(0, all[rank].find('\n')) == all[0].substr(0, all[0].find('\n'));
    throw ConfigError(cat("rank ", rank,
                          data ? " finds other training videos than rank 0 under data.root"
                               : " was started with another configuration than rank 0",
                          "; every rank needs the same command and the same data"));
  }
}

void seed_step(int64_t seed, int64_t step, int64_t rank) {
  Rng draws(static_cast<uint64_t>(seed) ^ kStepStream, static_cast<uint64_t>(step), static_cast<uint64_t>(rank));
  torch::manual_seed(draws.bits());
}

void start_as_first(Objective& objective, Optimizer& optimizer, const World& world) {
  std::vector<at::Tensor> tensors;
  for (const auto& [name, tensor] : module_tensors(objective)) tensors.push_back(tensor);
  take_from_first(tensors, world);
  const Optimizer::Named state = optimizer.state();
  tensors.clear();
  for (const auto& [name, tensor] : state) tensors.push_back(tensor);
  take_from_first(tensors, world);
  optimizer.load(state);
}

}  // namespace cstp
