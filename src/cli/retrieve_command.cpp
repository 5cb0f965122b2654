#include <ATen/core/Tensor.h>

#include <CLI/CLI.hpp>
#include <filesystem>
#include <iostream>
#include <nlohmann/json.hpp>

#include "commands.h"
#include "cstp/core/log.h"
#include "cstp/core/text.h"
#include "cstp/engine/checkpoint.h"
#include "cstp/engine/downstream.h"
#include "cstp/engine/result.h"
#include "cstp/engine/result_folder.h"
#include "index_search.h"
#include "retrieval_page.h"
#include "retrieve_files.h"

namespace cstp {
namespace {

/// The videos behind the rows of a feature set.
std::vector<VideoRecord> decoded_videos(const Dataset& dataset, const FeatureSet& features) {
  std::vector<VideoRecord> videos;
  for (const int64_t record : features.records) videos.push_back(dataset.videos[static_cast<size_t>(record)]);
  return videos;
}

/// A retrieval without tensors, for the page.
RetrievalReport report_of(const Retrieval& result, const LoadedBackbone& backbone, const Dataset& gallery,
                          const FeatureSet& gallery_features, const Dataset& queries,
                          const FeatureSet& query_features) {
  RetrievalReport report;
  report.weights = backbone.weights;
  report.model = cat(backbone.config.model.name,
                     backbone.config.model.width == 1 ? "" : cat(", width ", backbone.config.model.width));
  report.query_set = queries.name;
  report.gallery_set = gallery.name;
  report.build = build_text();
  report.root = backbone.config.data.root;
  report.seed = backbone.config.seed;
  report.clips = backbone.config.eval.clips;
  report.classes = gallery.classes.empty() ? queries.classes : gallery.classes;
  report.queries = decoded_videos(queries, query_features);
  report.gallery = decoded_videos(gallery, gallery_features);
  report.query_total = query_features.total;
  report.gallery_total = gallery_features.total;
  report.recall = result.recall;
  report.map = result.map;
  const at::Tensor ranking = result.ranking.contiguous();                        // [Q,n]
  const at::Tensor similarity = result.similarity.to(at::kDouble).contiguous();  // [Q,n]
  const int64_t shown = ranking.size(1);
  for (int64_t q = 0; q < ranking.size(0); ++q) {
    report.first_hit.push_back(result.first_hit.const_data_ptr<int64_t>()[q]);
    report.precision.push_back(result.precision.const_data_ptr<double>()[q]);
    auto& nearest = report.nearest.emplace_back();
    for (int64_t i = q * shown; i < (q + 1) * shown; ++i) {
      nearest.push_back({ranking.const_data_ptr<int64_t>()[i], similarity.const_data_ptr<double>()[i]});
    }
  }
  return report;
}

class RetrieveCommand final : public Command {
 public:
  explicit RetrieveCommand(CLI::App& parent) {
    app = parent.add_subcommand("retrieve", "nearest-neighbour retrieval: gallery = train, queries = test");
    add_common_options(*app, options_, true);
    add_launch_options(*app, options_);
    auto* html = app->add_option("--html", page_.folder,
                                 "also write a page: queries with their neighbours as playing clips, per-class recall; "
                                 "open FOLDER/index.html")
                     ->type_name("FOLDER");
    app->add_option("--html-queries", page_.queries,
                    "queries on the page, drawn by seed over all classes; 0: all (default 200)")
        ->check(CLI::NonNegativeNumber)
        ->needs(html);
    app->add_option("--html-neighbours", page_.neighbours, "neighbours of each, 1 to 50 (default 5)")
        ->check(CLI::Range(1, 50))
        ->needs(html);
    index_.add_to(*app);
    app->add_option("--gallery", gallery_file_, "search in embeddings that cstp embed wrote instead of in videos")
        ->type_name("FILE.npy");
    app->add_option("--queries", queries_file_, "and with these; one file may be both, by its splits")
        ->type_name("FILE.npy");
  }

  ExitCode run() override {
    index_.check_use(*app);
    if (app->count("--gallery") + app->count("--queries") > 0) return run_on_files();
    const RunConfig config = options_.load();
    if (options_.dry_run) {
      std::cout << cat("protocol    ", name_protocol(config, "retrieve"), " (settings ",
                       settings_hash(protocol_settings(config, "retrieve")), ")\n", dry_run_text(config, "retrieve"));
      return ExitCode::done;
    }
    return on_ranks(options_, config, [&](const World& world) { return retrieve_on(config, world); });
  }

 private:
  ExitCode run_on_files() const {
    if (gallery_file_.empty() || queries_file_.empty()) {
      throw UsageError("--gallery and --queries go together: the embeddings searched in, and those searched with");
    }
    for (const char* name : {"--checkpoint", "--output", "--html", "--gpus", "--ranks", "--dry-run"}) {
      if (app->count(name) > 0) {
        throw UsageError(cat(name, ": a search in stored embeddings (--gallery, --queries) has no use for it"));
      }
    }
    return retrieve_from_files(gallery_file_, queries_file_, index_, options_);
  }

