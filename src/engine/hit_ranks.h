/// Where the right answers stand in the ranking of a whole gallery, without sorting it: for average precision.
#pragma once
#include <ATen/core/Tensor.h>

#include <cstdint>
#include <vector>

namespace cstp {

/// One query's answers.
struct HitRanks {
  int64_t first = 0;     ///< rank of the first hit, from 1; 0 where there is none
  double precision = 0;  ///< average precision; 0 where there is no hit
};

/// Ranks by the order of nearest_rows(), and exact as that is. Time: a product in f32 and a binary search a pair.
/// @param gallery [N,C], queries [Q,C]: f32 on the CPU
/// @param hits [Q] gallery rows that are right answers, ascending; null: none
std::vector<HitRanks> rank_hits(const at::Tensor& gallery, const at::Tensor& queries,
                                const std::vector<const std::vector<int64_t>*>& hits);

}  // namespace cstp
