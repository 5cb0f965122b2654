#include "cstp/models/model_profile.h"

#include <ATen/record_function.h>
#include <torch/torch.h>

#include <algorithm>
#include <cmath>
#include <memory>
#include <string_view>

#include "cstp/core/error.h"
#include "cstp/core/text.h"

namespace cstp {
namespace {

/// A call of a layer with weights.
struct LayerCall {
  bool norm = false;
  std::vector<int64_t> output;  ///< [C,T,H,W], [C,T,H*W] of a temporal convolution, or [C] of a linear layer
};

/// Writes down the layer calls of this thread while it lives.
class LayerRecorder {
 public:
  LayerRecorder() {
    calls().clear();
    handle_ = at::addThreadLocalCallback(
        at::RecordFunctionCallback(begin, end).needsOutputs(true).scopes({at::RecordScope::FUNCTION}));
  }
  ~LayerRecorder() { at::removeCallback(handle_); }
  LayerRecorder(const LayerRecorder&) = delete;
  LayerRecorder& operator=(const LayerRecorder&) = delete;

  static std::vector<LayerCall>& calls() {
    thread_local std::vector<LayerCall> list;
    return list;
  }

 private:
  static std::unique_ptr<at::ObserverContext> begin(const at::RecordFunction&) { return nullptr; }

  /// The operators that layers of this program call by name (a linear layer is "addmm"); what these call in turn has
  /// other names.
  static void end(const at::RecordFunction& call, at::ObserverContext*) {
    const std::string name = call.name();
    const bool norm = name == "aten::batch_norm";
    if (!norm && name != "aten::conv3d" && name != "aten::conv2d" && name != "aten::addmm") return;
    calls().push_back({norm, call.outputs().front().toTensor().sizes().slice(1).vec()});
  }

  at::CallbackHandle handle_ = 0;
};

/// [C,T,H,W]; views are square.
std::vector<int64_t> unfolded(const std::vector<int64_t>& sizes) {
  if (sizes.size() == 4) return sizes;
  if (sizes.size() == 1) return {sizes[0], 1, 1, 1};
  check(sizes.size() == 3, "profile_model: a layer's output is no video");
  const int64_t side = std::llround(std::sqrt(static_cast<double>(sizes[2])));
  check(side * side == sizes[2], "profile_model: a layer's output is not square");
  return {sizes[0], sizes[1], side, side};
}

LayerProfile describe(const std::string& name, const at::Tensor& weight, const LayerCall& call) {
  LayerProfile layer;
  layer.name = name;
  layer.output = unfolded(call.output);
  layer.output[0] = weight.size(0);
  layer.parameters = weight.numel();
  if (call.norm) {
    layer.kind = "norm";
    layer.statistics = 2 * weight.numel();
  } else {
    layer.kind = weight.dim() == 2 ? "linear" : cat("conv ", join(weight.sizes().slice(2), "x"));
    layer.multiply_adds = weight.numel() * layer.output[1] * layer.output[2] * layer.output[3];
  }
  return layer;
}

}  // namespace

ModelProfile profile_model(const ModelOptions& options, int64_t frames, int64_t size) {
  const torch::NoGradGuard no_grad;
  const auto full = make_backbone(options);
  const auto twin = make_backbone({.name = options.name, .width = std::min(options.width, 0.01)});
  full->eval();
  twin->eval();
  ModelProfile profile;
  std::vector<at::Tensor> maps;
  std::vector<LayerCall> calls;
  {
    const LayerRecorder recorder;
    maps = twin->stages(torch::zeros({1, 3, frames, size, size}));
    calls = LayerRecorder::calls();
  }
  // Layers run in the order in which they were registered, but for the norm before a sum, which runs after the
  // shortcut. It is taken for the shortcut's last norm, whose output has the same shape.
  const auto parameters = full->named_parameters();
  const auto thin = twin->named_parameters();
  std::vector<bool> seen(calls.size());
  for (const auto& item : parameters) {
    constexpr std::string_view kWeight = ".weight";
    if (!item.key().ends_with(kWeight)) continue;
    const at::Tensor* thin_weight = thin.find(item.key());
    check(thin_weight != nullptr, "profile_model: the thin twin lacks a layer");
    const auto fits = [&](size_t i) {
      return !seen[i] && calls[i].norm == (thin_weight->dim() == 1) && calls[i].output[0] == thin_weight->size(0);
    };
    size_t next = 0;
    while (next < calls.size() && !fits(next)) ++next;
    check(next < calls.size(), "profile_model: a layer was not seen");
    seen[next] = true;
    const LayerCall& call = calls[next];
    const std::string name = item.key().substr(0, item.key().size() - kWeight.size());
    LayerProfile& layer = profile.layers.emplace_back(describe(name, item.value(), call));
    if (const at::Tensor* bias = parameters.find(name + ".bias")) layer.parameters += bias->numel();
    profile.parameters += layer.parameters;
    profile.statistics += layer.statistics;
    profile.multiply_adds += layer.multiply_adds;
  }
  check(std::ranges::count(seen, false) == 0 && profile.parameters == parameter_count(*full),
        "profile_model: a layer was counted twice or not at all");
  const std::vector<int64_t> channels = full->stage_channels();
  for (size_t k = 0; k < maps.size(); ++k) {
    std::vector<int64_t> shape = maps[k].sizes().slice(1).vec();
    shape[0] = channels[k];
    profile.stages.push_back(std::move(shape));
  }
  return profile;
}

}  // namespace cstp
