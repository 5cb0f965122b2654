#include <CLI/CLI.hpp>
#include <chrono>
#include <cmath>
#include <iostream>
#include <nlohmann/json.hpp>
#include <set>

#include "commands.h"
#include "cstp/core/log.h"
#include "cstp/core/process.h"
#include "cstp/core/text.h"
#include "cstp/data/pack.h"
#include "cstp/engine/provenance.h"
#include "cstp/engine/trainer.h"
#include "progress_line.h"

namespace cstp {
namespace {

using nlohmann::ordered_json;

std::string shards_text(int64_t count) { return cat(count_text(count), count == 1 ? " shard" : " shards"); }

class DataPackCommand final : public Command {
 public:
  explicit DataPackCommand(CLI::App& parent) {
    app = parent.add_subcommand("pack",
                                "rewrite a data set once into tar shards of small videos that decode quickly; then "
                                "train and evaluate with data.format=packed, data.root=OUTPUT");
    app->add_option("--config", common_.config, "recipe whose data section names the videos");
    app->add_option("--set", common_.assignments, "override one key: --set data.root=videos (repeatable)")
        ->allow_extra_args(false)
        ->take_all();
    app->add_option("--output", setup_.folder, "folder of the pack; a second call goes on where the first ended")
        ->required();
    app->add_option("--split", split_, "all (default) | train | test")->check(CLI::IsMember({"all", "train", "test"}));
    app->add_option("--splits", splits_, "official splits of ucf101 and hmdb51: 1,2,3 (default); videos are kept once");
    app->add_option("--short-side", setup_.settings.short_side,
                    "pixels of the shorter side, even; smaller videos keep their size")
        ->check(CLI::Range(16, 4096));
    auto* gop =
        app->add_option("--gop", setup_.settings.gop, "frames from key frame to key frame")->check(CLI::Range(1, 1000));
    app->add_flag("--intra", intra_, "every frame a key frame: larger, and single frames decode alone")->excludes(gop);
    app->add_option("--crf", setup_.settings.quality, "x264's quality, 0 (lossless) to 51; default 18")
        ->check(CLI::Range(0, 51));
    app->add_option("--shard-mb", setup_.settings.shard_mb, "most MiB in a shard")->check(CLI::Range(1, 1 << 20));
    app->add_option("--workers", setup_.workers, "threads, one video each; 0 = cores")->check(CLI::Range(0, 1024));
    app->add_flag("--verify", verify_,
                  "read a pack that is there and check every shard, checksum, video and count of frames");
    app->add_flag("--json", common_.json, "one JSON document on stdout");
  }

  ExitCode run() override {
    if (verify_) return verify();
    if (common_.config.empty())
      throw UsageError("cstp data pack: wants --config, a recipe whose data it packs (or --verify, to check a pack)");
    if (setup_.settings.short_side % 2 != 0)
      throw UsageError(cat("--short-side ", setup_.settings.short_side, ": must be even, as H.264 wants it"));
    if (intra_) setup_.settings.gop = 1;
    list_videos();
    ProgressLine progress("pack");
    setup_.progress = [&](int64_t done, int64_t all) { progress.show(done, all); };
    setup_.stop = stop_is_requested;
    const auto start = std::chrono::steady_clock::now();
    const double cpu = cpu_seconds();
    const PackResult result = pack_videos(setup_);
    const double seconds = std::chrono::duration<double>(std::chrono::steady_clock::now() - start).count();
    log::status_line("");
    print(result, seconds, cpu_seconds() - cpu);
    if (!result.stopped) return ExitCode::done;
    log::warning("stopped by a signal; the same command goes on with the videos that are missing");
    return ExitCode::stopped;
  }

 private:
  ExitCode verify() {
    if (!common_.config.empty())
      throw UsageError("--verify: checks the pack in --output, whatever it was made of; leave --config out");
    ProgressLine progress("verify");
    const PackCheck check =
        verify_pack(setup_.folder, setup_.workers, [&](int64_t done, int64_t all) { progress.show(done, all); });
    log::status_line("");
    if (common_.json) {
      std::cout << ordered_json{{"output", setup_.folder}, {"verified", true},       {"videos", check.videos},
                                {"bad", check.bad},        {"shards", check.shards}, {"frames", check.frames},
                                {"bytes", check.bytes}}
                       .dump(-1, ' ', false, ordered_json::error_handler_t::replace)
                << std::endl;
    } else {
      std::cout << cat(setup_.folder, ": whole; ", count_text(check.videos), " videos (", count_text(check.frames),
                       " frames) in ", shards_text(check.shards), ", ", bytes_text(static_cast<double>(check.bytes)),
                       "; ", count_text(check.bad), " bad ones left out\n");
    }
    return ExitCode::done;
  }

