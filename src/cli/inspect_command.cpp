#include <CLI/CLI.hpp>
#include <filesystem>
#include <iostream>
#include <nlohmann/json.hpp>

#include "commands.h"
#include "contact_sheet.h"
#include "cstp/core/error.h"
#include "cstp/core/text.h"
#include "model_report.h"

namespace cstp {
namespace {

class InspectCommand final : public Command {
 public:
  explicit InspectCommand(CLI::App& parent) {
    app = parent.add_subcommand(
        "inspect", "show what a run would do: its configuration, its clip pairs as a picture, or what its model costs");
    app->require_subcommand(1);
    config_ = app->add_subcommand("config", "the resolved configuration, every key with its value");
    add_common_options(*config_, options_, false);
    config_->add_flag("--keys", keys_, "every key with its type, range, default and meaning");
    pairs_ = app->add_subcommand("pairs", "clip pairs as a contact sheet: boxes, overlap rates, labels");
    add_common_options(*pairs_, options_, false);
    pairs_->add_option("--count", count_, "pairs drawn")->check(CLI::Range(1, 100));
    pairs_->add_option("--png", png_, "the picture (default: OUTPUT/pairs.png)");
    model_ = app->add_subcommand("model", "layers, output shapes, parameters and multiply-adds of the backbone");
    add_common_options(*model_, options_, false);
  }

  ExitCode run() override {
    if (keys_ && options_.config.empty()) options_.config = "synthetic_quick.yaml";
    RunConfig config = options_.load();
    if (config_->parsed()) {
      if (keys_) {
        std::cout << describe_fields("", [&](Fields& f) { config.bind(f); });
        for (const ObjectiveRow& row : objectives()) {
          std::cout << cat("\n# objective.name: ", row.name, " (", row.description, ")\n", row.describe());
        }
      } else {
        std::cout << config.yaml();
      }
      return ExitCode::done;
    }
    if (model_->parsed()) {
      const ModelProfile profile = profile_model(config.model, config.clip.frames, config.clip.size);
      std::cout << (options_.json ? profile_json(config, profile) + "\n" : profile_text(config, profile)) << std::flush;
      return ExitCode::done;
    }
    const Dataset dataset = open_and_report(config, Split::train);
    ObjectiveParts parts;
    parts.clip = config.clip;
    parts.classes = static_cast<int64_t>(dataset.classes.size());
    parts.make_backbone = [&] {
      ModelOptions tiny = config.model;  // only plan() is used
      tiny.width = 0.125;
      return make_backbone(tiny);
    };
    if (png_.empty()) std::filesystem::create_directories(config.output);
    const std::string path = png_.empty() ? cat(config.output, "/pairs.png") : png_;
    contact_sheet(config, dataset, *make_objective(config.objective, parts), count_).save_png(path);
    if (options_.json) {
      std::cout << nlohmann::ordered_json{{"png", path}, {"pairs", count_}}.dump() << std::endl;
    } else {
      std::cout << path << "\n";
    }
    return ExitCode::done;
  }

 private:
  CommonOptions options_;
  CLI::App* config_ = nullptr;
  CLI::App* pairs_ = nullptr;
  CLI::App* model_ = nullptr;
  bool keys_ = false;
  int64_t count_ = 6;
  std::string png_;
};

}  // namespace

std::unique_ptr<Command> make_inspect_command(CLI::App& app) { return std::make_unique<InspectCommand>(app); }

}  // namespace cstp
