// cstp data ...: what is computed from a data set once and read many times.
#include <CLI/CLI.hpp>

#include "commands.h"
#include "cstp/core/error.h"

namespace cstp {
namespace {

class DataCommand final : public Command {
 public:
  explicit DataCommand(CLI::App& parent) {
    app = parent.add_subcommand("data", "prepare a data set: optical flow of its videos, packed copies of them");
    app->require_subcommand(1);
    for (const auto make : {make_data_flow_command, make_data_pack_command}) actions_.push_back(make(*app));
  }

  ExitCode run() override {
    for (const auto& action : actions_) {
      if (action->app->parsed()) return action->run();
    }
    throw UsageError("no action was given (cstp data --help)");
  }

 private:
  std::vector<std::unique_ptr<Command>> actions_;
};

}  // namespace

std::unique_ptr<Command> make_data_command(CLI::App& app) { return std::make_unique<DataCommand>(app); }

}  // namespace cstp
