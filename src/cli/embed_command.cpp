#include <torch/types.h>

#include <CLI/CLI.hpp>
#include <filesystem>
#include <iostream>
#include <nlohmann/json.hpp>

#include "commands.h"
#include "cstp/core/log.h"
#include "cstp/core/text.h"
#include "cstp/engine/downstream.h"
#include "cstp/engine/embedding_file.h"

namespace cstp {
namespace {

class EmbedCommand final : public Command {
 public:
  explicit EmbedCommand(CLI::App& parent) {
    app = parent.add_subcommand(
        "embed", "one L2-normalised embedding a video: embeddings.npy, and .csv and .json that say of what");
    add_common_options(*app, options_, true);
    add_launch_options(*app, options_);
    app->add_option("--split", split_, "train | test | all: whichever of the two the data has (default)")
        ->check(CLI::IsMember({"train", "test", "all"}));
  }

  ExitCode run() override {
    const RunConfig config = options_.load();
    if (options_.dry_run) {
      std::cout << dry_run_text(config, "embed");
      return ExitCode::done;
    }
    return on_ranks(options_, config, [&](const World& world) { return embed_on(config, world); });
  }

 private:
  ExitCode embed_on(const RunConfig& config, const World& world) const {
    const LoadedBackbone backbone =
        load_backbone_for(config, options_.checkpoint, options_.allow_partial, world, options_.inflate);
    std::vector<at::Tensor> matrices;
    EmbeddingTable table;
    int64_t total = 0;
    for (const auto& [split, name] : {std::pair{Split::train, "train"}, std::pair{Split::test, "test"}}) {
      if (split_ != "all" && split_ != name) continue;
      const auto dataset = open_if_given(config, split);
      if (!dataset) continue;
      const FeatureSet features =
          backbone_features(backbone, *dataset, config.eval.clips, cat("embedding ", name), config.eval.probe);
      total += features.total;
      if (features.decoded() == 0) continue;
      matrices.push_back(video_embeddings(features.values, false));
      for (const int64_t record : features.records) {
        const VideoRecord& video = dataset->videos[static_cast<size_t>(record)];
        const bool named = video.label >= 0 && video.label < static_cast<int64_t>(dataset->classes.size());
        table.videos.push_back(
            {video.path, video.label, named ? dataset->classes[static_cast<size_t>(video.label)] : "", name});
      }
    }
    if (!world.is_first()) return ExitCode::done;
    const int64_t dim = backbone.network->features();
    const int64_t rows = std::ssize(table.videos);
    const std::filesystem::path npy = options_.output.ends_with(".npy")
                                          ? std::filesystem::path(options_.output)
                                          : std::filesystem::path(config.output) / "embeddings.npy";
    if (rows > 0) {
      const EvalOptions& eval = backbone.config.eval;
      table.values = torch::cat(matrices);
      table.weights = backbone.weights;
      table.weights_hash = backbone.note.hash;
      table.views = cat(eval.frames > 0 ? eval.frames : backbone.config.clip.frames, " frames, stride ", eval.stride,
                        ", ", eval.clips, " clips, ", eval.crops, eval.crops == 1 ? " crop (" : " crops (", eval.crop,
                        ") of ", eval.size > 0 ? eval.size : backbone.config.clip.size, ", views ", eval.views,
                        ", input ", backbone.config.input.range, ", probe ", eval.probe);
      save_embeddings(npy.string(), table);
    }
    if (options_.json) {
      std::cout << nlohmann::ordered_json{{"embeddings", rows},     {"dim", dim},
                                          {"decoded", rows},        {"total", total},
                                          {"output", npy.string()}, {"weights", backbone.weights}}
                       .dump()
                << std::endl;
    } else if (rows > 0) {
      std::cout << cat(npy.string(), ": ", rows, " x ", dim, " (", rows, " of ", total, " videos decoded, ",
                       backbone.weights, ")\n");
    }
    if (rows == 0) {
      log::error("no video could be decoded; nothing was written");
      return ExitCode::data;
    }
    return ExitCode::done;
  }

  /// With --split all, a list data set may name only one of its two files.
  std::optional<Dataset> open_if_given(const RunConfig& config, Split split) const {
    const std::string& list = split == Split::train ? config.data.train : config.data.test;
    if (split_ == "all" && config.data.format == "list" && list.empty()) return std::nullopt;
    return open_and_report(config, split);
  }
  CommonOptions options_;
  std::string split_ = "all";
};

}  // namespace

std::unique_ptr<Command> make_embed_command(CLI::App& app) { return std::make_unique<EmbedCommand>(app); }

}  // namespace cstp
