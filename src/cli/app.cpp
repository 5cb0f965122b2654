#include "cstp/cli/app.h"

#include <CLI/CLI.hpp>
#include <filesystem>
#include <iostream>

#include "commands.h"
#include "cstp/core/error.h"
#include "cstp/core/log.h"
#include "cstp/core/text.h"
#include "cstp/distributed/ranks.h"
#include "cstp/engine/checkpoint.h"
#include "cstp/engine/device.h"

namespace cstp {

RunConfig CommonOptions::load() const {
  if (config.empty()) {
    throw UsageError(
        cat("--config is missing; wanted a path or one of the shipped configs: ", join(shipped_configs(), ", ")));
  }
  if (inflate && checkpoint.empty()) {
    throw UsageError("--inflate: there is nothing to inflate; give the image network's weights by --checkpoint");
  }
  std::vector<std::string> all = assignments;
  RunConfig loaded = load_run_config(config, all);
  if (!output.empty()) loaded.output = output;
  return loaded;
}

void add_common_options(CLI::App& command, CommonOptions& options, bool with_checkpoint) {
  command.add_option("--config", options.config, "path, or the name of a shipped config");
  command.add_option("--set", options.assignments, "override one key: --set train.batch=8 (repeatable)")
      ->allow_extra_args(false)
      ->take_all();
  command.add_option("--output", options.output, "run folder (default: the config's `output`)");
  if (with_checkpoint) {
    command.add_option("--checkpoint", options.checkpoint,
                       "checkpoint, run folder, or safetensors weights; none: untrained");
    command.add_flag("--allow-partial", options.allow_partial, "load what fits of a checkpoint");
    command.add_flag("--inflate", options.inflate,
                     "the weights are a 2D network's (torchvision's names): repeat its kernels over time");
  }
  command.add_flag("--json", options.json, "one JSON document on stdout");
  command.add_flag("--dry-run", options.dry_run, "check everything, print the plan, run nothing");
}

void add_launch_options(CLI::App& command, CommonOptions& options) {
  command.add_option("--gpus", options.launch.gpus, "start one rank per GPU on this machine: 0-3, or 0,2");
  command.add_option("--ranks", options.launch.ranks, "start so many ranks on this machine's CPU")
      ->check(CLI::Range(1, 1024));
}

ExitCode on_ranks(const CommonOptions& options, const RunConfig& config,
                  const std::function<ExitCode(const World&)>& work) {
  if (options.launch.asked() && !is_launched()) return static_cast<ExitCode>(launch_ranks(options.launch));
  const World world = form_world(config.train.device);
  ExitCode code = ExitCode::done;
  run_as_rank(world, [&] { code = work(world); });
  return code;
}

int run_app(int argc, const char* const* argv) {
  CLI::App app{"cstp: self-supervised video representations in one C++ program", "cstp"};
  app.set_version_flag("--version", build_text());
  app.require_subcommand(1);
  bool quiet = false;
  bool verbose = false;
  app.add_flag("-q,--quiet", quiet, "warnings and errors only");
  app.add_flag("-v,--verbose", verbose, "more log lines");
  app.fallthrough();

  std::vector<std::unique_ptr<Command>> commands;
  for (const auto make :
       {make_train_command, make_eval_command, make_compare_command, make_retrieve_command, make_embed_command,
        make_inspect_command, make_synth_command, make_data_command, make_bench_command}) {
    commands.push_back(make(app));
  }
  try {
    app.parse(argc, argv);
  } catch (const CLI::Success& success) {  // --help, --version
    return app.exit(success);
  } catch (const CLI::ParseError& error) {
    std::vector<std::string> names;
    for (const auto& command : commands) names.push_back(command->app->get_name());
    const std::string first = argc > 1 ? argv[1] : "";
    const std::string near = first.starts_with("-") ? "" : closest(first, names);
    const bool known = std::find(names.begin(), names.end(), first) != names.end();
    throw UsageError(cat(error.what(), known || near.empty() ? "" : cat("; did you mean '", near, "'?"),
                         " (cstp --help", known ? cat(", cstp ", first, " --help") : "", ")"));
  }
  const auto place = launch_place();
  log::configure(quiet     ? log::Level::warning
                 : verbose ? log::Level::debug
                           : log::Level::info,
                 place ? static_cast<int>(place->rank) : 0);
  for (const auto& command : commands) {
    if (command->app->parsed()) return static_cast<int>(command->run());
  }
  throw UsageError("no command was given (cstp --help)");
}

Dataset open_and_report(const RunConfig& config, Split split) {
  Dataset dataset = open_dataset(config.data, split);
  log::info(dataset.name, ": ", count_text(static_cast<int64_t>(dataset.videos.size())), " videos, ",
            dataset.classes.empty() ? std::string("unlabelled") : cat(dataset.classes.size(), " classes"),
            dataset.missing > 0 ? cat(", ", count_text(dataset.missing), " listed but absent") : "");
  return dataset;
}

}  // namespace cstp
