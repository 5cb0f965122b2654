#include "cstp/engine/neighbours.h"

#include <ATen/Parallel.h>
#include <ATen/cpu/Utils.h>
#include <torch/types.h>

#include <algorithm>
#include <atomic>
#include <cmath>
#include <limits>
#include <type_traits>
#include <vector>

#include "cstp/core/error.h"
#include "running_query.h"

namespace cstp {
namespace {

constexpr double kStateBytes = 128 << 20;  // of the queries that are under way at a time
constexpr float kBf16Unit = 1.0F / 256;    // rounding to bfloat16 changes a number by at most this part of it

/// Rows as the products take them: how long they are and, for products in bfloat16, their rounded form.
struct Rows {
  std::vector<RowLength> lengths;  // the largest of each group
  at::Tensor rounded;  // [at least the rows asked for, C] bf16: whole blocks, so that products have one shape
};

void measure(const float* values, int64_t count, int64_t dim, int64_t group, int64_t padded, bool bf16, Rows& rows) {
  const int64_t groups = (count + group - 1) / group;
  rows.lengths.resize(static_cast<size_t>(groups));
  if (bf16 && (!rows.rounded.defined() || rows.rounded.size(0) < padded)) {
    rows.rounded = torch::zeros({padded, dim}, torch::kBFloat16);
  }
  auto* rounded = bf16 ? reinterpret_cast<uint16_t*>(rows.rounded.data_ptr()) : nullptr;
  at::parallel_for(0, groups, std::max<int64_t>(1, 1024 / group), [&](int64_t from, int64_t to) {
    for (int64_t g = from; g < to; ++g) {
      RowLength largest;
      for (int64_t i = g * group; i < std::min(count, (g + 1) * group); ++i) {
        const RowLength own =
            bf16 ? round_row(values + i * dim, dim, rounded + i * dim) : measure_row(values + i * dim, dim);
        largest = {std::max(largest.length, own.length), std::max(largest.lost, own.lost)};
      }
      rows.lengths[static_cast<size_t>(g)] = largest;
    }
  });
}

int64_t whole(int64_t count, int64_t block) { return (count + block - 1) / block * block; }

/// What the product and, by Cauchy-Schwarz, the rounding of the inputs may have changed.
float error_of(RowLength query, RowLength row, int64_t dim) {
  const double rounded =
      static_cast<double>(query.lost) * row.length + (static_cast<double>(query.length) + query.lost) * row.lost;
  return static_cast<float>((product_error(query.length, row.length, dim) + rounded) * (1 + 1e-5));
}

class Search {
 public:
  Search(const at::Tensor& gallery, const at::Tensor& queries, int64_t k, const SearchBlocks& blocks)
      : gallery_(gallery), queries_(queries), k_(k), blocks_(blocks), dim_(gallery.size(1)) {
    static const bool has_amx = [] {
      auto able = at::cpu::get_cpu_capabilities();
      const auto found = able.find("amx_bf16");
      return found != able.end() && found->second.isBool() && found->second.toBool();
    }();
    bf16_ = blocks.kind == ScoreKind::bf16 ||
            (blocks.kind == ScoreKind::automatic && has_amx && queries.size(0) >= 64 && gallery.size(0) >= 1024);
    // Small enough that every thread has several blocks of queries, and no smaller than a product is efficient with.
    const int64_t shares = 4 * at::get_num_threads();
    blocks_.queries = std::min(blocks.queries, std::max<int64_t>(64, (queries.size(0) + shares - 1) / shares));
    blocks_.gallery = std::min(blocks.gallery, gallery.size(0));
    const int64_t row_bytes = dim_ * (bf16_ ? 2 : 4);
    chunk_ = std::max<int64_t>(1, blocks.chunk_bytes / row_bytes / blocks_.gallery) * blocks_.gallery;
    const double state =
        static_cast<double>(2 * k + 256) * sizeof(RunningQuery::Candidate) + static_cast<double>(k) * sizeof(Scored);
    part_ = std::clamp(static_cast<int64_t>(kStateBytes / state), int64_t{256}, int64_t{16384});
  }

