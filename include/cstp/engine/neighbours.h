/// Exact nearest neighbours by inner product: what k-NN, retrieval and the check of an approximate index search with.
///
/// Products of blocks of queries and blocks of the gallery, in the fastest arithmetic that the machine has, only say
/// which rows may be among the k nearest: their error is bounded, and no row within it is left out. Those few rows are
/// scored again in double precision, and these scores are the order. So the result is that of comparing every pair in
/// double precision, whatever the blocks, the threads, the BLAS or the processor.
#pragma once
#include <ATen/core/Tensor.h>

#include <cstdint>

namespace cstp {

/// Nearest first; of equal scores the lower gallery row first.
struct Neighbours {
  at::Tensor rows;        ///< [Q,k] int64, rows of the gallery; -1 where an approximate index found fewer
  at::Tensor similarity;  ///< [Q,k] f32, inner products rounded from double; -inf where a row is missing or no number
};

/// What the blocks are multiplied in. bf16 halves memory and, with the processor's matrix unit (AMX), takes a fraction
/// of the time; without one it is slower.
enum class ScoreKind { automatic, f32, bf16 };

/// How the work is cut. None of it changes the result.
struct SearchBlocks {
  int64_t queries = 256;   ///< rows of a block, at most
  int64_t gallery = 1024;  ///< rows of a block
  int64_t chunk_bytes =
      256 << 20;  ///< of the gallery that all blocks of queries meet before the next: its rounded copy
  ScoreKind kind = ScoreKind::automatic;
};

/// The k nearest of the gallery's rows to each query. Memory: the inputs, O(k) a query and a few blocks; never [Q,N].
/// Time: where very many rows lie within the arithmetic's error of the k-th best (a collapsed network, thousands of
/// copies) each of them is scored twice, which costs up to some ten times a plain product.
/// @param gallery [N,C], queries [Q,C]: f32 on the CPU
/// @param k at least 1; min(k, N) columns come back
Neighbours nearest_rows(const at::Tensor& gallery, const at::Tensor& queries, int64_t k,
                        const SearchBlocks& blocks = {});

/// The order that nearest_rows() would give these rows: for what an approximate index found. @param rows [Q,k] int64;
/// -1 (none) comes last
Neighbours order_rows(const at::Tensor& gallery, const at::Tensor& queries, const at::Tensor& rows);

}  // namespace cstp
