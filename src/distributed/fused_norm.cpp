#include "fused_norm.h"

#include <ATen/ATen.h>
#include <ATen/Parallel.h>
#include <torch/csrc/autograd/custom_function.h>

#include <algorithm>
#include <cmath>
#include <vector>

#include "norm_by_kernels.h"
#include "norm_loops.h"

namespace cstp {
namespace {

using torch::autograd::AutogradContext;
using torch::autograd::variable_list;

/// Rows of channels, cut into parts that threads take. The parts depend on the size alone, and so do sums over them.
struct Rows {
  int64_t count, channels;
  int64_t part;  ///< rows of a part, but for the last

  explicit Rows(const at::Tensor& x) : count(x.numel() / x.size(1)), channels(x.size(1)) {
    constexpr int64_t kValues = 1 << 16;
    part = std::max<int64_t>(1, kValues / channels);
  }
  int64_t parts() const { return (count + part - 1) / part; }

  /// use(part, values before it, rows in it)
  template <class Use>
  void for_each_part(const Use& use) const {
    at::parallel_for(0, parts(), 1, [&](int64_t begin, int64_t end) {
      for (int64_t p = begin; p < end; ++p) use(p, p * part * channels, std::min(part, count - p * part));
    });
  }
  /// Two sums a channel: measure(values before a part, rows in it, first, second) of every part, added in order.
  template <class Measure>
  void sum(const Measure& measure, std::vector<double>& first, std::vector<double>& second) const {
    const auto size = static_cast<size_t>(channels);
    std::vector<double> sums(2 * size * static_cast<size_t>(parts()));
    for_each_part([&](int64_t p, int64_t at, int64_t rows) {
      double* own = sums.data() + 2 * channels * p;
      measure(at, rows, own, own + channels);
    });
    first.assign(size, 0);
    second.assign(size, 0);
    for (int64_t p = 0; p < parts(); ++p) {
      const double* own = sums.data() + 2 * channels * p;
      for (size_t c = 0; c < size; ++c) first[c] += own[c], second[c] += own[size + c];
    }
  }
};

template <class T>
T* values_of(const at::Tensor& x) {
  return static_cast<T*>(x.data_ptr());
}

/// Calls use(T()) with the type of x's values.
template <class Use>
void with_values(const at::Tensor& x, const Use& use) {
  if (x.scalar_type() == at::kFloat) {
    use(float());
  } else {
    use(BrainFloat());
  }
}

const float* floats_of(const at::Tensor& channels) { return channels.const_data_ptr<float>(); }

bool is_channels_last(const at::Tensor& x) { return x.is_contiguous(at::MemoryFormat::ChannelsLast3d); }

/// Not inputs of the function: nothing is differentiated through them.
struct Running {
  at::Tensor mean, var;  ///< updated in place
  double momentum, eps;
  bool relu;
};

class FusedNorm : public torch::autograd::Function<FusedNorm> {
 public:
  static at::Tensor forward(AutogradContext* context, const at::Tensor& x, const at::Tensor& weight,
                            const at::Tensor& bias, const at::Tensor& addend, const Running& running) {
    const Rows rows(x);
    const int64_t channels = rows.channels;
    const auto options = at::TensorOptions(at::kFloat);
    at::Tensor mean = at::empty({channels}, options), inverse = at::empty({channels}, options);
    at::Tensor scale = at::empty({channels}, options), shift = at::empty({channels}, options);
    at::Tensor y = at::empty_like(x);
    const bool added = addend.numel() > 0;
    with_values(x, [&]<class T>(T) {
      const T* from = values_of<T>(x);
      // Around each channel's first value: a mean far from 0 beside the spread then costs nothing.
      std::vector<float> around(static_cast<size_t>(channels));
      const at::Tensor first = x.select(4, 0).select(3, 0).select(2, 0).select(0, 0).to(at::kFloat).contiguous();
      std::copy_n(floats_of(first), channels, around.begin());
      std::vector<double> sum, square;
      rows.sum([&](int64_t at, int64_t n, double* a,
                   double* b) { sum_moments(from + at, n, channels, around.data(), a, b); },
               sum, square);
      const auto n = static_cast<double>(rows.count);
      for (int64_t c = 0; c < channels; ++c) {
        const auto i = static_cast<size_t>(c);
        const double off = sum[i] / n;
        const double m = static_cast<double>(around[i]) + off;
        const double var = std::max(square[i] / n - off * off, 0.0);
        const double inv = 1 / std::sqrt(var + running.eps);
        const double w = static_cast<double>(floats_of(weight)[c]) * inv;
        mean.data_ptr<float>()[c] = static_cast<float>(m);
        inverse.data_ptr<float>()[c] = static_cast<float>(inv);
        scale.data_ptr<float>()[c] = static_cast<float>(w);
        shift.data_ptr<float>()[c] = static_cast<float>(static_cast<double>(floats_of(bias)[c]) - w * m);
        const auto move = [&](const at::Tensor& old, double now) {
          float& value = old.data_ptr<float>()[c];
          value = static_cast<float>((1 - running.momentum) * static_cast<double>(value) + running.momentum * now);
        };
        move(running.mean, m);
        move(running.var, var * (n / (n - 1)));
      }
      const T* more = added ? values_of<T>(addend) : nullptr;
      rows.for_each_part([&](int64_t, int64_t at, int64_t rows_in) {
        map_rows(from + at, added ? more + at : nullptr, rows_in, channels, {floats_of(scale), floats_of(shift)},
                 running.relu, values_of<T>(y) + at);
      });
    });
    context->save_for_backward({x, weight, mean, inverse, scale, shift, added && running.relu ? y : at::Tensor()});
    context->saved_data["relu"] = running.relu;
    context->saved_data["added"] = added;
    return y;
  }

