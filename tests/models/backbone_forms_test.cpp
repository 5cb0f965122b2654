// What sets S3D, S3D-G, MC3 and the light C3D apart, against their tables and layer by layer.
#include <gtest/gtest.h>
#include <torch/torch.h>

#include <algorithm>
#include <array>
#include <string>
#include <utility>
#include <vector>

#include "conv_units.h"
#include "cstp/core/error.h"
#include "cstp/core/text.h"
#include "cstp/models/backbone.h"
#include "cstp/models/model_profile.h"

namespace cstp {
namespace {

TEST(MaxPoolSame, IsAPoolOfTheClipInItsZeros) {
  // TensorFlow's rule, worked out for every size apart: out = ceil(size / stride), zeros before = half, rounded down.
  const auto padded = [](const at::Tensor& x, int64_t d, int64_t kernel, int64_t stride) {
    const int64_t out = (x.size(d) + stride - 1) / stride;
    const int64_t zeros = std::max<int64_t>((out - 1) * stride + kernel - x.size(d), 0);
    std::vector<int64_t> before = x.sizes().vec(), after = before;
    before[static_cast<size_t>(d)] = zeros / 2;
    after[static_cast<size_t>(d)] = zeros - zeros / 2;
    return torch::cat({torch::zeros(before), x, torch::zeros(after)}, d);
  };
  torch::manual_seed(4);
  const std::array<std::pair<Size3, Size3>, 4> pools = {
      {{{1, 3, 3}, {1, 2, 2}}, {{3, 3, 3}, {2, 2, 2}}, {{2, 2, 2}, {2, 2, 2}}, {{3, 3, 3}, {1, 1, 1}}}};
  for (const auto& [kernel, stride] : pools) {
    for (int64_t size = 1; size <= 8; ++size) {
      const at::Tensor x = torch::rand({2, 3, size, size + 1, size + 2});
      at::Tensor wide = x;
      for (int64_t d = 0; d < 3; ++d) wide = padded(wide, d + 2, kernel[d], stride[d]);
      EXPECT_TRUE(torch::equal(max_pool_same(x, kernel, stride), torch::max_pool3d(wide, kernel, stride)))
          << size << " " << kernel[0] << kernel[1] << stride[0];
    }
  }
}

TEST(S3dg, HasTheStageSizesOfItsTable) {
  const ModelProfile profile = profile_model({.name = "s3dg"}, 64, 224);
  EXPECT_EQ(profile.stages[0], (std::vector<int64_t>{192, 32, 56, 56}));
  EXPECT_EQ(profile.stages[1], (std::vector<int64_t>{480, 32, 28, 28}));
  EXPECT_EQ(profile.stages[2], (std::vector<int64_t>{832, 16, 14, 14}));
  EXPECT_EQ(profile.stages[3], (std::vector<int64_t>{1024, 8, 7, 7}));
}

TEST(S3dg, LetsEachChannelPassAsItsGateSays) {
  const auto backbone = make_backbone({.name = "s3dg", .width = 0.125});
  backbone->eval();
  const torch::NoGradGuard no_grad;
  const at::Tensor clips = torch::randn({1, 3, 8, 32, 32});
  auto parameters = backbone->named_parameters();
  const auto set_gate = [&](const std::string& name, float bias) {
    parameters[name + ".fc.weight"].zero_();
    parameters[name + ".fc.bias"].fill_(bias);
  };
  const auto stage = [&](size_t k) { return backbone->stages(clips)[k]; };
  set_gate("features.3.2", 100);  // wide open: sigmoid(100) = 1
  const at::Tensor open = stage(0);
  set_gate("features.3.2", 0);  // half
  EXPECT_TRUE(torch::allclose(stage(0), 0.5 * open));
  // One gate a branch: that of branch 2 of block 3c (16 of 64 channels, behind 16 and 24) moves its channels alone.
  const at::Tensor before = stage(1);
  set_gate("features.6.branch2.2", -100);
  const at::Tensor shut = stage(1);
  EXPECT_TRUE(torch::equal(shut.narrow(1, 0, 40), before.narrow(1, 0, 40)));
  EXPECT_GT(before.narrow(1, 40, 16).max().item<double>(), 0);
  EXPECT_LT(shut.narrow(1, 40, 16).max().item<double>(), 1e-30);
  EXPECT_TRUE(torch::equal(shut.narrow(1, 56, 8), before.narrow(1, 56, 8)));
  // A gate looks at the mean over the whole clip, so it is the same at every place of a channel.
  parameters["features.3.2.fc.weight"].copy_(torch::randn({24, 24}));
  const at::Tensor ratio = (stage(0) / open).flatten(2);
  const at::Tensor seen = open.flatten(2) > 1e-3;
  EXPECT_LT(
      (ratio - ratio.where(seen, ratio.new_full({}, -1)).amax(2, true)).masked_select(seen).abs().max().item<double>(),
      1e-5);
}

TEST(S3d, SaysHowLargeAClipItsPoolsWant) {
  const auto backbone = make_backbone({.name = "s3d", .width = 0.125});
  backbone->eval();
  EXPECT_EQ(backbone->stages(torch::zeros({1, 3, 5, 17, 17})).back().sizes(), (std::vector<int64_t>{1, 128, 1, 1, 1}));
  for (const auto& [frames, height, width] :
       {std::array{4L, 17L, 17L}, std::array{5L, 16L, 40L}, std::array{5L, 40L, 16L}}) {
    try {
      backbone->stages(torch::zeros({1, 3, frames, height, width}));
      FAIL() << "a clip that is too small was taken";
    } catch (const ConfigError& error) {
      EXPECT_EQ(std::string(error.what()),
                cat("model.name: s3d wants clips of at least 5 frames and 17x17 pixels, and found ", frames,
                    " frames of ", height, "x", width,
                    "; raise clip.frames or clip.size (eval.frames, eval.size), or choose another "
                    "backbone"));
    }
  }
}

TEST(Backbones, TakeTheSmallestClipTheyName) {
  const torch::NoGradGuard no_grad;
  for (const BackboneRow& row : backbones()) {
    const auto backbone = make_backbone({.name = row.name, .width = 0.01});
    backbone->eval();
    const SmallestClip least = backbone->smallest_clip();
    const at::Tensor embedding = backbone->embed(torch::ones({1, 3, least.frames, least.size, least.size}));
    EXPECT_EQ(embedding.sizes(), (std::vector<int64_t>{1, backbone->features()})) << row.name;
  }
}

TEST(C3dLight, StartsFromTheWeightsOfTheReleasedCode) {
  const auto parameters = make_backbone({.name = "c3d_light"})->named_parameters();
  for (const char* name : {"conv1.0", "conv3.0", "conv5.0"}) {
    EXPECT_NEAR(parameters[std::string(name) + ".weight"].std().item<double>(), 0.01, 5e-4) << name;
    EXPECT_EQ(parameters[std::string(name) + ".bias"].abs().max().item<double>(), 0) << name;
  }
  for (const char* name : {"fc6", "fc7"}) {
    EXPECT_NEAR(parameters[std::string(name) + ".weight"].std().item<double>(), 0.005, 1e-4) << name;
    EXPECT_TRUE(parameters[std::string(name) + ".bias"].eq(1).all().item<bool>()) << name;
  }
  // A quarter of the inputs, twice the deviation: activations keep their size.
  const auto thin = make_backbone({.name = "c3d_light", .width = 0.25})->named_parameters();
  EXPECT_NEAR(thin["conv1.0.weight"].std().item<double>(), 0.01, 1e-3);  // three colours at any width
  EXPECT_NEAR(thin["conv4.0.weight"].std().item<double>(), 0.02, 1e-3);
  EXPECT_NEAR(thin["fc6.weight"].std().item<double>(), 0.01, 2e-4);
}

TEST(C3dLight, ReadsPool5AsItIsAt112AndAveragedElsewhere) {
  const auto backbone = make_backbone({.name = "c3d_light", .width = 0.01});
  const torch::NoGradGuard no_grad;
  torch::manual_seed(5);
  const at::Tensor clip = torch::randn({1, 3, 16, 112, 112});
  const auto maps = backbone->stages(clip);
  EXPECT_EQ(maps[0].sizes().slice(2), (std::vector<int64_t>{16, 56, 56}));
  EXPECT_EQ(maps[2].sizes().slice(2), (std::vector<int64_t>{4, 14, 14}));
  const auto parameters = backbone->named_parameters();
  const auto conv = [&](const at::Tensor& x, const std::string& name) {
    return torch::conv3d(x, parameters[name + ".0.weight"], parameters[name + ".0.bias"], 1, 1).relu();
  };
  const at::Tensor bytes = 127.5 * clip;
  EXPECT_TRUE(
      torch::allclose(maps[0], conv(max_pool_same(conv(bytes, "conv1"), {1, 2, 2}, {1, 2, 2}), "conv2"), 1e-4, 1e-5));
  const at::Tensor conv5 = conv(max_pool_same(maps[2], {2, 2, 2}, {2, 2, 2}), "conv5");
  const at::Tensor pool5 = max_pool_same(conv5, {2, 2, 2}, {2, 2, 2});
  ASSERT_EQ(pool5.sizes().slice(2), (std::vector<int64_t>{1, 4, 4}));
  const auto linear = [&](const at::Tensor& x, const std::string& name) {
    return torch::linear(x, parameters[name + ".weight"], parameters[name + ".bias"]).relu();
  };
  EXPECT_TRUE(torch::allclose(backbone->embed(clip), linear(linear(pool5.flatten(1), "fc6"), "fc7"), 1e-4, 1e-6));
  // A clip whose pool5 is no 1x4x4, here 1x1x2, is taken all the same.
  EXPECT_EQ(backbone->embed(torch::randn({1, 3, 5, 20, 33})).size(1), backbone->features());
}

TEST(Mc318, LooksAcrossFramesInItsStemAndFirstStageOnly) {
  const auto parameters = make_backbone({.name = "mc3_18", .width = 0.125})->named_parameters();
  EXPECT_EQ(parameters["stem.0.weight"].size(2), 3);
  EXPECT_EQ(parameters["layer1.1.conv2.0.weight"].size(2), 3);
  for (const char* name : {"layer2.0.conv1.0.weight", "layer3.1.conv2.0.weight", "layer4.1.conv2.0.weight"}) {
    EXPECT_EQ(parameters[name].sizes().slice(2), (std::vector<int64_t>{1, 3, 3})) << name;
  }
}

}  // namespace
}  // namespace cstp
