// The one file that knows FAISS.
#include "cstp/engine/gallery_index.h"
#ifdef CSTP_FAISS
#include <faiss/IndexFlat.h>
#include <faiss/IndexIVFFlat.h>
#include <faiss/impl/FaissException.h>
#include <faiss/index_io.h>
#endif
#include <torch/types.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cmath>
#include <cstdio>
#include <cstring>
#include <filesystem>
#include <nlohmann/json.hpp>

#include "cstp/core/error.h"
#include "cstp/core/text.h"
#include "cstp/models/tensor_file.h"

namespace cstp {

std::string embeddings_hash(const at::Tensor& gallery) { return content_hash({{"gallery", gallery}}); }

int64_t GalleryIndex::default_lists(int64_t rows) {
  const auto root = static_cast<int64_t>(std::lround(4 * std::sqrt(static_cast<double>(rows))));
  return std::max<int64_t>(1, std::min(root, rows / 39));
}

#ifdef CSTP_FAISS

namespace {

constexpr const char* kFirstLine = "cstp gallery index 1\n";
constexpr const char* kLastLine = "\nend of cstp gallery index\n";

struct FileCloser {
  void operator()(std::FILE* file) const { std::fclose(file); }
};
using File = std::unique_ptr<std::FILE, FileCloser>;

std::string cause() { return std::strerror(errno); }

std::string read_line(std::FILE* file) {
  std::string line;
  for (int c = std::fgetc(file); c != EOF && line.size() < 65536; c = std::fgetc(file)) {
    line += static_cast<char>(c);
    if (c == '\n') break;
  }
  return line;
}

bool ends_as_it_should(const std::string& path) {
  const size_t length = std::strlen(kLastLine);
  const File file(std::fopen(path.c_str(), "rb"));
  if (!file || std::fseek(file.get(), -static_cast<long>(length), SEEK_END) != 0) return false;
  std::string end(length, ' ');
  return std::fread(end.data(), 1, length, file.get()) == length && end == kLastLine;
}

}  // namespace

struct GalleryIndex::Body {
  std::string kind;
  IndexIdentity identity;
  std::unique_ptr<faiss::Index> index;