  static variable_list backward(AutogradContext* context, const variable_list& gradients) {
    const variable_list saved = context->get_saved_variables();
    const at::Tensor &x = saved[0], &weight = saved[1], &mean = saved[2], &inverse = saved[3];
    const ChannelMap map{floats_of(saved[4]), floats_of(saved[5])};
    const bool added = context->saved_data["added"].toBool();
    const at::Tensor dy = gradients[0].to(x.scalar_type()).contiguous(at::MemoryFormat::ChannelsLast3d);
    const Rows rows(x);
    const int64_t channels = rows.channels;
    at::Tensor dx = at::empty_like(x);
    at::Tensor d_addend = added ? at::empty_like(x) : at::Tensor();
    at::Tensor d_weight = at::empty_like(weight), d_bias = at::empty_like(weight);
    with_values(x, [&]<class T>(T) {
      const T *of_y = values_of<T>(dy), *of_x = values_of<T>(x);
      const T* y = saved[6].defined() ? values_of<T>(saved[6]) : nullptr;
      const bool relu = context->saved_data["relu"].toBool();
      const auto gate_at = [&](int64_t at) { return Gate<T>{.relu = relu, .y = y == nullptr ? nullptr : y + at}; };
      std::vector<double> sum, dot;
      rows.sum(
          [&](int64_t at, int64_t n, double* a, double* b) {
            sum_gradients(of_y + at, of_x + at, gate_at(at), n, channels, map, floats_of(mean), a, b);
          },
          sum, dot);
      std::vector<float> bend(sum.size()), offset(sum.size());
      const auto n = static_cast<double>(rows.count);
      for (size_t c = 0; c < sum.size(); ++c) {
        const auto inv = static_cast<double>(floats_of(inverse)[c]), slope = static_cast<double>(map.scale[c]);
        d_bias.data_ptr<float>()[c] = static_cast<float>(sum[c]);
        d_weight.data_ptr<float>()[c] = static_cast<float>(dot[c] * inv);
        bend[c] = static_cast<float>(-slope * inv * inv * dot[c] / n);
        offset[c] = static_cast<float>(-slope * sum[c] / n);
      }
      rows.for_each_part([&](int64_t, int64_t at, int64_t rows_in) {
        gradient_rows(of_y + at, of_x + at, gate_at(at), rows_in, channels, map, floats_of(mean),
                      {map.scale, bend.data(), offset.data()}, values_of<T>(dx) + at,
                      added ? values_of<T>(d_addend) + at : nullptr);
      });
    });
    return {dx, d_weight, d_bias, d_addend, at::Tensor()};
  }
};

}  // namespace

bool can_fuse_norm(const torch::nn::BatchNorm3dImpl& norm, const at::Tensor& x, const at::Tensor& addend,
                   const World& world) {
#ifdef CSTP_CUDA
  const bool here = x.is_cuda() || (x.is_cpu() && world.size == 1);
#else
  const bool here = x.is_cpu() && world.size == 1;
#endif
  const auto fits = [&x](const at::Tensor& t) {
    return t.device() == x.device() && t.dim() == 5 && is_channels_last(t) && t.scalar_type() == x.scalar_type() &&
           t.sizes() == x.sizes();
  };
  // The CPU's loops know no padding; see sync_norm.h.
  const bool whole = x.is_cuda() || (x.dim() == 5 && x.size(1) == norm.options.num_features());
  const bool known = x.scalar_type() == at::kFloat || x.scalar_type() == at::kBFloat16;
  return here && whole && norm.is_training() && known && fits(x) && (!addend.defined() || fits(addend)) &&
         norm.weight.defined() && norm.weight.scalar_type() == at::kFloat && norm.running_mean.defined() &&
         norm.options.momentum().has_value() && (x.numel() > x.size(1) || world.size > 1);
}

at::Tensor fused_norm(torch::nn::BatchNorm3dImpl& norm, const at::Tensor& x, const at::Tensor& addend, bool relu,
                      [[maybe_unused]] const World& world) {
#ifdef CSTP_CUDA
  if (x.is_cuda()) return norm_by_kernels(cuda_norm_launchers(), norm, x, addend, relu, world);
#endif
  norm.num_batches_tracked.add_(1);
  const at::Tensor none = at::empty({0}, x.options().memory_format(at::MemoryFormat::Contiguous));
  return FusedNorm::apply(
      x, norm.weight, norm.bias, addend.defined() ? addend : none,
      Running{norm.running_mean, norm.running_var, *norm.options.momentum(), norm.options.eps(), relu});
}

}  // namespace cstp