  Neighbours run() {
    Neighbours result{torch::empty({queries_.size(0), k_}, torch::kInt64), torch::empty({queries_.size(0), k_})};
    for (int64_t first = 0; first < queries_.size(0); first += part_) {
      const int64_t count = std::min(part_, queries_.size(0) - first);
      run_part(queries_.slice(0, first, first + count), result.rows.slice(0, first, first + count),
               result.similarity.slice(0, first, first + count));
    }
    return result;
  }

 private:
  void run_part(const at::Tensor& queries, const at::Tensor& rows, const at::Tensor& similarity) {
    const int64_t count = queries.size(0);
    const auto* values = queries.const_data_ptr<float>();
    Rows rounded_queries, chunk;
    measure(values, count, dim_, 1, whole(count, blocks_.queries), bf16_, rounded_queries);
    running_.resize(static_cast<size_t>(count));
    for (int64_t q = 0; q < count; ++q) {
      running_[static_cast<size_t>(q)].start(values + q * dim_, rounded_queries.lengths[static_cast<size_t>(q)], k_);
    }
    const int64_t query_blocks = whole(count, blocks_.queries) / blocks_.queries;
    for (int64_t first = 0; first < gallery_.size(0); first += chunk_) {
      const int64_t size = std::min(chunk_, gallery_.size(0) - first);
      measure(gallery_.const_data_ptr<float>() + first * dim_, size, dim_, blocks_.gallery,
              whole(size, blocks_.gallery), bf16_, chunk);
      // A block as soon as a thread is free: beside other work on the same cores equal parts take unequal times.
      std::atomic<int64_t> next{0};
      at::parallel_for(0, std::min<int64_t>(query_blocks, at::get_num_threads()), 1, [&](int64_t, int64_t) {
        at::Tensor scores;
        for (int64_t block = next++; block < query_blocks; block = next++) {
          const int64_t start = block * blocks_.queries;
          const int64_t stop = std::min(count, start + blocks_.queries);
          meet_chunk(queries, rounded_queries, start, stop, first, size, chunk, scores);
        }
      });
    }
    auto* found = rows.data_ptr<int64_t>();
    auto* scores = similarity.data_ptr<float>();
    at::parallel_for(0, count, 16, [&](int64_t from, int64_t to) {
      for (int64_t q = from; q < to; ++q) {
        const auto& best = running_[static_cast<size_t>(q)].finish(gallery_.const_data_ptr<float>(), dim_);
        check(std::ssize(best) == k_, "nearest_rows: a query met fewer rows than it wants");
        for (int64_t i = 0; i < k_; ++i) {
          found[q * k_ + i] = best[static_cast<size_t>(i)].row;
          scores[q * k_ + i] = static_cast<float>(best[static_cast<size_t>(i)].score);
        }
      }
    });
  }

  /// Queries [start, stop) of the part against a chunk of the gallery that begins at row `first`.
  void meet_chunk(const at::Tensor& queries, const Rows& rounded_queries, int64_t start, int64_t stop, int64_t first,
                  int64_t size, const Rows& chunk, at::Tensor& scores) {
    bool bf16 = bf16_;
    for (int64_t tile = 0; tile * blocks_.gallery < size; ++tile) {
      const int64_t row = tile * blocks_.gallery;
      const int64_t rows = std::min(blocks_.gallery, size - row);
      const int64_t before = scored(start, stop);
      if (bf16) {
        const at::Tensor left = rounded_queries.rounded.slice(0, start, start + blocks_.queries);
        const at::Tensor right = chunk.rounded.slice(0, row, row + blocks_.gallery);
        prepare(scores, blocks_.queries, blocks_.gallery, torch::kBFloat16);
        at::mm_out(scores, left, right.t());
        meet_tile(reinterpret_cast<const uint16_t*>(scores.const_data_ptr()), blocks_.gallery, start, stop, first + row,
                  rows, chunk.lengths[static_cast<size_t>(tile)], kBf16Unit);
        // Too many rows within bf16's error of the k-th best: a finer product is cheaper than scoring them one by one.
        bf16 = (scored(start, stop) - before) * 32 < rows * (stop - start);
      } else {
        const at::Tensor right = gallery_.slice(0, first + row, first + row + rows);
        prepare(scores, stop - start, rows, torch::kFloat32);
        at::mm_out(scores, queries.slice(0, start, stop), right.t());
        meet_tile(scores.const_data_ptr<float>(), rows, start, stop, first + row, rows,
                  {chunk.lengths[static_cast<size_t>(tile)].length, 0}, 0);
      }
    }
  }

