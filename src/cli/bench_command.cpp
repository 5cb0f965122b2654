#include <CLI/CLI.hpp>
#include <iostream>
#include <nlohmann/json.hpp>

#include "commands.h"
#include "cstp/core/log.h"
#include "cstp/engine/bench.h"
#include "cstp/engine/trainer.h"

namespace cstp {
namespace {

class BenchCommand final : public Command {
 public:
  explicit BenchCommand(CLI::App& parent) {
    app = parent.add_subcommand("bench", "how fast your videos load, how fast the step is, and what holds which up");
    add_common_options(*app, options_, false);
    app->add_option("--seconds", seconds_, "of each of the three measurements")->check(CLI::Range(0.1, 3600.0));
  }

  ExitCode run() override {
    const RunConfig config = options_.load();
    if (options_.dry_run) {
      std::cout << dry_run_text(config, "bench");
      return ExitCode::done;
    }
    const Dataset dataset = open_and_report(config, Split::train);
    const auto objective = build_objective(config, std::ssize(dataset.classes));
    const BenchResult result = bench(config, dataset, *objective, seconds_);
    if (options_.json) {
      const auto stages = [](const StageTimes& times) { return nlohmann::ordered_json::parse(times.json()); };
      std::cout << nlohmann::ordered_json{{"loading_clips_per_second", result.loading},
                                          {"step_clips_per_second", result.step},
                                          {"together_clips_per_second", result.together},
                                          {"views", result.views},
                                          {"loading", stages(result.loader_alone)},
                                          {"step", stages(result.step_alone)},
                                          {"together", stages(result.both)},
                                          {"advice", result.advice}}
                       .dump()
                << std::endl;
    } else {
      std::cout << bench_text(result);
    }
    return ExitCode::done;
  }

 private:
  CommonOptions options_;
  double seconds_ = 10;
};

}  // namespace

std::unique_ptr<Command> make_bench_command(CLI::App& app) { return std::make_unique<BenchCommand>(app); }

}  // namespace cstp
