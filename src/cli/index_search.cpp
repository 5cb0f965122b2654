#include "index_search.h"

#include <torch/types.h>

#include <CLI/CLI.hpp>
#include <algorithm>
#include <chrono>
#include <filesystem>
#include <nlohmann/json.hpp>
#include <numeric>
#include <span>

#include "cstp/core/error.h"
#include "cstp/core/log.h"
#include "cstp/core/random.h"
#include "cstp/core/text.h"
#include "optional_json.h"

namespace cstp {
namespace {

constexpr uint64_t kDraw = 0x696478;  // keeps the draw of the sample apart from others

double seconds_since(std::chrono::steady_clock::time_point start) {
  return std::chrono::duration<double>(std::chrono::steady_clock::now() - start).count();
}

GalleryIndex index_of(const SearchInput& input, const IndexRequest& request) {
  IndexIdentity identity = input.identity;
  identity.emplace_back("rows", std::to_string(input.gallery.size(0)));
  identity.emplace_back("channels", std::to_string(input.gallery.size(1)));
  identity.emplace_back("embeddings", embeddings_hash(input.gallery));
  const auto start = std::chrono::steady_clock::now();
  if (request.load.empty()) {
    GalleryIndex index = GalleryIndex::build(
        input.gallery, {.kind = request.kind, .lists = request.lists, .seed = input.seed}, std::move(identity));
    log::info("index: built over ", count_text(input.gallery.size(0)), " rows in ",
              duration_text(seconds_since(start)));
    return index;
  }
  GalleryIndex index = GalleryIndex::load(request.load, identity);
  if (request.kind != "exact" && request.kind != index.kind()) {
    throw UsageError(cat("--index ", request.kind, ": ", request.load, " holds one of the kind ", index.kind()));
  }
  if (request.lists > 0 && request.lists != index.lists()) {
    throw UsageError(
        cat("--lists ", request.lists, ": ", request.load, " holds an index of ", index.lists(), " lists"));
  }
  log::info(request.load, ": loaded in ", duration_text(seconds_since(start)));
  return index;
}

at::Tensor drawn_rows(int64_t rows, int64_t count, int64_t seed) {
  std::vector<int64_t> order(static_cast<size_t>(rows));
  std::iota(order.begin(), order.end(), 0);
  Rng(static_cast<uint64_t>(seed), kDraw).shuffle(std::span(order));
  order.resize(static_cast<size_t>(std::min(rows, count)));
  std::sort(order.begin(), order.end());
  return torch::tensor(order, torch::kInt64);
}

}  // namespace

void IndexRequest::add_to(CLI::App& command) {
  command
      .add_option("--index", kind,
                  "exact: every pair is compared (default) | flat, ivf: through FAISS, for galleries past a million; "
                  "what the index finds of the exact neighbours is measured and reported")
      ->check(CLI::IsMember({"exact", "flat", "ivf"}));
  command.add_option("--lists", lists, "ivf: lists that the gallery is cut into (default: 4 sqrt(rows))")
      ->check(CLI::PositiveNumber);
  command.add_option("--probes", probes, "ivf: lists that a query looks into (default 16)")->check(CLI::PositiveNumber);
  command.add_option("--index-sample", sample, "queries, drawn by seed, that the index is checked on (default 1000)")
      ->check(CLI::PositiveNumber);
  command.add_option("--save-index", save, "keep the index in this file")->type_name("FILE");
  command.add_option("--load-index", load, "use this one; refused if it was built from another gallery")
      ->type_name("FILE");
}

void IndexRequest::check_use(const CLI::App& command) const {
  const auto given = [&command](const char* name) { return command.count(name) > 0; };
  if (exact()) {
    for (const char* name : {"--lists", "--probes", "--index-sample", "--save-index"}) {
      if (given(name))
        throw UsageError(cat(name, ": an exact search has no index; choose --index flat or --index ivf"));
    }
    return;
  }
  GalleryIndex::require();
  if (kind == "flat" && (given("--lists") || given("--probes"))) {
    throw UsageError("--lists and --probes belong to --index ivf; a flat index compares every row");
  }
  if (given("--html")) {
    throw UsageError(
        "--html: the page shows average precision over the whole gallery, which an index does not rank; "
        "use --index exact");
  }
  if (!load.empty() && !save.empty()) throw UsageError("--save-index: the index is there already, as --load-index");
  if (!load.empty() && !std::filesystem::is_regular_file(load)) {
    throw DataError(cat(load, ": there is no such index; build one with --index ivf --save-index ", load));
  }
}

SearchOutcome search_gallery(const SearchInput& input, const IndexRequest& request) {
  SearchOutcome outcome;
  if (request.exact()) {
    outcome.result = retrieve(input.gallery, input.gallery_labels, input.queries, input.query_labels, input.topk);
    return outcome;
  }
  const GalleryIndex index = index_of(input, request);
  if (!request.save.empty()) {
    try {
      index.save(request.save);
      log::info(request.save, ": the index is saved");
    } catch (const DataError& error) {  // the result is there all the same
      log::error(error.what());
      outcome.saved = false;
    }
  }
  int64_t depth = kShownNeighbours;
  for (const int64_t k : input.topk) depth = std::max(depth, k);
  depth = std::min(depth, input.gallery.size(0));
  const auto start = std::chrono::steady_clock::now();
  const Neighbours found = index.search(input.gallery, input.queries, depth, request.probes);
  log::info("index: ", count_text(input.queries.size(0)), " queries in ", duration_text(seconds_since(start)));
  outcome.result = retrieve_ranked(found, input.gallery_labels, input.query_labels, input.topk);

  const at::Tensor sample = drawn_rows(input.queries.size(0), request.sample, input.seed);
  const auto exact_start = std::chrono::steady_clock::now();
  const Neighbours exact = nearest_rows(input.gallery, input.queries.index_select(0, sample), depth);
  log::info("exact search of ", count_text(sample.numel()),
            " of them, to check the index: ", duration_text(seconds_since(exact_start)));
  const Neighbours part{found.rows.index_select(0, sample), found.similarity.index_select(0, sample)};
  Document recall = Document::object();
  for (const int64_t k : input.topk) {
    if (k <= depth) recall[std::to_string(k)] = neighbour_recall(part, exact, k);
  }
  outcome.index = {{"kind", index.kind()}};
  outcome.departure = index.kind();
  if (index.lists() > 0) {
    const int64_t probes = std::min(request.probes, index.lists());
    outcome.index["lists"] = index.lists();
    outcome.index["probes"] = probes;
    outcome.departure += cat(", ", index.lists(), " lists, ", probes, probes == 1 ? " probe" : " probes");
  }
  outcome.index["sample"] = sample.numel();
  outcome.index["recall"] = recall;
  return outcome;
}

std::string index_line(const Document& index) {
  if (index.is_null()) return "";
  std::vector<std::string> shares;
  for (const auto& [k, share] : index["recall"].items()) {
    shares.push_back(cat(percent(share.get<double>()), " of the nearest ", k));
  }
  const bool lists = index.contains("lists");
  return cat("index: ", index["kind"].get<std::string>(),
             lists ? cat(", ", index["lists"].dump(), " lists, ", index["probes"].dump(), " probed") : "",
             "; it finds ", join(shares, ", "), " (of the exact neighbours; ", index["sample"].dump(), " queries)\n");
}

std::string metrics_line(const Document& document) {
  std::string line;
  for (const auto& [name, value] : metrics_of(document)) {
    line += cat(name == "map" ? "mAP" : name, " ", percent(value), "  ");
  }
  return line;
}

}  // namespace cstp