  faiss::IndexIVFFlat* lists() const { return dynamic_cast<faiss::IndexIVFFlat*>(index.get()); }
};

bool GalleryIndex::available() { return true; }
void GalleryIndex::require() {}

GalleryIndex GalleryIndex::build(const at::Tensor& gallery, const IndexOptions& options, IndexIdentity identity) {
  const at::Tensor rows = gallery.to(torch::kFloat32).contiguous();
  const int64_t count = rows.size(0);
  const auto dim = static_cast<int>(rows.size(1));
  auto body = std::make_unique<Body>();
  body->kind = options.kind;
  body->identity = std::move(identity);
  if (options.kind == "flat") {
    body->index = std::make_unique<faiss::IndexFlatIP>(dim);
  } else {
    check(options.kind == "ivf", "GalleryIndex::build: flat or ivf");
    const int64_t lists = options.lists > 0 ? options.lists : default_lists(count);
    if (lists > count) {
      throw UsageError(cat("--lists ", lists, ": the gallery has ", count, " rows, and every list needs one of them"));
    }
    auto quantizer = std::make_unique<faiss::IndexFlatIP>(dim);
    auto index = std::make_unique<faiss::IndexIVFFlat>(quantizer.get(), static_cast<size_t>(dim),
                                                       static_cast<size_t>(lists), faiss::METRIC_INNER_PRODUCT);
    index->own_fields = true;  // from here on the quantizer is the index's
    (void)quantizer.release();
    index->cp.seed = static_cast<int>(options.seed & 0x7fffffff);
    index->cp.min_points_per_centroid = 1;  // small galleries are asked for on purpose; recall is measured
    body->index = std::move(index);
  }
  body->index->train(count, rows.const_data_ptr<float>());
  body->index->add(count, rows.const_data_ptr<float>());
  return GalleryIndex(std::move(body));
}

void GalleryIndex::save(const std::string& path) const {
  const std::string beside = cat(path, ".tmp.", ::getpid());
  const auto fail = [&](const std::string& why) {
    std::error_code ignored;
    std::filesystem::remove(beside, ignored);
    throw DataError(cat(path, ": the index could not be saved (", why, "); a file that was there is as it was"));
  };
  File file(std::fopen(beside.c_str(), "wb"));
  if (!file) fail(cause());
  nlohmann::ordered_json head = {{"kind", body_->kind}};
  for (const auto& [name, value] : body_->identity) head[name] = value;
  try {
    errno = 0;
    if (std::fputs(cat(kFirstLine, head.dump(), "\n").c_str(), file.get()) < 0) fail(cause());
    faiss::write_index(body_->index.get(), file.get());
  } catch (const faiss::FaissException& error) {
    const std::string why = errno != 0 ? cause() : error.what();
    file.reset();
    fail(why);
  }
  if (std::fputs(kLastLine, file.get()) < 0 || std::fflush(file.get()) != 0 || ::fsync(::fileno(file.get())) != 0) {
    const std::string why = cause();
    file.reset();
    fail(why);
  }
  file.reset();
  if (std::rename(beside.c_str(), path.c_str()) != 0) fail(cause());
}

GalleryIndex GalleryIndex::load(const std::string& path, const IndexIdentity& wanted) {
  const File file(std::fopen(path.c_str(), "rb"));
  if (!file) throw DataError(cat(path, ": the index could not be opened (", cause(), ")"));
  if (read_line(file.get()) != kFirstLine) {
    throw DataError(cat(path, ": no index of this program; wanted a file that --save-index wrote"));
  }
  const auto head = nlohmann::ordered_json::parse(read_line(file.get()), nullptr, false);
  if (!head.is_object() || !head.contains("kind") || !ends_as_it_should(path)) {
    throw DataError(cat(path, ": the index is damaged or cut short; build it again with --save-index"));
  }
  auto body = std::make_unique<Body>();
  body->identity = wanted;
  for (const auto& [name, value] : wanted) {
    const std::string found = head.contains(name) && head[name].is_string() ? head[name].get<std::string>() : "absent";
    if (found == value) continue;
    throw DataError(cat(path, ": the index was built from something else: its ", name, " is ", found,
                        ", this gallery's is ", value, "; build it again with --save-index"));
  }
  try {
    body->kind = head["kind"].get<std::string>();
    body->index.reset(faiss::read_index(file.get()));
  } catch (const std::exception& error) {  // whatever a damaged file makes of FAISS and of the allocator
    throw DataError(cat(path, ": the index is damaged (", error.what(), "); build it again with --save-index"));
  }
  return GalleryIndex(std::move(body));
}

Neighbours GalleryIndex::search(const at::Tensor& gallery, const at::Tensor& queries, int64_t k, int64_t probes) const {
  const at::Tensor asked = queries.to(torch::kFloat32).contiguous();
  check(asked.size(1) == body_->index->d && gallery.size(0) == body_->index->ntotal,
        "GalleryIndex::search: the gallery that the index was built from");
  k = std::min(k, gallery.size(0));
  if (auto* const ivf = body_->lists()) ivf->nprobe = static_cast<size_t>(std::clamp<int64_t>(probes, 1, lists()));
  const at::Tensor scores = torch::empty({asked.size(0), k});
  const at::Tensor rows = torch::empty({asked.size(0), k}, torch::kInt64);
  body_->index->search(asked.size(0), asked.const_data_ptr<float>(), k, scores.data_ptr<float>(),
                       rows.data_ptr<int64_t>());
  return order_rows(gallery, asked, rows);
}

int64_t GalleryIndex::lists() const {
  const auto* const ivf = body_->lists();
  return ivf == nullptr ? 0 : static_cast<int64_t>(ivf->nlist);
}

#else

struct GalleryIndex::Body {
  std::string kind;
};

namespace {

[[noreturn]] void refuse() {
  throw UsageError(
      "--index: this build has no FAISS; install the package libfaiss-dev (scripts/install_dependencies.sh --faiss), "
      "configure and build again, or use --index exact");
}

}  // namespace

bool GalleryIndex::available() { return false; }
void GalleryIndex::require() { refuse(); }
GalleryIndex GalleryIndex::build(const at::Tensor&, const IndexOptions&, IndexIdentity) { refuse(); }
GalleryIndex GalleryIndex::load(const std::string&, const IndexIdentity&) { refuse(); }
void GalleryIndex::save(const std::string&) const { refuse(); }
Neighbours GalleryIndex::search(const at::Tensor&, const at::Tensor&, int64_t, int64_t) const { refuse(); }
int64_t GalleryIndex::lists() const { refuse(); }

#endif

const std::string& GalleryIndex::kind() const { return body_->kind; }
GalleryIndex::GalleryIndex(std::unique_ptr<Body> body) : body_(std::move(body)) {}
GalleryIndex::GalleryIndex(GalleryIndex&&) noexcept = default;
GalleryIndex& GalleryIndex::operator=(GalleryIndex&&) noexcept = default;
GalleryIndex::~GalleryIndex() = default;

}  // namespace cstp
