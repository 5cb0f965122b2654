#include <CLI/CLI.hpp>
#include <iostream>
#include <nlohmann/json.hpp>

#include "commands.h"
#include "cstp/core/config.h"
#include "cstp/core/log.h"
#include "cstp/core/text.h"
#include "cstp/video/synthetic.h"

namespace cstp {
namespace {

class SynthCommand final : public Command {
 public:
  explicit SynthCommand(CLI::App& parent) {
    app =
        parent.add_subcommand("synth", "make labelled synthetic videos (H.264, folder per class) to try everything on");
    app->add_option("--output", output_, "folder for train/ and test/")->required();
    app->add_option("--set", assignments_,
                    "an option of the maker: --set kind=motion --set train_per_class=20 (repeatable)")
        ->allow_extra_args(false)
        ->take_all();
    app->add_option("--workers", workers_, "threads, 0 = cores");
    app->add_flag("--json", json_, "one JSON document on stdout");
    app->add_flag("--options", describe_, "list the maker's options and leave");
  }

  ExitCode run() override {
    if (describe_) {
      SyntheticOptions defaults;
      std::cout << describe_fields("", [&](Fields& f) { defaults.bind(f); });
      return ExitCode::done;
    }
    ConfigNode tree = ConfigNode::map();
    for (const std::string& assignment : assignments_) tree.set(assignment);
    const auto options = tree.read<SyntheticOptions>();
    const SyntheticResult result = make_synthetic(output_, options, workers_, [](int64_t done, int64_t all) {
      log::status_line(cat("synth  ", done, "/", all, " videos"));
    });
    log::status_line("");
    const auto classes = synthetic_classes(options);
    if (json_) {
      std::cout << nlohmann::ordered_json{{"output", output_},
                                          {"made", result.made},
                                          {"kept", result.kept},
                                          {"classes", classes}}
                       .dump()
                << std::endl;
    } else {
      std::cout << cat(output_, ": ", result.made, " videos made, ", result.kept,
                       " kept; classes: ", join(classes, ", "), "\n");
    }
    return ExitCode::done;
  }

 private:
  std::string output_;
  std::vector<std::string> assignments_;
  int64_t workers_ = 0;
  bool json_ = false;
  bool describe_ = false;
};

}  // namespace

std::unique_ptr<Command> make_synth_command(CLI::App& app) { return std::make_unique<SynthCommand>(app); }

}  // namespace cstp
