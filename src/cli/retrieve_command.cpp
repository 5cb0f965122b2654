#include <CLI/CLI.hpp>
#include <iostream>
#include <nlohmann/json.hpp>

#include "commands.h"
#include "cstp/core/log.h"
#include "cstp/core/text.h"
#include "cstp/engine/downstream.h"
#include "optional_json.h"

namespace cstp {
namespace {

class RetrieveCommand final : public Command {
 public:
  explicit RetrieveCommand(CLI::App& parent) {
    app = parent.add_subcommand("retrieve", "nearest-neighbour retrieval: gallery = train, queries = test");
    add_common_options(*app, options_, true);
  }

  ExitCode run() override {
    const RunConfig config = options_.load();
    if (options_.dry_run) {
      std::cout << dry_run_text(config, "retrieve");
      return ExitCode::done;
    }
    const Dataset gallery = open_and_report(config, Split::train);
    const Dataset queries = open_and_report(config, Split::test);
    const LoadedBackbone backbone = load_backbone_for(config, options_.checkpoint, options_.allow_partial);
    const FeatureSet gallery_features = backbone_features(backbone, gallery, config.eval.clips, "gallery");
    const FeatureSet query_features = backbone_features(backbone, queries, config.eval.clips, "queries");
    Retrieval result;
    const bool measured = gallery_features.decoded() > 0 && query_features.decoded() > 0;
    if (measured) {
      result = retrieve(video_embeddings(gallery_features.values, false), gallery_features.labels,
                        video_embeddings(query_features.values, false), query_features.labels, config.eval.topk);
    } else {
      for (const int64_t k : config.eval.topk) result.recall.emplace_back(k, std::nullopt);
    }
    nlohmann::ordered_json recall = nlohmann::ordered_json::object();
    std::string line = cat("retrieval: ");
    for (const auto& [k, value] : result.recall) {
      recall[std::to_string(k)] = to_json(value);
      line += cat("R@", k, " ", percent(value), "  ");
    }
    const int64_t decoded = gallery_features.decoded() + query_features.decoded();
    const int64_t total = gallery_features.total + query_features.total;
    if (options_.json) {
      std::cout << nlohmann::ordered_json{{"recall", recall},
                                          {"map", to_json(result.map)},
                                          {"queries", query_features.decoded()},
                                          {"gallery", gallery_features.decoded()},
                                          {"decoded", decoded},
                                          {"total", total},
                                          {"weights", backbone.weights},
                                          {"seed", config.seed}}
                       .dump()
                << std::endl;
    } else {
      std::cout << cat(line, "mAP ", percent(result.map), "  (", query_features.decoded(), " queries, ",
                       gallery_features.decoded(), " in the gallery, ", decoded, " of ", total, " videos decoded, ",
                       backbone.weights, ")\n");
    }
    if (!measured) {
      log::error(
          gallery_features.decoded() == 0 ? "no gallery video could be decoded" : "no query video could be decoded",
          "; nothing was measured");
      return ExitCode::data;
    }
    return ExitCode::done;
  }

 private:
  CommonOptions options_;
};

}  // namespace

std::unique_ptr<Command> make_retrieve_command(CLI::App& app) { return std::make_unique<RetrieveCommand>(app); }

}  // namespace cstp
