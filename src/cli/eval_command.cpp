#include <CLI/CLI.hpp>
#include <iostream>
#include <nlohmann/json.hpp>

#include "commands.h"
#include "cstp/core/log.h"
#include "cstp/core/text.h"
#include "cstp/engine/checkpoint.h"
#include "cstp/engine/downstream.h"
#include "cstp/engine/pretext.h"
#include "optional_json.h"

namespace cstp {
namespace {

class EvalCommand final : public Command {
 public:
  explicit EvalCommand(CLI::App& parent) {
    app = parent.add_subcommand(
        "eval",
        "accuracy of a backbone (linear probe, fine-tuning, k-NN), or of the heads on held-out plans (pretext)");
    add_common_options(*app, options_, true);
    app->add_option("--protocol", protocol_, "linear | finetune | knn | pretext (default: the config's eval.protocol)");
    app->add_flag("--fresh", fresh_, "finetune: start over in a used run folder");
  }

  ExitCode run() override {
    if (!protocol_.empty()) options_.assignments.push_back(cat("eval.protocol=", protocol_));
    const RunConfig config = options_.load();
    if (options_.dry_run) {
      std::cout << dry_run_text(config, "eval");
      return ExitCode::done;
    }
    if (config.eval.protocol == "pretext") return run_pretext(config);
    const LoadedBackbone backbone = load_backbone_for(config, options_.checkpoint, options_.allow_partial);
    const ProtocolResult result = run_protocol(backbone, config.eval.protocol, fresh_);
    const nlohmann::ordered_json document = {{"protocol", result.protocol},
                                             {"top1", to_json(result.accuracy.top1)},
                                             {"top5", to_json(result.accuracy.top5)},
                                             {"clip_top1", to_json(result.accuracy.clip_top1)},
                                             {"classes", result.classes},
                                             {"decoded", result.decoded},
                                             {"total", result.total},
                                             {"train_decoded", result.train_decoded},
                                             {"train_total", result.train_total},
                                             {"lr", result.lr},
                                             {"weights", backbone.weights},
                                             {"seed", config.seed}};
    if (options_.json) {
      std::cout << document.dump() << std::endl;
    } else {
      std::cout << cat(result.protocol, ": top-1 ", percent(result.accuracy.top1), "  top-5 ",
                       percent(result.accuracy.top5), "  clip top-1 ", percent(result.accuracy.clip_top1), "  (",
                       result.classes, " classes, ", result.decoded, " of ", result.total, " test videos decoded, ",
                       backbone.weights, ")\n");
    }
    if (result.decoded == 0) {
      log::error("no test video could be decoded; nothing was measured");
      return ExitCode::data;
    }
    return ExitCode::done;
  }

 private:
  /// The objective on its own task, test split: what the checkpoint was trained on, with the checkpoint's objective.
  ExitCode run_pretext(RunConfig config) const {
    std::string weights = "untrained";
    if (!options_.checkpoint.empty()) {
      weights = checkpoint_path(options_.checkpoint);
      const RunConfig trained = parse_run_config(read_checkpoint_note(weights).config_yaml, weights);
      config.model = trained.model;
      config.objective = trained.objective;
      config.clip = trained.clip;
      config.input = trained.input;
    } else {
      log::warning("no --checkpoint was given: the weights are untrained (the baseline)");
    }
    const auto objective = load_objective(config, options_.checkpoint);
    const Dataset dataset = open_and_report(config, Split::test);
    const PretextResult result = score_pretext(config, dataset, *objective, config.eval.draws);
    nlohmann::ordered_json document = {{"protocol", "pretext"}};
    std::string line = cat("pretext, ", result.samples, " held-out samples:");
    for (const auto& [name, value] : result.parts) {
      document[name] = value;
      line += cat("  ", name, " ", value);
    }
    if (!result.labels.empty()) {
      document["constant_spatial"] = result.spatial_constant;
      document["constant_temporal"] = result.temporal_constant;
      log::info("labels drawn: ", result.labels);
    }
    document["samples"] = result.samples;
    document["decoded"] = result.decoded;
    document["total"] = result.total;
    document["weights"] = weights;
    std::cout << (options_.json ? document.dump() : cat(line, "  (", weights, ")")) << std::endl;
    if (result.decoded > 0) return ExitCode::done;
    log::error("no test video could be decoded; nothing was measured");
    return ExitCode::data;
  }

  CommonOptions options_;
  std::string protocol_;
  bool fresh_ = false;
};

}  // namespace

std::unique_ptr<Command> make_eval_command(CLI::App& app) { return std::make_unique<EvalCommand>(app); }

}  // namespace cstp