  void list_videos() {
    RunConfig config = common_.load();
    if (config.data.format == "packed")
      throw ConfigError("data.format: is packed already; name the data set that is to be packed");
    config.data.share = 1;   // the subset is drawn when the pack is read
    config.data.videos = 0;  // what a recipe expects is no matter here
    setup_.root = config.data.root;
    setup_.max_bad = config.data.on_bad_video == "error" ? 0 : config.data.max_bad;
    for (const int64_t official : official_splits(config.data.format)) {
      if (official > 0) config.data.split = official;
      for (const auto& [split, part] : {std::pair{Split::train, "train"}, std::pair{Split::test, "test"}}) {
        if (split_ == "all" || split_ == part) setup_.inputs.push_back(input(config, split, part, official));
      }
    }
  }

  PackInput input(const RunConfig& config, Split split, const std::string& part, int64_t official) const {
    try {
      return {.dataset = open_and_report(config, split), .part = part, .split = official};
    } catch (const Error& error) {
      std::string hint;
      if (split_ == "all") hint = cat("; to pack one part alone: --split ", part == "test" ? "train" : "test");
      if (official > 0) hint += "; to pack some official splits: --splits";
      if (error.code() == ExitCode::usage) throw ConfigError(error.what() + hint);
      throw DataError(error.what() + hint);
    }
  }

  /// {0} where the format has none.
  std::vector<int64_t> official_splits(const std::string& format) const {
    if (!has_splits(format)) {
      if (!splits_.empty())
        throw UsageError(cat("--splits ", splits_, ": data.format ", format, " has no official splits"));
      return {0};
    }
    if (splits_.empty()) return {1, 2, 3};
    std::set<int64_t> numbers;
    for (const std::string& part : split(splits_, ',')) {
      if (part != "1" && part != "2" && part != "3")
        throw UsageError(cat("--splits ", splits_, ": '", part, "' is no split; wanted some of 1,2,3"));
      numbers.insert(part[0] - '0');
    }
    return {numbers.begin(), numbers.end()};
  }

  void print(const PackResult& result, double seconds, double cpu) const {
    const auto after = static_cast<double>(result.bytes_after), before = static_cast<double>(result.bytes_before);
    const double per_video = result.made > 0 ? cpu / static_cast<double>(result.made) : 0;
    if (!common_.json) {
      std::cout << cat(setup_.folder, ": ", count_text(result.made), " videos packed, ", count_text(result.kept),
                       " kept, ", result.bad.size(), " bad; ", shards_text(result.shards), "; ", bytes_text(before),
                       " before, ", bytes_text(after), " after");
      if (before > 0) std::cout << cat(" (", std::llround(100 * after / before), " %)");
      std::cout << cat("; ", duration_text(seconds), ", ", number_text(std::round(1000 * per_video) / 1000),
                       " s of CPU a video", result.verified ? "; verified" : "", "\n");
      return;
    }
    auto bad = ordered_json::array();
    for (const BadPack& one : result.bad) bad.push_back({{"path", one.path}, {"cause", one.cause}});
    const PackSettings& settings = setup_.settings;
    const ordered_json document = {{"output", setup_.folder},
                                   {"settings",
                                    {{"short_side", settings.short_side},
                                     {"gop", settings.gop},
                                     {"crf", settings.quality},
                                     {"shard_mb", settings.shard_mb}}},
                                   {"videos", result.videos},
                                   {"made", result.made},
                                   {"kept", result.kept},
                                   {"bad", bad},
                                   {"shards", result.shards},
                                   {"frames", result.frames},
                                   {"bytes_before", result.bytes_before},
                                   {"bytes_after", result.bytes_after},
                                   {"seconds", seconds},
                                   {"cpu_seconds", cpu},
                                   {"cpu_seconds_per_video", per_video},
                                   {"verified", result.verified},
                                   {"stopped", result.stopped}};
    std::cout << document.dump(-1, ' ', false, ordered_json::error_handler_t::replace) << std::endl;
  }

  CommonOptions common_;  // of which config, set and json are used
  PackSetup setup_;
  std::string split_ = "all", splits_;
  bool intra_ = false, verify_ = false;
};

}  // namespace

std::unique_ptr<Command> make_data_pack_command(CLI::App& data) { return std::make_unique<DataPackCommand>(data); }

}  // namespace cstp
