/// What ranks tell each other besides gradients. Every rank must make the same calls in the same order; in a world of
/// one each is free and changes nothing. None carries a gradient.
#pragma once
#include <ATen/core/Tensor.h>

#include <cstdint>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "cstp/distributed/world.h"

namespace cstp {

/// In place. Any device, dense.
void sum_over_ranks(at::Tensor& values, const World& world);
/// A new tensor in a world of several.
at::Tensor mean_over_ranks(const at::Tensor& values, const World& world);

/// Every tensor becomes rank 0's, in place. Shapes must agree.
void take_from_first(const std::vector<at::Tensor>& tensors, const World& world);
int64_t take_from_first(int64_t value, const World& world);
std::string take_from_first(const std::string& text, const World& world);

/// Rows of all ranks in rank order, [n_r,...] -> [sum n_r,...]; ranks may have different numbers of rows, none too.
/// The other sizes and the type must agree. On the tensor's device.
at::Tensor join_rows(const at::Tensor& rows, const World& world);
/// One text a rank, in rank order.
std::vector<std::string> join_texts(const std::string& text, const World& world);

/// Waits until all ranks are here.
void meet(const World& world);

/// The part [first, last) of `count` things that a rank works on; the parts are in rank order and cover all.
std::pair<int64_t, int64_t> part_of_rank(int64_t count, const World& world);

/// A flag that is up for all as soon as one rank raised it, asked every step without waiting for the others: the answer
/// is that of the question before. In a world of one, the flag itself at once.
class AgreedFlag {
 public:
  explicit AgreedFlag(World world);
  ~AgreedFlag();  ///< waits for the answer under way
  bool ask(bool mine);

 private:
  struct Pending;
  World world_;
  std::unique_ptr<Pending> pending_;
};

}  // namespace cstp
