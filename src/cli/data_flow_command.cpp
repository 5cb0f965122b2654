#include <CLI/CLI.hpp>
#include <chrono>
#include <iostream>
#include <nlohmann/json.hpp>

#include "commands.h"
#include "cstp/core/log.h"
#include "cstp/core/text.h"
#include "cstp/data/flow_dump.h"
#include "cstp/engine/trainer.h"
#include "progress_line.h"

namespace cstp {
namespace {

class DataFlowCommand final : public Command {
 public:
  explicit DataFlowCommand(CLI::App& parent) {
    app =
        parent.add_subcommand("flow",
                              "optical flow between all neighbouring frames of every video, kept for STS as published: "
                              "grey frames at short side 256, clipped to 20 pixels, bytes");
    app->add_option("--config", common_.config, "recipe whose data section names the videos");
    app->add_option("--set", common_.assignments, "override one key: --set data.root=videos (repeatable)")
        ->allow_extra_args(false)
        ->take_all();
    app->add_option("--input", input_, "instead of --config: every video file below this folder");
    app->add_option("--split", split_, "of --config's data: train (default) | test | all")
        ->check(CLI::IsMember({"train", "test", "all"}));
    app->add_option("--output", setup_.folder, "folder of the dump; a second call makes only what is missing")
        ->required();
    app->add_option("--method", setup_.settings.flow.method,
                    "tvl1 (default, as published) | dis (some 40 times faster)")
        ->check(CLI::IsMember({"tvl1", "dis"}));
    app->add_option("--preset", setup_.settings.flow.preset, "of dis: ultrafast | fast | medium (default) | fine")
        ->check(CLI::IsMember({"ultrafast", "fast", "medium", "fine"}));
    app->add_option("--short-side", setup_.settings.short_side, "pixels of the grey frames' shorter side")
        ->check(CLI::Range(16, 4096));
    app->add_option("--codec", setup_.settings.codec.name,
                    "of the planes: png (default, exact) | jpeg (as published, half as large)")
        ->check(CLI::IsMember({"png", "jpeg"}));
    app->add_option("--quality", setup_.settings.codec.quality, "of jpeg")->check(CLI::Range(1, 100));
    app->add_option("--workers", setup_.workers, "threads, one video each; 0 = cores")->check(CLI::Range(0, 1024));
    app->add_option("--shard", shard_,
                    "K/N: the K-th of N equal parts of the videos, to share the work among machines");
    app->add_flag("--json", common_.json, "one JSON document on stdout");
  }

  ExitCode run() override {
    const double max_bad = list_videos();
    take_shard();
    ProgressLine progress("flow");
    setup_.progress = [&](int64_t done, int64_t all) { progress.show(done, all); };
    setup_.stop = stop_is_requested;
    const auto start = std::chrono::steady_clock::now();
    const FlowDumpResult result = dump_flow(setup_);
    const double seconds = std::chrono::duration<double>(std::chrono::steady_clock::now() - start).count();
    log::status_line("");
    print(result, seconds);
    if (result.stopped) {
      log::warning("stopped by a signal; the same command goes on with the videos that are missing");
      return ExitCode::stopped;
    }
    const int64_t bad = std::ssize(result.bad);
    const auto allowed = static_cast<int64_t>(max_bad * static_cast<double>(result.videos));
    if (bad > (max_bad > 0 ? std::max<int64_t>(1, allowed) : 0) || bad == result.videos) {
      log::error(count_text(bad), " of ", count_text(result.videos),
                 " videos got no flow, and data.max_bad = ", number_text(max_bad),
                 " allows fewer; repair or leave out the videos named above");
      return ExitCode::data;
    }
    return ExitCode::done;
  }

 private:
  /// @return the share of them that may be bad
  double list_videos() {
    if (input_.empty() == common_.config.empty()) {
      throw UsageError(
          "cstp data flow: wants either --config, a recipe whose data it reads, or --input, a folder of videos");
    }
    if (!input_.empty()) {
      if (!common_.assignments.empty())
        throw UsageError("--set: changes a recipe, and --input names a folder without one");
      setup_.videos = videos_below(input_);
      setup_.root = input_;
      if (setup_.videos.empty()) throw DataError(cat("--input ", input_, ": holds no videos"));
      return DataOptions{}.max_bad;
    }
    const RunConfig config = common_.load();
    for (const auto& [split, name] : {std::pair{Split::train, "train"}, std::pair{Split::test, "test"}}) {
      if (split_ != "all" && split_ != name) continue;
      for (const VideoRecord& video : open_and_report(config, split).videos) setup_.videos.push_back(video.path);
    }
    setup_.root = config.data.root;
    return config.data.max_bad;
  }

  void take_shard() {
    if (shard_.empty()) return;
    const std::vector<std::string> parts = split(shard_, '/');
    const auto number = [&](size_t i) {
      const bool good = parts.size() == 2 && !parts[i].empty() && parts[i].size() < 7 &&
                        parts[i].find_first_not_of("0123456789") == std::string::npos;
      return good ? std::stoll(parts[i]) : -1;
    };
    const int64_t mine = number(0), all = number(1);
    if (mine < 1 || mine > all) throw UsageError(cat("--shard ", shard_, ": wanted K/N with K from 1 to N, like 2/8"));
    std::vector<std::string> taken;
    for (int64_t i = mine - 1; i < std::ssize(setup_.videos); i += all) {
      taken.push_back(setup_.videos[static_cast<size_t>(i)]);
    }
    setup_.videos = taken;
  }

  void print(const FlowDumpResult& result, double seconds) const {
    const double per_field =
        result.fields > 0 ? static_cast<double>(result.bytes) / static_cast<double>(result.fields) : 0;
    if (!common_.json) {
      std::cout << cat(setup_.folder, ": flow of ", count_text(result.made), " videos made, of ",
                       count_text(result.kept), " kept, ", result.bad.size(), " bad; ", count_text(result.fields),
                       " fields, ", bytes_text(static_cast<double>(result.bytes)), " (", bytes_text(per_field),
                       " a field) in ", duration_text(seconds), "\n");
      return;
    }
    auto bad = nlohmann::ordered_json::array();
    for (const BadFlow& one : result.bad) bad.push_back({{"path", one.path}, {"cause", one.cause}});
    const nlohmann::ordered_json document = {
        {"output", setup_.folder},      {"settings", nlohmann::ordered_json::parse(setup_.settings.text())},
        {"videos", result.videos},      {"made", result.made},
        {"kept", result.kept},          {"bad", bad},
        {"fields", result.fields},      {"bytes", result.bytes},
        {"bytes_per_field", per_field}, {"seconds", seconds},
        {"stopped", result.stopped}};
    std::cout << document.dump(-1, ' ', false, nlohmann::json::error_handler_t::replace) << std::endl;
  }

  CommonOptions common_;  // of which config, set and json are used
  FlowDumpSetup setup_;
  std::string input_, shard_;
  std::string split_ = "train";
};

}  // namespace

std::unique_ptr<Command> make_data_flow_command(CLI::App& data) { return std::make_unique<DataFlowCommand>(data); }

}  // namespace cstp