  ExitCode retrieve_on(const RunConfig& config, const World& world) const {
    const bool page_wanted = app->count("--html") > 0 && world.is_first();
    if (page_wanted) warn_of_a_bad_page_folder();
    const Dataset gallery = open_and_report(config, Split::train);
    const Dataset queries = open_and_report(config, Split::test);
    const LoadedBackbone backbone =
        load_backbone_for(config, options_.checkpoint, options_.allow_partial, world, options_.inflate);
    const FeatureSet gallery_features = backbone_features(backbone, gallery, config.eval.clips, "gallery");
    const FeatureSet query_features =
        backbone_features(backbone, queries, config.eval.clips, "queries", config.eval.probe);
    if (!world.is_first()) return ExitCode::done;
    SearchOutcome outcome;
    Retrieval& result = outcome.result;
    const bool measured = gallery_features.decoded() > 0 && query_features.decoded() > 0;
    if (measured) {
      Dataset embedded = gallery;
      embedded.videos = decoded_videos(gallery, gallery_features);
      outcome = search_gallery({.gallery = video_embeddings(gallery_features.values, false),
                                .gallery_labels = gallery_features.labels,
                                .queries = video_embeddings(query_features.values, false),
                                .query_labels = query_features.labels,
                                .identity = {{"weights", backbone.note.hash}, {"videos", data_list_hash(embedded)}},
                                .topk = config.eval.topk,
                                .seed = config.seed},
                               index_);
    } else {
      for (const int64_t k : config.eval.topk) result.recall.emplace_back(k, std::nullopt);
    }
    Provenance provenance = make_provenance(backbone.config, "retrieve", gallery, queries, backbone.note,
                                            parameter_count(*backbone.network), backbone.device);
    if (!outcome.departure.empty()) depart(provenance, outcome.departure);
    Document document = retrieval_document(result, gallery_features, query_features, provenance);
    if (!outcome.index.is_null()) document["index"] = outcome.index;
    bool stored = outcome.saved;
    std::string file;
    try {
      if (measured) file = cat(save_result(config.output, document, std::nullopt), "/result.json");
    } catch (const DataError& error) {
      log::error(error.what(), "; the result is printed all the same");
      stored = false;
    }
    print(std::move(document), file);
    if (!measured) {
      log::error(
          gallery_features.decoded() == 0 ? "no gallery video could be decoded" : "no query video could be decoded",
          "; nothing was measured");
      return ExitCode::data;
    }
    if (page_wanted) {
      PageOptions page = page_;
      page.workers = config.loader.workers;
      page.preview.reader.deadline = config.loader.decode_deadline;
      write_retrieval_page(report_of(result, backbone, gallery, gallery_features, queries, query_features), page);
      log::info("page: ", (std::filesystem::path(page_.folder) / "index.html").string());
    }
    return stored ? ExitCode::done : ExitCode::data;
  }

  /// What an index found is another number than what is there to find: the result says so, and has a folder of its own.
  static void depart(Provenance& provenance, const std::string& index) {
    provenance.settings.emplace_back("retrieve.index", index);
    std::string& name = provenance.protocol;
    if (name.ends_with("}")) {
      name.insert(name.size() - 1, cat(", retrieve.index=", index));
    } else {
      name += cat(" + {retrieve.index=", index, "}");
    }
  }

  /// Before the hours of work. The numbers are computed all the same: they are what the command is for.
  void warn_of_a_bad_page_folder() const {
    try {
      prepare_page_folder(page_.folder);
    } catch (const Error& error) {
      log::warning(error.what(), "; the numbers are computed all the same");
    }
  }

  void print(Document document, const std::string& file) const {
    if (options_.json) {
      document["result"] = file.empty() ? Document(nullptr) : Document(file);
      std::cout << document.dump() << std::endl;
      return;
    }
    const Document& from = document["provenance"];
    std::cout << cat("retrieval: ", metrics_line(document), "(", document["queries"].dump(), " queries, ",
                     document["gallery"].dump(), " in the gallery, ", document["decoded"].dump(), " of ",
                     document["total"].dump(), " videos decoded, ", document["weights"].get<std::string>(),
                     ")\nprotocol ", from["protocol"].get<std::string>(), " (settings ",
                     from["settings_hash"].get<std::string>(), "), seed ", from["seed"].dump(), "\n",
                     index_line(document.value("index", Document())));
    if (!file.empty()) std::cout << file << "\n";
  }

  CommonOptions options_;
  PageOptions page_;
  IndexRequest index_;
  std::string gallery_file_, queries_file_;
};

}  // namespace

std::unique_ptr<Command> make_retrieve_command(CLI::App& app) { return std::make_unique<RetrieveCommand>(app); }

}  // namespace cstp
