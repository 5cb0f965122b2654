/// The commands of the program: options in, a result printed, an exit code out. Each in its own file.
#pragma once
#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "cstp/cli/launcher.h"
#include "cstp/core/error.h"
#include "cstp/data/dataset.h"
#include "cstp/engine/run_config.h"

namespace CLI {
class App;
}

namespace cstp {

/// Options that every command shares.
struct CommonOptions {
  std::string config;                    ///< path or name of a shipped config
  std::vector<std::string> assignments;  ///< --set a.b=c
  std::string output;                    ///< --output
  std::string checkpoint;                ///< --checkpoint
  bool allow_partial = false;
  bool inflate = false;  ///< the checkpoint is an image network's
  bool json = false;
  bool dry_run = false;
  LaunchOptions launch;  ///< --gpus, --ranks

  /// The configuration with --set and --output applied.
  RunConfig load() const;
};

/// Adds the options above to a command.
void add_common_options(CLI::App& command, CommonOptions& options, bool with_checkpoint);

/// One subcommand: adds itself to the app; run() is called if it was chosen.
class Command {
 public:
  virtual ~Command() = default;
  virtual ExitCode run() = 0;
  CLI::App* app = nullptr;
};
std::unique_ptr<Command> make_train_command(CLI::App& app);
std::unique_ptr<Command> make_eval_command(CLI::App& app);
std::unique_ptr<Command> make_compare_command(CLI::App& app);
std::unique_ptr<Command> make_retrieve_command(CLI::App& app);
std::unique_ptr<Command> make_embed_command(CLI::App& app);
std::unique_ptr<Command> make_inspect_command(CLI::App& app);
std::unique_ptr<Command> make_synth_command(CLI::App& app);
std::unique_ptr<Command> make_bench_command(CLI::App& app);
std::unique_ptr<Command> make_data_command(CLI::App& app);
/// One of `cstp data ...`: adds itself to that command.
std::unique_ptr<Command> make_data_flow_command(CLI::App& data);
std::unique_ptr<Command> make_data_pack_command(CLI::App& data);

/// Adds --gpus and --ranks to a command whose work ranks can share.
void add_launch_options(CLI::App& command, CommonOptions& options);

/// Does a command's work on the ranks that are asked for: starts them, or is one of them. @param work gets the world
/// @return its exit code; of rank 0 where there are several in this process's place
ExitCode on_ranks(const CommonOptions& options, const RunConfig& config,
                  const std::function<ExitCode(const World&)>& work);

/// Opens a split and logs what it is.
Dataset open_and_report(const RunConfig& config, Split split);

/// What `train --dry-run` (and the others') prints: parameters, memory estimate, steps, every recipe number.
std::string dry_run_text(const RunConfig& config, const std::string& command);

}  // namespace cstp
