#include <CLI/CLI.hpp>
#include <filesystem>
#include <iostream>
#include <nlohmann/json.hpp>

#include "commands.h"
#include "contact_sheet.h"
#include "cstp/core/error.h"
#include "cstp/core/text.h"
#include "cstp/engine/pretext.h"
#include "cstp/objectives/sts.h"
#include "model_report.h"
#include "sts_cards.h"
#include "sts_sheet.h"

namespace cstp {
namespace {

/// The objective itself, or the part of a joint one; null if neither is of this kind.
StsObjective* sts_of(Objective& objective) {
  const auto parts = objective.named_children();
  const auto* part = parts.find("sts");
  return dynamic_cast<StsObjective*>(part == nullptr ? &objective : static_cast<torch::nn::Module*>(part->get()));
}

class InspectCommand final : public Command {
 public:
  explicit InspectCommand(CLI::App& parent) {
    app = parent.add_subcommand(
        "inspect", "show what a run would do: its configuration, its clips as a picture, or what its model costs");
    app->require_subcommand(1);
    config_ = app->add_subcommand("config", "the resolved configuration, every key with its value");
    add_common_options(*config_, options_, false);
    config_->add_flag("--keys", keys_, "every key with its type, range, default and meaning");
    pairs_ = app->add_subcommand("pairs", "clip pairs as a contact sheet: boxes, overlap rates, labels");
    add_common_options(*pairs_, options_, false);
    pairs_->add_option("--count", count_, "pairs drawn")->check(CLI::Range(1, 100));
    pairs_->add_option("--png", png_, "the picture (default: OUTPUT/pairs.png)");
    views_ = app->add_subcommand(
        "views", "what is asked about the views: for sts its blocks, arrows and colours; for pairs as `inspect pairs`");
    add_common_options(*views_, options_, true);
    views_->add_option("--count", count_, "clips drawn")->check(CLI::Range(1, 100));
    views_->add_option("--png", png_, "the picture (default: OUTPUT/views.png)");
    views_->add_option("--split", split_, "train (default) | test")->check(CLI::IsMember({"train", "test"}));
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
    return draw_sheet(config);
  }

 private:
  ExitCode draw_sheet(const RunConfig& config) const {
    const Dataset dataset = open_and_report(config, split_ == "test" ? Split::test : Split::train);
    const std::shared_ptr<Objective> objective = open_objective(config, dataset);
    StsObjective* sts = sts_of(*objective);
    const bool views = views_->parsed();
    const Picture sheet =
        views && sts != nullptr
            ? sts_sheet(make_sts_cards(config, dataset, *objective, *sts, !options_.checkpoint.empty(), count_),
                        sts->slots(), sts->patterns(), config.clip.frames - 1)
            : contact_sheet(config, dataset, *objective, count_);
    if (png_.empty()) std::filesystem::create_directories(config.output);
    const std::string path = png_.empty() ? cat(config.output, views ? "/views.png" : "/pairs.png") : png_;
    sheet.save_png(path);
    if (options_.json) {
      std::cout << nlohmann::ordered_json{{"png", path}, {views ? "views" : "pairs", count_}}.dump() << std::endl;
    } else {
      std::cout << path << "\n";
    }
    return ExitCode::done;
  }

  std::shared_ptr<Objective> open_objective(const RunConfig& config, const Dataset& dataset) const {
    if (!options_.checkpoint.empty()) return load_objective(config, options_.checkpoint);
    ObjectiveParts parts;
    parts.clip = config.clip;
    parts.classes = static_cast<int64_t>(dataset.classes.size());
    parts.make_backbone = [&] {
      ModelOptions tiny = config.model;  // only plan() and annotate() are used
      tiny.width = 0.125;
      return make_backbone(tiny);
    };
    return make_objective(config.objective, parts);
  }

  CommonOptions options_;
  CLI::App* config_ = nullptr;
  CLI::App* pairs_ = nullptr;
  CLI::App* views_ = nullptr;
  CLI::App* model_ = nullptr;
  bool keys_ = false;
  int64_t count_ = 6;
  std::string png_;
  std::string split_ = "train";
};

}  // namespace

std::unique_ptr<Command> make_inspect_command(CLI::App& app) { return std::make_unique<InspectCommand>(app); }

}  // namespace cstp
