// One contract for every backbone, and the exact form of each by its parameter count.
#include "cstp/models/backbone.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <torch/torch.h>

#include <ATen/autocast_mode.h>

#include <map>
#include <string>

#include "cstp/core/config.h"
#include "cstp/core/error.h"

namespace cstp {
namespace {

class EveryBackbone : public testing::TestWithParam<BackboneRow> {
 protected:
  std::shared_ptr<Backbone> make(double width) const {
    torch::manual_seed(1);
    return make_backbone({.name = GetParam().name, .width = width});
  }
  const at::Tensor clips_ = (torch::manual_seed(2), torch::randn({2, 3, 8, 32, 32}));
};

TEST_P(EveryBackbone, GivesFourStagesThatHalveInTimeAndSpace) {
  const auto backbone = make(0.125);
  const auto maps = backbone->stages(clips_);
  ASSERT_EQ(maps.size(), 4U);
  const std::vector<int64_t> channels = backbone->stage_channels();
  EXPECT_THAT(channels, testing::ElementsAre(8, 16, 32, 64));
  for (size_t k = 0; k < maps.size(); ++k) {
    EXPECT_EQ(maps[k].size(0), 2);
    EXPECT_EQ(maps[k].size(1), channels[k]);
    EXPECT_GE(maps[k].min().item<double>(), 0);  // after its activation
    if (k == 0) continue;
    for (int64_t d = 2; d < 5; ++d) EXPECT_EQ(maps[k].size(d), (maps[k - 1].size(d) + 1) / 2);
  }
  EXPECT_EQ(backbone->features(), 64);
}

TEST_P(EveryBackbone, EmbedsAClipAsTheMeanOfItsLastStage) {
  const auto backbone = make(0.125);
  backbone->eval();
  const at::Tensor embedding = backbone->embed(clips_);
  EXPECT_EQ(embedding.sizes(), (std::vector<int64_t>{2, 64}));
  EXPECT_TRUE(torch::allclose(embedding, backbone->stages(clips_).back().flatten(2).mean(2), 1e-5, 1e-6));
}

TEST_P(EveryBackbone, GivesTheSameInChannelsLastOrder) {
  const auto backbone = make(0.125);
  backbone->eval();  // norms over the two or so values of a tiny last stage would blow rounding up
  const auto contiguous = backbone->stages(clips_);
  for (at::Tensor& parameter : backbone->parameters()) {
    if (parameter.dim() == 5) parameter.set_data(parameter.contiguous(at::MemoryFormat::ChannelsLast3d));
  }
  const auto last = backbone->stages(clips_.contiguous(at::MemoryFormat::ChannelsLast3d));
  for (size_t k = 0; k < last.size(); ++k) {
    EXPECT_TRUE(last[k].is_contiguous(at::MemoryFormat::ChannelsLast3d))
        << k << " " << last[k].sizes() << last[k].strides();
    EXPECT_TRUE(torch::allclose(contiguous[k], last[k], 1e-4, 1e-5)) << k;
  }
}

TEST_P(EveryBackbone, TrainsEveryParameterAtASmallWidth) {
  const auto backbone = make(0.125);
  torch::optim::SGD sgd(backbone->parameters(), torch::optim::SGDOptions(0.05));
  const at::Tensor target = torch::tensor({1.0F, 0.0F});
  std::vector<double> losses;
  for (int step = 0; step < 8; ++step) {
    sgd.zero_grad();
    const at::Tensor loss = (backbone->embed(clips_).mean(1) - target).square().mean();
    loss.backward();
    for (const auto& item : backbone->named_parameters()) {
      ASSERT_TRUE(item.value().grad().defined()) << item.key();
      ASSERT_TRUE(item.value().grad().isfinite().all().item<bool>()) << item.key();
    }
    sgd.step();
    losses.push_back(loss.item<double>());
  }
  EXPECT_LT(losses.back(), losses.front());
}

TEST_P(EveryBackbone, RunsUnderBfloat16Autocast) {
  const auto backbone = make(0.125);
  backbone->eval();
  const torch::NoGradGuard no_grad;
  const at::Tensor exact = backbone->embed(clips_);
  at::autocast::set_autocast_dtype(at::kCPU, at::kBFloat16);
  at::autocast::set_autocast_enabled(at::kCPU, true);
  const at::Tensor rounded = backbone->embed(clips_);
  at::autocast::set_autocast_enabled(at::kCPU, false);
  at::autocast::clear_cache();
  EXPECT_EQ(rounded.scalar_type(), at::kBFloat16);
  EXPECT_LT(((rounded.to(at::kFloat) - exact).norm() / exact.norm()).item<double>(), 0.03);
}

TEST_P(EveryBackbone, HasTheParametersOfItsForm) {
  // CSTP's forms: counts of the released code. torchvision's: its own counts (33,371,472 and 31,505,325) without fc.
  const std::map<std::string, int64_t> counts = {{"r2plus1d10", 14'365'303},
                                                 {"r3d10_pool", 14'399'424},
                                                 {"r3d18_pool", 33'203'904},
                                                 {"r3d18", 33'371'472 - (512 * 400 + 400)},
                                                 {"r2plus1d18", 31'505'325 - (512 * 400 + 400)}};
  ASSERT_TRUE(counts.contains(GetParam().name)) << "add the count of " << GetParam().name;
  EXPECT_EQ(parameter_count(*make(1.0)), counts.at(GetParam().name));
}

std::vector<BackboneRow> rows(bool learns) {
  std::vector<BackboneRow> found;
  for (const BackboneRow& row : backbones()) {
    if (row.learns == learns) found.push_back(row);
  }
  return found;
}

INSTANTIATE_TEST_SUITE_P(Table, EveryBackbone, testing::ValuesIn(rows(true)),
                         [](const auto& row) { return std::string(row.param.name); });

class EveryBaseline : public testing::TestWithParam<BackboneRow> {};

TEST_P(EveryBaseline, HasNoWeightsAndTheFeaturesItClaims) {
  const auto baseline = make_backbone({.name = GetParam().name});
  EXPECT_EQ(parameter_count(*baseline), 0);
  const auto maps = baseline->stages(torch::randn({2, 3, 8, 40, 40}));
  ASSERT_EQ(maps.size(), 4U);
  for (size_t k = 0; k < maps.size(); ++k) EXPECT_EQ(maps[k].size(1), baseline->stage_channels()[k]);
  EXPECT_EQ(baseline->embed(torch::randn({2, 3, 8, 40, 40})).sizes(), (std::vector<int64_t>{2, 768}));
}

INSTANTIATE_TEST_SUITE_P(Table, EveryBaseline, testing::ValuesIn(rows(false)),
                         [](const auto& row) { return std::string(row.param.name); });

/// A bright square of 4 pixels which jumps from (0,0) to (0,16) half way through 4 frames of 64x64.
at::Tensor jumping_square() {
  at::Tensor clip = torch::zeros({1, 3, 4, 64, 64});
  clip.slice(2, 0, 2).slice(3, 0, 4).slice(4, 0, 4).fill_(1);
  clip.slice(2, 2, 4).slice(3, 0, 4).slice(4, 16, 20).fill_(1);
  return clip;
}

TEST(MeanFrame, SeesWhereThingsWereOnAverage) {
  const at::Tensor feature = make_backbone({.name = "mean_frame"})->embed(jumping_square()).reshape({3, 16, 16});
  EXPECT_FLOAT_EQ(feature[0][0][0].item<float>(), 0.5F);
  EXPECT_FLOAT_EQ(feature[2][0][4].item<float>(), 0.5F);
  EXPECT_FLOAT_EQ(feature.sum().item<float>(), 3.0F);
}

TEST(FrameDifference, SeesWhereThingsChanged) {
  const auto baseline = make_backbone({.name = "frame_difference"});
  const at::Tensor feature = baseline->embed(jumping_square()).reshape({3, 16, 16});
  EXPECT_FLOAT_EQ(feature[0][0][0].item<float>(), 1.0F / 3);  // one change in three steps
  EXPECT_FLOAT_EQ(feature[1][0][4].item<float>(), 1.0F / 3);
  EXPECT_EQ(baseline->embed(torch::ones({1, 3, 4, 32, 32})).abs().max().item<float>(), 0);
  EXPECT_EQ(baseline->embed(torch::ones({1, 3, 1, 32, 32})).abs().max().item<float>(), 0);  // a single frame
}

TEST(R2Plus1d10, HasTheMidChannelsOfTheReleasedCode) {
  const auto backbone = make_backbone({.name = "r2plus1d10"});
  const auto parameters = backbone->named_parameters();
  const auto mid = [&](const std::string& name) { return parameters[name].size(0); };
  EXPECT_EQ(mid("stem.0.weight"), 83);
  EXPECT_EQ(mid("layer1.0.conv1.0.0.weight"), 144);
  EXPECT_EQ(mid("layer2.0.conv1.0.0.weight"), 230);
  EXPECT_EQ(mid("layer2.0.conv2.0.0.weight"), 288);
  EXPECT_EQ(mid("layer3.0.conv1.0.0.weight"), 460);
  EXPECT_EQ(mid("layer3.0.conv2.0.0.weight"), 576);
  EXPECT_EQ(mid("layer4.0.conv1.0.0.weight"), 921);
  EXPECT_EQ(mid("layer4.0.conv2.0.0.weight"), 1152);
  EXPECT_EQ(mid("layer2.0.downsample.0.0.weight"), 42);
  EXPECT_EQ(mid("layer3.0.downsample.0.0.weight"), 85);
  EXPECT_EQ(mid("layer4.0.downsample.0.0.weight"), 170);
}

TEST(R2Plus1d10, HasTheStageSizesOfTheReleasedCodeAt112) {
  const auto backbone = make_backbone({.name = "r2plus1d10", .width = 0.125});
  const torch::NoGradGuard no_grad;
  const auto maps = backbone->stages(torch::zeros({1, 3, 16, 112, 112}));
  EXPECT_EQ(maps[0].sizes(), (std::vector<int64_t>{1, 8, 16, 56, 56}));
  EXPECT_EQ(maps[1].sizes(), (std::vector<int64_t>{1, 16, 8, 28, 28}));
  EXPECT_EQ(maps[2].sizes(), (std::vector<int64_t>{1, 32, 4, 14, 14}));
  EXPECT_EQ(maps[3].sizes(), (std::vector<int64_t>{1, 64, 2, 7, 7}));
}

TEST(R3dPool, HasTheStageSizesOfTheReleasedCodeAt112) {
  const auto backbone = make_backbone({.name = "r3d10_pool", .width = 0.125});
  const torch::NoGradGuard no_grad;
  const auto maps = backbone->stages(torch::zeros({1, 3, 16, 112, 112}));
  EXPECT_EQ(maps[0].sizes(), (std::vector<int64_t>{1, 8, 8, 28, 28}));
  EXPECT_EQ(maps[3].sizes(), (std::vector<int64_t>{1, 64, 1, 4, 4}));
}

TEST(Backbones, NameTheNearestOneWhenAskedForAnUnknownOne) {
  try {
    make_backbone({.name = "r2plus1d_18"});
    FAIL() << "an unknown name was taken";
  } catch (const ConfigError& error) {
    EXPECT_THAT(error.what(), testing::HasSubstr("did you mean 'r2plus1d18'?"));
  }
  EXPECT_THROW(ConfigNode::parse("{name: r3d99}", "here").read<ModelOptions>("model"), ConfigError);
  EXPECT_EQ(ConfigNode::parse("{name: r3d18, width: 0.5}", "here").read<ModelOptions>("model").width, 0.5);
}

TEST(Backbones, CountOnlyTrainableParameters) {
  const auto backbone = make_backbone({.name = "r3d10_pool", .width = 0.125});
  const int64_t all = parameter_count(*backbone);
  at::Tensor stem = backbone->named_parameters()["stem.0.weight"];
  stem.set_requires_grad(false);
  EXPECT_EQ(parameter_count(*backbone), all - stem.numel());
}

}  // namespace
}  // namespace cstp