  static void prepare(at::Tensor& scores, int64_t rows, int64_t columns, at::ScalarType type) {
    if (scores.defined() && scores.scalar_type() == type && scores.size(0) == rows && scores.size(1) == columns) return;
    scores = torch::empty({rows, columns}, type);
  }

  template <class Score>
  void meet_tile(const Score* scores, int64_t stride, int64_t start, int64_t stop, int64_t first, int64_t rows,
                 RowLength length, float relative) {
    const auto* gallery = gallery_.const_data_ptr<float>();
    for (int64_t q = start; q < stop; ++q, scores += stride) {
      RunningQuery& query = running_[static_cast<size_t>(q)];
      RowLength own = query.length();
      if (std::is_same_v<Score, float>) own.lost = 0;
      query.meet(scores, first, rows, gallery, dim_, error_of(own, length, dim_), relative);
    }
  }

  int64_t scored(int64_t start, int64_t stop) const {
    int64_t sum = 0;
    for (int64_t q = start; q < stop; ++q) sum += running_[static_cast<size_t>(q)].scored();
    return sum;
  }

  at::Tensor gallery_, queries_;
  int64_t k_;
  SearchBlocks blocks_;
  int64_t dim_, chunk_ = 0, part_ = 0;
  bool bf16_ = false;
  std::vector<RunningQuery> running_;
};

}  // namespace

Neighbours nearest_rows(const at::Tensor& gallery, const at::Tensor& queries, int64_t k, const SearchBlocks& blocks) {
  check(gallery.dim() == 2 && queries.dim() == 2 && gallery.size(1) == queries.size(1),
        "nearest_rows: [N,C] and [Q,C]");
  check(gallery.size(0) > 0 && k > 0, "nearest_rows: a gallery with rows, and k of at least 1");
  check(blocks.queries > 0 && blocks.gallery > 0, "nearest_rows: blocks have rows");
  const at::NoGradGuard no_grad;
  return Search(gallery.detach().to(torch::kFloat32).contiguous(), queries.detach().to(torch::kFloat32).contiguous(),
                std::min(k, gallery.size(0)), blocks)
      .run();
}

Neighbours order_rows(const at::Tensor& gallery, const at::Tensor& queries, const at::Tensor& rows) {
  const at::Tensor base = gallery.detach().to(torch::kFloat32).contiguous();
  const at::Tensor asked = queries.detach().to(torch::kFloat32).contiguous();
  const int64_t k = rows.size(1);
  const int64_t dim = base.size(1);
  Neighbours result{rows.contiguous().clone(), torch::empty(rows.sizes(), torch::kFloat32)};
  auto* found = result.rows.data_ptr<int64_t>();
  auto* similarity = result.similarity.data_ptr<float>();
  at::parallel_for(0, rows.size(0), 16, [&](int64_t from, int64_t to) {
    std::vector<Scored> order;
    for (int64_t q = from; q < to; ++q) {
      order.clear();
      for (int64_t i = q * k; i < (q + 1) * k; ++i) {
        const int64_t row = found[i];
        if (row < 0) continue;
        order.push_back(
            {score_of(asked.const_data_ptr<float>() + q * dim, base.const_data_ptr<float>() + row * dim, dim), row});
      }
      std::sort(order.begin(), order.end());
      order.resize(static_cast<size_t>(k));
      for (int64_t i = 0; i < k; ++i) {
        found[q * k + i] = order[static_cast<size_t>(i)].row;
        similarity[q * k + i] = static_cast<float>(order[static_cast<size_t>(i)].score);
      }
    }
  });
  return result;
}

}  // namespace cstp
