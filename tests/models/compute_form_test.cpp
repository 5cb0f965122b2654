// However convolutions are computed (padded channels, 2D views), a network is the same one; and in channels-last order
// it stays there from the clips to the last gradient.
#include <ATen/record_function.h>
#include <gtest/gtest.h>
#include <torch/cuda.h>
#include <torch/torch.h>

#include <set>
#include <string>
#include <vector>

#include "cstp/models/backbone.h"

namespace cstp {
namespace {

struct Pass {
  std::vector<at::Tensor> maps, gradients;  ///< stages; of the clips and of every parameter
  std::vector<at::Tensor> statistics;
};

std::shared_ptr<Backbone> made(const std::string& name, const ModelOptions& form) {
  torch::manual_seed(1);
  ModelOptions options = form;
  options.name = name;
  options.width = 0.125;
  return make_backbone(options);
}

void into_channels_last(torch::nn::Module& module) {
  for (at::Tensor& parameter : module.parameters()) {
    if (parameter.dim() == 5) parameter.set_data(parameter.contiguous(at::MemoryFormat::ChannelsLast3d));
  }
}

Pass pass_of(Backbone& backbone, const at::Tensor& clips) {
  Pass pass;
  const at::Tensor x = clips.detach().clone().requires_grad_();
  pass.maps = backbone.stages(x);
  // Gradients of a loss on all stages and on the embedding, in the order of what they belong to.
  std::vector<at::Tensor> outputs = pass.maps, slopes;
  outputs.push_back(backbone.pool(pass.maps));
  for (const at::Tensor& output : outputs) slopes.push_back(output.detach() * 0.1);
  torch::autograd::backward(outputs, slopes);
  pass.gradients.push_back(x.grad());
  for (const at::Tensor& parameter : backbone.parameters()) pass.gradients.push_back(parameter.grad());
  for (const at::Tensor& buffer : backbone.buffers()) pass.statistics.push_back(buffer.clone());
  return pass;
}

/// Relative to the size of the whole tensor.
double apart(const at::Tensor& a, const at::Tensor& b) {
  const double size = b.to(at::kDouble).norm().item<double>();
  return (a - b).to(at::kDouble).norm().item<double>() / std::max(size, 1e-12);
}

class ComputeForms : public testing::TestWithParam<std::string> {};

TEST_P(ComputeForms, GiveTheSameOutputsGradientsAndStatistics) {
  torch::manual_seed(2);
  const at::Tensor clips = torch::randn({2, 3, 8, 32, 32}, at::kDouble).contiguous(at::MemoryFormat::ChannelsLast3d);
  const auto plain = made(GetParam(), {.pad_channels = "off", .conv2d_views = "off"});
  plain->to(at::kDouble);
  into_channels_last(*plain);
  const Pass expected = pass_of(*plain, clips);
  plain->eval();
  const at::Tensor evaluated = plain->embed(clips);
  for (const auto& [pad, views] : {std::pair{"on", "off"}, {"off", "on"}, {"on", "on"}}) {
    SCOPED_TRACE(testing::Message() << "pad_channels " << pad << ", conv2d_views " << views);
    const auto other = made(GetParam(), {.pad_channels = pad, .conv2d_views = views});
    other->to(at::kDouble);
    into_channels_last(*other);
    const Pass found = pass_of(*other, clips);
    for (size_t k = 0; k < expected.maps.size(); ++k) {
      ASSERT_EQ(found.maps[k].sizes(), expected.maps[k].sizes());
      EXPECT_LT(apart(found.maps[k], expected.maps[k]), 1e-9) << k;
    }
    for (size_t k = 0; k < expected.gradients.size(); ++k) {
      ASSERT_EQ(found.gradients[k].sizes(), expected.gradients[k].sizes());
      EXPECT_LT(apart(found.gradients[k], expected.gradients[k]), 1e-7) << k;
    }
    for (size_t k = 0; k < expected.statistics.size(); ++k) {
      EXPECT_LT(apart(found.statistics[k], expected.statistics[k]), 1e-9) << k;
    }
    other->eval();
    EXPECT_LT(apart(other->embed(clips), evaluated), 1e-9);
  }
}

INSTANTIATE_TEST_SUITE_P(Networks, ComputeForms,
                         testing::Values("r2plus1d10", "r2plus1d18", "mc3_18", "r3d50", "s3d", "s3dg"),
                         [](const auto& tested) { return tested.param; });

TEST(ComputeForms, PadTheChannelsBetweenTheHalvesAlone) {
  const auto network = made("r2plus1d10", {.pad_channels = "on"});
  int64_t odd = 0;
  for (const auto& item : network->named_parameters()) odd += item.value().dim() == 5 && item.value().size(0) % 8 != 0;
  EXPECT_GT(odd, 3);  // or the tests above pad nothing
  for (const at::Tensor& map : network->stages(torch::randn({2, 3, 8, 32, 32}))) EXPECT_EQ(map.size(1) % 8, 0);
}

constexpr int64_t kClips = 2;

/// Operators that give a map, or a gradient, in another order than channels-last, while it lives. Those that only look
/// at memory in another way do not count.
class OrderWatch {
 public:
  OrderWatch() {
    found().clear();
    handle_ = at::addGlobalCallback(
        at::RecordFunctionCallback(begin, end).needsOutputs(true).scopes({at::RecordScope::FUNCTION}));
  }
  ~OrderWatch() { at::removeCallback(handle_); }
  OrderWatch(const OrderWatch&) = delete;
  OrderWatch& operator=(const OrderWatch&) = delete;
  static std::set<std::string>& found() {
    static std::set<std::string> names;
    return names;
  }

