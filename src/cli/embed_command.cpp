#include <torch/types.h>

#include <CLI/CLI.hpp>
#include <bit>
#include <filesystem>
#include <iostream>
#include <nlohmann/json.hpp>

#include "commands.h"
#include "cstp/core/csv.h"
#include "cstp/core/log.h"
#include "cstp/core/text.h"
#include "cstp/engine/downstream.h"

namespace cstp {
namespace {

static_assert(std::endian::native == std::endian::little, "npy files are written as little-endian");

/// NumPy's file format 1.0: [rows, columns] f32, C order.
std::string npy_bytes(const at::Tensor& matrix) {
  const at::Tensor values = matrix.to(torch::kFloat32).contiguous();
  std::string header =
      cat("{'descr': '<f4', 'fortran_order': False, 'shape': (", values.size(0), ", ", values.size(1), "), }");
  const size_t prefix = 10;  // magic, version, length
  header.append((64 - (prefix + header.size() + 1) % 64) % 64, ' ');
  header += '\n';
  std::string bytes("\x93NUMPY\x01\x00", 8);
  bytes += static_cast<char>(header.size() & 0xff);
  bytes += static_cast<char>(header.size() >> 8);
  bytes += header;
  bytes.append(reinterpret_cast<const char*>(values.data_ptr<float>()),
               static_cast<size_t>(values.numel()) * sizeof(float));
  return bytes;
}

class EmbedCommand final : public Command {
 public:
  explicit EmbedCommand(CLI::App& parent) {
    app = parent.add_subcommand("embed", "one L2-normalised embedding a video: embeddings.npy and embeddings.csv");
    add_common_options(*app, options_, true);
    add_launch_options(*app, options_);
    app->add_option("--split", split_, "train | test | all: whichever of the two the data has (default)")
        ->check(CLI::IsMember({"train", "test", "all"}));
  }

  ExitCode run() override {
    const RunConfig config = options_.load();
    if (options_.dry_run) {
      std::cout << dry_run_text(config, "embed");
      return ExitCode::done;
    }
    return on_ranks(options_, config, [&](const World& world) { return embed_on(config, world); });
  }

 private:
  ExitCode embed_on(const RunConfig& config, const World& world) const {
    const LoadedBackbone backbone =
        load_backbone_for(config, options_.checkpoint, options_.allow_partial, world, options_.inflate);
    std::vector<at::Tensor> matrices;
    std::string csv = "row,path,label,class,split\n";
    int64_t rows = 0;
    int64_t total = 0;
    for (const auto& [split, name] : {std::pair{Split::train, "train"}, std::pair{Split::test, "test"}}) {
      if (split_ != "all" && split_ != name) continue;
      const auto dataset = open_if_given(config, split);
      if (!dataset) continue;
      const FeatureSet features =
          backbone_features(backbone, *dataset, config.eval.clips, cat("embedding ", name), config.eval.probe);
      total += features.total;
      if (features.decoded() == 0) continue;
      matrices.push_back(video_embeddings(features.values, false));
      for (const int64_t record : features.records) {
        const VideoRecord& video = dataset->videos[static_cast<size_t>(record)];
        const bool named = video.label >= 0 && video.label < static_cast<int64_t>(dataset->classes.size());
        csv += csv_line({std::to_string(rows++), video.path, std::to_string(video.label),
                         named ? dataset->classes[static_cast<size_t>(video.label)] : "", name});
      }
    }
    if (!world.is_first()) return ExitCode::done;
    const int64_t dim = backbone.network->features();
    const std::filesystem::path npy = options_.output.ends_with(".npy")
                                          ? std::filesystem::path(options_.output)
                                          : std::filesystem::path(config.output) / "embeddings.npy";
    if (rows > 0) {
      std::error_code error;
      if (npy.has_parent_path()) std::filesystem::create_directories(npy.parent_path(), error);
      write_file_atomically(npy.string(), npy_bytes(torch::cat(matrices)));
      write_file_atomically(std::filesystem::path(npy).replace_extension(".csv").string(), csv);
    }
    if (options_.json) {
      std::cout << nlohmann::ordered_json{{"embeddings", rows},     {"dim", dim},
                                          {"decoded", rows},        {"total", total},
                                          {"output", npy.string()}, {"weights", backbone.weights}}
                       .dump()
                << std::endl;
    } else if (rows > 0) {
      std::cout << cat(npy.string(), ": ", rows, " x ", dim, " (", rows, " of ", total, " videos decoded, ",
                       backbone.weights, ")\n");
    }
    if (rows == 0) {
      log::error("no video could be decoded; nothing was written");
      return ExitCode::data;
    }
    return ExitCode::done;
  }

  /// With --split all, a list data set may name only one of its two files.
  std::optional<Dataset> open_if_given(const RunConfig& config, Split split) const {
    const std::string& list = split == Split::train ? config.data.train : config.data.test;
    if (split_ == "all" && config.data.format == "list" && list.empty()) return std::nullopt;
    return open_and_report(config, split);
  }
  CommonOptions options_;
  std::string split_ = "all";
};

}  // namespace

std::unique_ptr<Command> make_embed_command(CLI::App& app) { return std::make_unique<EmbedCommand>(app); }

}  // namespace cstp
