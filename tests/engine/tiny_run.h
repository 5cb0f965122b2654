/// A run small enough for a test: 12 synthetic videos, a network of a few thousand weights.
#pragma once
#include <torch/utils.h>
#include <unistd.h>

#include <filesystem>
#include <memory>
#include <string>
#include <vector>

#include "cstp/core/text.h"
#include "cstp/engine/run_config.h"
#include "cstp/video/synthetic.h"

namespace cstp {

/// A folder of its own, removed at the end.
class TinyRun {
 public:
  TinyRun() {
    static int count = 0;
    folder_ = std::filesystem::temp_directory_path() / cat("cstp_tiny_", ::getpid(), "_", count++);
    std::filesystem::create_directories(folder_);
    SyntheticOptions options;
    options.classes = 2;
    options.train_per_class = 6;
    options.test_per_class = 3;
    options.frames = 40;
    options.width = 64;
    options.height = 48;
    make_synthetic((folder_ / "data").string(), options, 2);
  }
  ~TinyRun() { std::filesystem::remove_all(folder_); }
  TinyRun(const TinyRun&) = delete;
  TinyRun& operator=(const TinyRun&) = delete;

  std::string path(const std::string& name) const { return (folder_ / name).string(); }

  /// Settings of the tiny run, for --set.
  std::vector<std::string> settings(const std::string& output) const {
    return {"data.root=" + path("data"),
            "output=" + path(output),
            "model.width=0.125",
            "clip.frames=8",
            "clip.size=32",
            "objective.projector_hidden=32",
            "objective.max_rate=1",
            "train.batch=4",
            "train.epochs=10",
            "train.checkpoint_every=5",
            "train.log_every=5",
            "train.threads=1",
            "train.device=cpu",
            "loader.workers=2",
            "eval.clips=2",
            "eval.stride=2",
            "eval.linear.train_clips=2"};
  }
  RunConfig config(const std::string& output, const std::vector<std::string>& more = {}) const {
    std::vector<std::string> all = settings(output);
    all.insert(all.end(), more.begin(), more.end());
    return load_run_config("synthetic_quick.yaml", all);
  }

  /// The objective as `cstp train` builds it.
  static std::shared_ptr<Objective> objective(const RunConfig& config, const Dataset& dataset) {
    torch::manual_seed(static_cast<uint64_t>(config.seed));
    ObjectiveParts parts;
    parts.clip = config.clip;
    parts.classes = static_cast<int64_t>(dataset.classes.size());
    parts.make_backbone = [&] { return make_backbone(config.model); };
    return make_objective(config.objective, parts);
  }

 private:
  std::filesystem::path folder_;
};

}  // namespace cstp
