#include "norm_by_kernels.h"

#include <ATen/ATen.h>
#include <c10/core/DeviceGuard.h>
#include <torch/csrc/autograd/custom_function.h>
#ifdef CSTP_CUDA
#include <c10/cuda/CUDAStream.h>
#endif

#include "cstp/core/error.h"
#include "cstp/core/text.h"
#include "cstp/distributed/collectives.h"
#include "held_world.h"

namespace cstp {
namespace {

using torch::autograd::AutogradContext;
using torch::autograd::variable_list;

void* stream_of(const at::Tensor& x) {
#ifdef CSTP_CUDA
  if (x.is_cuda()) return c10::cuda::getCurrentCUDAStream(x.device().index()).stream();
#endif
  check(x.is_cpu(), "norm_by_kernels: this build has no kernels for the device");
  return nullptr;
}

void require(const char* error) {
  if (error != nullptr) {
    throw DeviceError(cat("a batch norm's kernel could not be launched: ", error,
                          "; this build has code for GPUs from the A100 on (compute capability 8.0)"));
  }
}

const NormLaunchers& held_launchers(AutogradContext* context) {
  return *reinterpret_cast<const NormLaunchers*>(static_cast<intptr_t>(context->saved_data["launchers"].toInt()));
}

/// What forward and backward fill in alike. @param one_by_one values are not to be taken 16 bytes at a time
/// @param partials receives the room for the blocks' sums
void describe(const NormLaunchers& launchers, const at::Tensor& x, std::initializer_list<at::Tensor> beside,
              bool one_by_one, NormCall& call, at::Tensor& partials) {
  call.channels = x.size(1);
  call.rows = x.numel() / call.channels;
  call.bf16 = x.scalar_type() == at::kBFloat16;
  auto address = reinterpret_cast<uintptr_t>(x.const_data_ptr()) | (one_by_one ? 1 : 0);
  for (const at::Tensor& values : beside) {
    if (values.defined()) address |= reinterpret_cast<uintptr_t>(values.const_data_ptr());
  }
  call.grid = norm_grid(call.rows, call.channels, call.bf16, address, launchers.multiprocessors());
  call.x = x.const_data_ptr();
  partials = at::empty({call.grid.blocks_y, 2, call.channels},
                       x.options().dtype(at::kFloat).memory_format(at::MemoryFormat::Contiguous));
  call.partials = partials.mutable_data_ptr<float>();
}

class NormByKernels : public torch::autograd::Function<NormByKernels> {
 public:
  /// Not inputs of the function: nothing is differentiated through them.
  struct Beside {
    const NormLaunchers& launchers;
    torch::nn::BatchNorm3dImpl& norm;
    bool relu;
    const World& world;
  };

  static at::Tensor forward(AutogradContext* context, const at::Tensor& x, const at::Tensor& weight,
                            const at::Tensor& bias, const at::Tensor& addend, const Beside& beside) {
    const c10::OptionalDeviceGuard guard(x.device());
    const bool added = addend.numel() > 0;
    at::Tensor y = at::empty_like(x), partials, gate;
    NormForward call;
    describe(beside.launchers, x, {y, added ? addend : at::Tensor()}, /*one_by_one=*/false, call, partials);
    const auto room = x.options().memory_format(at::MemoryFormat::Contiguous);
    at::Tensor totals = at::empty({2 * call.channels + 1}, room.dtype(at::kDouble));
    const at::Tensor statistics = at::empty({4, call.channels}, room.dtype(at::kFloat));
    if (added && beside.relu) gate = at::empty({call.rows, call.grid.columns}, room.dtype(at::kByte));
    call.weights = weight.size(0);
    call.relu = beside.relu;
    call.totals = totals.mutable_data_ptr<double>();
    call.statistics = statistics.mutable_data_ptr<float>();
    call.addend = added ? addend.const_data_ptr() : nullptr;
    call.y = y.mutable_data_ptr();
    call.gate = gate.defined() ? gate.mutable_data_ptr<uint8_t>() : nullptr;
    call.weight = weight.const_data_ptr<float>();
    call.bias = bias.const_data_ptr<float>();
    call.running_mean = beside.norm.running_mean.mutable_data_ptr<float>();
    call.running_var = beside.norm.running_var.mutable_data_ptr<float>();
    call.tracked = beside.norm.num_batches_tracked.mutable_data_ptr<int64_t>();
    call.momentum = *beside.norm.options.momentum();
    call.eps = beside.norm.options.eps();
    void* stream = stream_of(x);
    const bool alone = beside.world.size == 1;
    require(beside.launchers.moments(call, /*finish=*/alone, stream));
    if (!alone) {
      sum_over_ranks(totals, beside.world);
      require(beside.launchers.statistics(call, stream));
    }
    require(beside.launchers.map(call, stream));
    context->save_for_backward({x, weight, statistics, totals, gate});
    context->saved_data["vector"] = int64_t{call.grid.vector};
    context->saved_data["relu"] = beside.relu;
    context->saved_data["added"] = added;
    context->saved_data["world"] = hold(beside.world);
    context->saved_data["launchers"] = static_cast<int64_t>(reinterpret_cast<intptr_t>(&beside.launchers));
    return y;
  }

