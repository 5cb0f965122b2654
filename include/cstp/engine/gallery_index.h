/// An index over a gallery, for those past a million rows: built once, saved, loaded. The work is FAISS's (Douze et
/// al., "The Faiss library", 2024), which a build may lack.
///
/// flat: every row is compared, in f32. ivf: the gallery is cut into lists by k-means, and only the rows of the lists
/// nearest to a query are; faster and approximate. How far to trust one is measured: neighbour_recall() against
/// nearest_rows(). A file begins with a line of text and one of JSON that says what it was built from.
#pragma once
#include <ATen/core/Tensor.h>

#include <cstdint>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "cstp/engine/neighbours.h"

namespace cstp {

struct IndexOptions {
  std::string kind = "flat";  ///< flat | ivf
  int64_t lists = 0;          ///< ivf; 0: default_lists()
  int64_t seed = 1;           ///< of the k-means
};

/// What an index was built from, name -> value: "embeddings", "rows", "dim", "weights" ...
using IndexIdentity = std::vector<std::pair<std::string, std::string>>;

class GalleryIndex {
 public:
  static bool available();  ///< whether this build has FAISS
  static void require();    ///< @throws UsageError, naming the package, if it has not
  /// 4 sqrt(N), and so few that k-means has the 39 rows a list that FAISS asks for.
  static int64_t default_lists(int64_t rows);

  /// @param gallery [N,C] f32 on the CPU; the index keeps a copy
  /// @throws UsageError if the build has no FAISS, or there are more lists than rows
  static GalleryIndex build(const at::Tensor& gallery, const IndexOptions& options, IndexIdentity identity);
  /// @param wanted what it must have been built from. @throws DataError naming the first field that differs, and both
  /// values; or if the file is missing, cut short or no index; UsageError if the build has no FAISS
  static GalleryIndex load(const std::string& path, const IndexIdentity& wanted);
  /// Beside `path` first, then renamed over it. @throws DataError with the cause
  void save(const std::string& path) const;

  /// What the index finds, in the order of exact scores (order_rows()). @param gallery the rows that it was built from
  /// @param probes lists that are looked into; flat has no use for it
  Neighbours search(const at::Tensor& gallery, const at::Tensor& queries, int64_t k, int64_t probes) const;

  const std::string& kind() const;  ///< flat | ivf
  int64_t lists() const;            ///< 0 for flat

  GalleryIndex(GalleryIndex&&) noexcept;
  GalleryIndex& operator=(GalleryIndex&&) noexcept;
  ~GalleryIndex();

 private:
  struct Body;
  explicit GalleryIndex(std::unique_ptr<Body> body);
  std::unique_ptr<Body> body_;
};

/// Hash of a gallery's numbers, for an IndexIdentity.
std::string embeddings_hash(const at::Tensor& gallery);

}  // namespace cstp
