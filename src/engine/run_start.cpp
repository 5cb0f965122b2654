#include "run_start.h"

#include <algorithm>
#include <filesystem>
#include <vector>

#include "cstp/core/error.h"
#include "cstp/core/log.h"
#include "cstp/core/text.h"
#include "cstp/distributed/collectives.h"
#include "cstp/engine/checkpoint.h"
#include "cstp/engine/device.h"

namespace cstp {
namespace fs = std::filesystem;
namespace {

fs::path journal_of(const fs::path& output, int64_t rank) {
  return output / (rank == 0 ? "bad.jsonl" : cat("bad-", rank, ".jsonl"));
}

/// Of all ranks that ever worked on this run, sorted.
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

/// Moves the results of an earlier run of this folder aside; nothing is deleted.
void move_aside(const fs::path& output) {
  if (!fs::exists(output / "checkpoints") && !fs::exists(output / "metrics.jsonl")) return;
  int64_t number = 1;
  while (fs::exists(output / cat("previous-", number))) ++number;
  const fs::path aside = output / cat("previous-", number);
  fs::create_directories(aside);
  for (const char* name : {"checkpoints", "metrics.jsonl", "config.yaml", "videos.txt"}) {
    if (fs::exists(output / name)) fs::rename(output / name, aside / name);
  }
  for (const fs::path& journal : journals(output)) fs::rename(journal, aside / journal.filename());
  log::info("--fresh: the earlier run was moved to ", aside.string());
}

/// Refuses to continue a run under another recipe.
void require_same_run(const std::string& path, const CheckpointNote& note, const RunConfig& config,
                      const std::string& data_hash) {
  std::vector<std::string> lines;
  for (const ConfigChange& change : forbidden_changes(note.config_yaml, config.yaml())) {
    lines.push_back(cat(change.key, ": was ", change.before, ", now ", change.now));
  }
  if (!lines.empty()) {
    throw CheckpointError(cat(path, ": this run folder was trained with another configuration (", join(lines, "; "),
                              "); give the old values, another --output, or --fresh to start over"));
  }
  if (note.data_hash != data_hash) {
    throw CheckpointError(
        cat(path, ": the training videos or their labels changed since this checkpoint (fingerprint was ",
            note.data_hash, ", now ", data_hash, "); give another --output, or --fresh to start over"));
  }
}

/// With the threads of before, unless the recipe names another number: bits of CPU results depend on it.
Standing resumed(const std::string& path, const RunConfig& config, const std::string& data_hash, const World& world,
                 int64_t threads, Objective& objective, Optimizer& optimizer) {
  const CheckpointNote note = read_checkpoint_note(path);
  require_same_run(path, note, config, data_hash);
  if (note.threads > 0 && note.threads != threads) {
    if (config.train.threads != 0) {
      log::common_warning("train.threads differs from the ", note.threads,
                          " of the checkpoint: results will not be the same to the bit");
    } else {
      threads = note.threads;
    }
  }
  if (note.world_size != world.size) {
    log::info("the checkpoint is of ", note.world_size, " ranks, now there are ", world.size,
              ": the same batches, but sums round differently");
  }
  load_checkpoint(path, objective, optimizer);
  return {.step = note.step, .checkpoint = path, .threads = threads};
}

/// Everything that a checkpoint holds becomes rank 0's.
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

}  // namespace

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

Standing open_run(const RunConfig& config, const Dataset& dataset, const std::string& data_hash,
                  const TrainSetup& setup, const TrainLength& length, Objective& objective, Optimizer& optimizer) {
  const World& world = setup.world;
  const fs::path output = config.output;
  Standing now{.step = 0, .checkpoint = "", .threads = set_compute_threads(config.train.threads, world.local_size)};
  if (setup.write && world.is_first()) {
    if (setup.fresh) move_aside(output);
    if (const auto found = newest_checkpoint(config.output)) {
      now = resumed(*found, config, data_hash, world, now.threads, objective, optimizer);
      log::info("resuming ", config.output, " at step ", now.step, " of ", length.last_step);
    }
    std::error_code error;
    fs::create_directories(output, error);
    if (error) throw DataError(cat(config.output, ": cannot be made (", error.message(), "); choose another --output"));
    write_file_atomically((output / "config.yaml").string(), config.yaml());
    if (config.data.share < 1) write_file_atomically((output / "videos.txt").string(), video_list(dataset));
  }
  if (world.size > 1) {
    std::error_code error;  // a journal that cannot be written says so
    if (setup.write) fs::create_directories(output, error);
    now.step = take_from_first(now.step, world);
    now.checkpoint = take_from_first(now.checkpoint, world);
    now.threads = take_from_first(now.threads, world);
    start_as_first(objective, optimizer, world);
  }
  now.threads = set_compute_threads(now.threads);
  return now;
}

BadVideos open_journals(const RunConfig& config, const Dataset& dataset, const TrainSetup& setup) {
  const fs::path own = setup.write ? journal_of(config.output, setup.world.rank) : fs::path();
  std::vector<std::string> others;
  for (const fs::path& other : setup.write ? journals(config.output) : std::vector<fs::path>()) {
    if (other != own) others.push_back(other.string());
  }
  return {own.string(), std::ssize(dataset.videos), config.data.on_bad_video == "error" ? 0 : config.data.max_bad,
          others};
}

}  // namespace cstp
