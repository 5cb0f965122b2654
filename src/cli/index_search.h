/// The search behind `cstp retrieve`: exact, or by an index that is built, saved or loaded, and how far to trust it.
#pragma once
#include <ATen/core/Tensor.h>

#include <nlohmann/json.hpp>
#include <string>
#include <vector>

#include "cstp/engine/evaluate.h"
#include "cstp/engine/gallery_index.h"
#include "cstp/engine/result.h"

namespace CLI {
class App;
}

namespace cstp {

struct IndexRequest {
  std::string kind = "exact";  ///< exact | flat | ivf
  int64_t lists = 0;           ///< 0: by the gallery's size
  int64_t probes = 16;
  int64_t sample = 1000;  ///< queries that the index is checked on
  std::string save, load;

  void add_to(CLI::App& command);
  /// Before any work: combinations that make no sense, a build without FAISS, a file that is not there.
  /// @throws UsageError, DataError
  void check_use(const CLI::App& command) const;
  bool exact() const { return kind == "exact" && load.empty(); }
};

/// Embeddings of two sets of videos, and the labels that say what is a hit (-1: none).
struct SearchInput {
  at::Tensor gallery, gallery_labels, queries, query_labels;
  IndexIdentity identity;  ///< of the gallery, but for its numbers
  std::vector<int64_t> topk;
  int64_t seed = 1;
};

struct SearchOutcome {
  Retrieval result;
  Document index;         ///< {"kind", "lists", "probes", "sample", "recall": {"1": ...}}; null for an exact search
  std::string departure;  ///< "ivf, 400 lists, 16 probes": what sets the result apart from an exact one; "" for that
  bool saved = true;      ///< false: --save-index failed, which the log says
};
/// @throws DataError if the index that is loaded was built from something else
SearchOutcome search_gallery(const SearchInput& input, const IndexRequest& request);

/// "index: ivf, 400 lists, 16 probes; it finds 99.2 % of the nearest 1, ... (1,000 queries)\n", "" for an exact search.
std::string index_line(const Document& index);
/// "R@1 50.0 %  mAP -  ".
std::string metrics_line(const Document& document);

}  // namespace cstp