 private:
  static bool is_last(const at::Tensor& x) {
    return x.is_contiguous(x.dim() == 5 ? at::MemoryFormat::ChannelsLast3d : at::MemoryFormat::ChannelsLast);
  }
  /// Told from weights by its first size: clips, or clips times frames of the first stage.
  static bool is_map(const at::Tensor& x) {
    return (x.dim() == 5 && x.size(0) == kClips) || (x.dim() == 4 && (x.size(0) == kClips || x.size(0) == kClips * 8));
  }
  static std::unique_ptr<at::ObserverContext> begin(const at::RecordFunction&) { return nullptr; }
  static void end(const at::RecordFunction& call, at::ObserverContext*) {
    static const std::set<std::string> kViews = {
        "transpose", "flatten", "unflatten",  "view",          "permute",        "expand",     "expand_as",  "slice",
        "squeeze",   "select",  "unsqueeze",  "narrow",        "detach",         "alias",      "to",         "reshape",
        "empty",     "resize_", "empty_like", "empty_strided", "_reshape_alias", "as_strided", "as_strided_"};
    std::string name = call.name();
    if (name.starts_with("aten::")) name = name.substr(6);
    if (kViews.contains(name)) return;
    for (const c10::IValue& output : call.outputs()) {
      if (!output.isTensor()) continue;
      const at::Tensor& x = output.toTensor();
      if (!x.defined() || !is_map(x) || !x.is_non_overlapping_and_dense() || is_last(x)) continue;
      found().insert(c10::str(name, " gives ", x.sizes(), " with strides ", x.strides()));
    }
  }
  at::CallbackHandle handle_ = 0;
};

class EveryNetwork : public testing::TestWithParam<std::string> {};

TEST_P(EveryNetwork, StaysInChannelsLastOrderForwardAndBackward) {
  torch::manual_seed(2);
  const at::Tensor clips = torch::randn({kClips, 3, 8, 32, 32}).contiguous(at::MemoryFormat::ChannelsLast3d);
  for (const char* choice : {"off", "on"}) {
    SCOPED_TRACE(choice);
    const auto network = made(GetParam(), {.pad_channels = "off", .conv2d_views = choice});
    into_channels_last(*network);
    const OrderWatch watch;
    const Pass pass = pass_of(*network, clips);
    if (GetParam() != "c3d_light") {  // whose fully connected layers read the last map in contiguous order
      for (const std::string& name : OrderWatch::found()) ADD_FAILURE() << name;
    }
    for (const at::Tensor& map : pass.maps) {
      EXPECT_TRUE(map.is_contiguous(at::MemoryFormat::ChannelsLast3d)) << map.sizes() << map.strides();
    }
    EXPECT_TRUE(pass.gradients[0].is_contiguous(at::MemoryFormat::ChannelsLast3d)) << pass.gradients[0].strides();
    const auto parameters = network->named_parameters();
    for (size_t k = 0; k < parameters.size(); ++k) {
      if (parameters[k].value().dim() != 5) continue;
      EXPECT_TRUE(pass.gradients[k + 1].is_contiguous(at::MemoryFormat::ChannelsLast3d)) << parameters[k].key();
    }
  }
}

TEST(CudaNetworks, GiveWhatTheyGiveOnTheCpuAndStayInChannelsLastOrder) {
  if (!torch::cuda::is_available()) GTEST_SKIP() << "no GPU here";
  torch::manual_seed(2);
  const at::Tensor clips = torch::randn({kClips, 3, 8, 64, 64}).contiguous(at::MemoryFormat::ChannelsLast3d);
  for (const char* name : {"r2plus1d10", "r2plus1d18", "r3d18", "r3d50", "s3d", "s3dg"}) {
    SCOPED_TRACE(name);
    const auto here = made(name, {}), there = made(name, {});
    there->to(c10::Device(c10::kCUDA, 0));
    into_channels_last(*here);
    into_channels_last(*there);
    const Pass expected = pass_of(*here, clips);
    const at::Tensor moved = clips.to(c10::Device(c10::kCUDA, 0));
    pass_of(*there, moved);  // libraries choose algorithms, in whatever order these want
    const auto again = made(name, {});
    again->to(c10::Device(c10::kCUDA, 0));
    into_channels_last(*again);
    const OrderWatch watch;
    const Pass found = pass_of(*again, moved);
    for (const std::string& operation : OrderWatch::found()) ADD_FAILURE() << operation;
    for (size_t k = 0; k < expected.maps.size(); ++k) {  // f32 convolutions may round to TF32
      EXPECT_LT(apart(found.maps[k].cpu(), expected.maps[k]), 2e-2) << k;
    }
  }
}

std::vector<std::string> networks() {
  std::vector<std::string> names;
  for (const BackboneRow& row : backbones()) {
    if (row.learns) names.emplace_back(row.name);
  }
  return names;
}
INSTANTIATE_TEST_SUITE_P(Table, EveryNetwork, testing::ValuesIn(networks()),
                         [](const auto& tested) { return tested.param; });

}  // namespace
}  // namespace cstp
