#include <CLI/CLI.hpp>
#include <iostream>
#include <nlohmann/json.hpp>

#include "commands.h"
#include "cstp/core/log.h"
#include "cstp/core/process.h"
#include "cstp/core/text.h"
#include "cstp/engine/checkpoint.h"
#include "cstp/engine/inflate.h"
#include "cstp/engine/trainer.h"

namespace cstp {
namespace {

class TrainCommand final : public Command {
 public:
  explicit TrainCommand(CLI::App& parent) {
    app = parent.add_subcommand("train",
                                "pre-train (or fine-tune) a backbone; the same command on the same output resumes");
    add_common_options(*app, options_, true);
    add_launch_options(*app, options_);
    app->add_flag("--fresh", fresh_, "start over in a used run folder; what was there is moved aside");
  }

  ExitCode run() override {
    const RunConfig config = options_.load();
    if (options_.dry_run) {
      std::cout << dry_run_text(config, "train");
      return ExitCode::done;
    }
    return on_ranks(options_, config, [&](const World& world) { return train_on(config, world); });
  }

 private:
  ExitCode train_on(const RunConfig& config, const World& world) const {
    const Dataset dataset = open_and_report(config, Split::train);
    const auto objective = build_objective(config, std::ssize(dataset.classes), world);
    if (!options_.checkpoint.empty()) {
      BackboneFile file = read_backbone_file(options_.checkpoint);
      if (options_.inflate) file = inflated(file, *objective->backbone());
      log::info(file.path, ": ", load_backbone(file, *objective->backbone(), options_.allow_partial).text());
    }
    const TrainResult result =
        train(config, dataset, *objective, {.write = true, .fresh = fresh_, .name = "train", .world = world});
    if (!world.is_first()) return result.stopped ? ExitCode::stopped : ExitCode::done;
    if (options_.json) {
      std::cout << nlohmann::ordered_json{{"steps", result.steps},
                                          {"epochs", result.epochs},
                                          {"seconds", result.seconds},
                                          {"clips_per_second", result.clips_per_second},
                                          {"loss", result.loss},
                                          {"checkpoint", result.checkpoint},
                                          {"peak_memory_mb", static_cast<double>(peak_memory_bytes()) / 1e6}}
                       .dump()
                << std::endl;
    } else {
      std::cout << cat("steps ", result.steps, "  epochs ", number_text(result.epochs), "  loss ", result.loss, "  ",
                       result.clips_per_second, " clips/s  ", duration_text(result.seconds), "\ncheckpoint ",
                       result.checkpoint, "\n");
    }
    if (!result.stopped) return ExitCode::done;
    log::warning("stopped by a signal after a save; resume with the same command");
    return ExitCode::stopped;
  }

  CommonOptions options_;
  bool fresh_ = false;
};

}  // namespace

std::unique_ptr<Command> make_train_command(CLI::App& app) { return std::make_unique<TrainCommand>(app); }

}  // namespace cstp
