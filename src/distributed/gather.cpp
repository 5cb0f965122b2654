#include "cstp/distributed/gather.h"

#include <ATen/ATen.h>
#include <torch/csrc/autograd/custom_function.h>

#include "cstp/core/error.h"
#include "cstp/distributed/collectives.h"
#include "held_world.h"
#include "rank_group.h"

namespace cstp {
namespace {

class Gather : public torch::autograd::Function<Gather> {
 public:
  static at::Tensor forward(torch::autograd::AutogradContext* context, const at::Tensor& rows, const World& world) {
    context->saved_data["world"] = hold(world);
    std::vector<int64_t> shape = rows.sizes().vec();
    shape[0] *= world.size;
    at::Tensor all = at::empty(shape, rows.options().memory_format(at::MemoryFormat::Contiguous));
    at::Tensor mine = rows.contiguous();
    exchange(world, [&](c10d::ProcessGroup& group) { group._allgather_base(all, mine)->wait(); });
    return all;
  }

  static torch::autograd::variable_list backward(torch::autograd::AutogradContext* context,
                                                 const torch::autograd::variable_list& gradients) {
    const World& world = held(context->saved_data["world"]);
    at::Tensor sum = gradients[0].contiguous().clone();
    sum_over_ranks(sum, world);
    const int64_t own = sum.size(0) / world.size;
    return {sum.narrow(0, world.rank * own, own), {}};
  }
};

}  // namespace

at::Tensor gather(const at::Tensor& rows, const World& world) {
  if (world.size == 1) return rows;
  check(rows.dim() > 0 && rows.size(0) > 0, "gather: there are no rows");
  return Gather::apply(rows, world);
}

at::Tensor gather_views_in_order(const at::Tensor& rows, int64_t views, const World& world) {
  if (world.size == 1) return rows;
  check(rows.size(0) % views == 0, "gather_views_in_order: the rows are no views of whole videos");
  return gather(rows, world).unflatten(0, {world.size, views, -1}).transpose(0, 1).flatten(0, 2);
}

}  // namespace cstp