  static variable_list backward(AutogradContext* context, const variable_list& gradients) {
    const NormLaunchers& launchers = held_launchers(context);
    const World& world = held(context->saved_data["world"]);
    const variable_list saved = context->get_saved_variables();
    const at::Tensor &x = saved[0], &weight = saved[1], &statistics = saved[2], &gate = saved[4];
    at::Tensor totals = saved[3];
    const c10::OptionalDeviceGuard guard(x.device());
    const bool added = context->saved_data["added"].toBool();
    const at::Tensor dy = gradients[0].to(x.scalar_type()).contiguous(at::MemoryFormat::ChannelsLast3d);
    const at::Tensor dx = at::empty_like(x);
    const at::Tensor gated = gate.defined() ? at::empty_like(x) : at::Tensor();
    const at::Tensor d_weight = at::empty_like(weight), d_bias = at::empty_like(weight);
    at::Tensor partials;
    NormBackward call;
    // The gate has a byte for each vector of the forward pass, so the cut must be the same; a gradient at an odd
    // address (a part of another tensor) is moved.
    const int64_t vector = context->saved_data["vector"].toInt();
    describe(launchers, x, {dx, gated}, /*one_by_one=*/vector == 1, call, partials);
    check(call.grid.vector == vector, "norm_by_kernels: values were cut otherwise");
    const at::Tensor aligned = reinterpret_cast<uintptr_t>(dy.const_data_ptr()) % 16 == 0 ? dy : dy.clone();
    const at::Tensor bends = at::empty({2, call.channels}, statistics.options());
    call.weights = weight.size(0);
    call.relu = context->saved_data["relu"].toBool();
    call.totals = totals.mutable_data_ptr<double>();  // of the forward pass; its count is still wanted
    call.statistics = statistics.mutable_data_ptr<float>();
    call.dy = aligned.const_data_ptr();
    call.gate = gate.defined() ? gate.const_data_ptr<uint8_t>() : nullptr;
    call.gated = gated.defined() ? gated.mutable_data_ptr() : nullptr;
    call.dx = dx.mutable_data_ptr();
    call.d_weight = d_weight.mutable_data_ptr<float>();
    call.d_bias = d_bias.mutable_data_ptr<float>();
    call.bends = bends.mutable_data_ptr<float>();
    void* stream = stream_of(x);
    const bool alone = world.size == 1;
    require(launchers.gradient_sums(call, /*finish=*/alone, stream));
    if (!alone) {
      at::Tensor sums = totals.narrow(0, 0, 2 * call.channels);
      sum_over_ranks(sums, world);
      require(launchers.bends(call, stream));
    }
    require(launchers.gradient_map(call, stream));
    return {dx, d_weight, d_bias, !added ? at::Tensor() : gated.defined() ? gated : dy, at::Tensor()};
  }
};

}  // namespace

at::Tensor norm_by_kernels(const NormLaunchers& launchers, torch::nn::BatchNorm3dImpl& norm, const at::Tensor& x,
                           const at::Tensor& addend, bool relu, const World& world) {
  const at::Tensor none = at::empty({0}, x.options().memory_format(at::MemoryFormat::Contiguous));
  return NormByKernels::apply(x, norm.weight, norm.bias, addend.defined() ? addend : none,
                              NormByKernels::Beside{launchers, norm, relu, world});
}

}  // namespace cstp
