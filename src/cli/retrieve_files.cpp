#include "retrieve_files.h"

#include <torch/types.h>

#include <filesystem>
#include <iostream>
#include <nlohmann/json.hpp>

#include "cstp/core/error.h"
#include "cstp/core/log.h"
#include "cstp/core/text.h"
#include "cstp/engine/device.h"
#include "cstp/engine/embedding_file.h"

namespace cstp {
namespace {

std::string videos_hash(const EmbeddingTable& table) {
  Dataset dataset;
  for (const EmbeddedVideo& video : table.videos) dataset.videos.push_back({video.path, video.label});
  return data_list_hash(dataset);
}

Document source_of(const std::string& file, const EmbeddingTable& table) {
  const auto text_or_null = [](const std::string& text) { return text.empty() ? Document(nullptr) : Document(text); };
  return {{"file", file},
          {"rows", table.values.size(0)},
          {"channels", table.values.size(1)},
          {"embeddings", embeddings_hash(table.values)},
          {"videos", videos_hash(table)},
          {"weights", text_or_null(table.weights)},
          {"weights_hash", text_or_null(table.weights_hash)},
          {"views", text_or_null(table.views)}};
}

}  // namespace

ExitCode retrieve_from_files(const std::string& gallery_file, const std::string& queries_file,
                             const IndexRequest& request, const CommonOptions& common) {
  const RunConfig config = common.config.empty() ? RunConfig() : common.load();
  set_compute_threads(config.train.threads, 1);
  EmbeddingTable gallery = load_embeddings(gallery_file);
  EmbeddingTable queries;
  std::error_code ignored;
  if (std::filesystem::equivalent(gallery_file, queries_file, ignored)) {
    queries = gallery.of_split("test");
    gallery = gallery.of_split("train");
    if (gallery.videos.empty() || queries.videos.empty() || queries.videos.front().split.empty()) {
      throw DataError(cat(gallery_file,
                          ": as gallery and queries at once it needs rows of the split train and rows of "
                          "the split test; embed both (--split all), or give two files"));
    }
  } else {
    queries = load_embeddings(queries_file);
  }
  check_comparable(gallery, gallery_file, queries, queries_file);
  log::info("gallery: ", count_text(gallery.values.size(0)), " x ", gallery.values.size(1), " of ", gallery_file,
            "; queries: ", count_text(queries.values.size(0)), " of ", queries_file);

  SearchInput input{.gallery = gallery.values,
                    .gallery_labels = gallery.labels(),
                    .queries = queries.values,
                    .query_labels = queries.labels(),
                    .identity = {{"weights", gallery.weights_hash.empty() ? "unknown" : gallery.weights_hash},
                                 {"videos", videos_hash(gallery)}},
                    .topk = config.eval.topk,
                    .seed = config.seed};
  const SearchOutcome outcome = search_gallery(input, request);
  Document recall = Document::object();
  for (const auto& [k, value] : outcome.result.recall) {
    recall[std::to_string(k)] = value ? Document(*value) : Document(nullptr);
  }
  Document document = {{"protocol", "retrieve"},
                       {"recall", recall},
                       {"map", outcome.result.map ? Document(*outcome.result.map) : Document(nullptr)},
                       {"queries", queries.values.size(0)},
                       {"gallery", gallery.values.size(0)}};
  if (!outcome.index.is_null()) document["index"] = outcome.index;
  document["from"] = {{"gallery", source_of(gallery_file, gallery)}, {"queries", source_of(queries_file, queries)}};
  if (common.json) {
    std::cout << document.dump() << std::endl;
  } else {
    std::cout << cat("retrieval: ", metrics_line(document), "(", document["queries"].dump(), " queries, ",
                     document["gallery"].dump(), " in the gallery, from files)\n", index_line(outcome.index));
  }
  return outcome.saved ? ExitCode::done : ExitCode::data;
}

}  // namespace cstp
