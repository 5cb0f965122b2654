// One contract for every backbone, and the exact form of each by its parameter count.
#include "cstp/models/backbone.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <torch/torch.h>

#include <ATen/autocast_mode.h>

#include <array>
#include <cmath>
#include <map>
#include <string>

#include "cstp/core/config.h"
#include "cstp/core/error.h"

namespace cstp {
namespace {

/// What a name stands for.
struct Form {
  int64_t parameters;                             ///< at full width
  int64_t statistics;                             ///< running means and variances beside them
  std::vector<int64_t> channels;                  ///< of the stages at an eighth of the width
  std::array<int64_t, 3> time_steps = {2, 2, 2};  ///< what time is divided by, from stage to stage
  bool linear_end = false;                        ///< the last stage is 1x1x1
  /// At which a few steps on two clips lower the loss: where a tiny last map leaves norms two values each, weights of
  /// the framework's default size turn by much at any step, and the others must learn faster than those jump about.
  double learning_rate = 0.05;
};

/// CSTP's forms: counts of the released code. torchvision's: its own counts (33,371,472 and 31,505,325) without fc.
/// r3d10, r2plus1d18_vcop and c3d_bn: STS, section 8, and HDC, fact 19. CVRL's: its section 4, where the paper's counts
/// include the running statistics. s3dg and c3d_light: STS, section 8, the latter without its head of 14.
const std::map<std::string, Form> kForms = {
    {"r2plus1d10", {14'365'303, 14'350, {8, 16, 32, 64}}},
    {"r3d10_pool", {14'399'424, 5'760, {8, 16, 32, 64}}},
    {"r3d18_pool", {33'203'904, 9'600, {8, 16, 32, 64}}},
    {"r3d18", {33'371'472 - (512 * 400 + 400), 9'600, {8, 16, 32, 64}}},
    {"r2plus1d18", {31'505'325 - (512 * 400 + 400), 25'350, {8, 16, 32, 64}}},
    {"r3d10", {14'361'792, 5'760, {8, 16, 32, 64}}},
    {"r3d18_vcop", {33'166'272, 9'600, {8, 16, 32, 64}}},
    {"r2plus1d18_vcop", {33'178'423, 26'830, {8, 16, 32, 64}}},
    {"mc3_18", {11'695'440 - (512 * 400 + 400), 9'600, {8, 16, 32, 64}, {1, 1, 1}}},
    {"r3d50", {31'672'128, 31'725'248 - 31'672'128, {32, 64, 128, 256}, {1, 1, 1}}},
    {"r3d101", {59'577'152, 59'682'496 - 59'577'152, {32, 64, 128, 256}, {1, 1, 1}}},
    {"r3d152", {82'036'544, 82'187'968 - 82'036'544, {32, 64, 128, 256}, {1, 1, 1}}},
    {"c3d", {27'661'440 - 2 * 2'752, 0, {16, 32, 64, 64}}},
    {"c3d_bn", {27'661'440, 2 * 2'752, {16, 32, 64, 64}}},
    {"c3d_light", {17'266'702 - (2048 * 14 + 14), 0, {16, 32, 32, 256}, {2, 2, 2}, true}},
    {"s3d", {8'320'048 - (1024 * 400 + 400), 21'216, {24, 64, 104, 128}, {1, 2, 2}, false, 0.5}},
    {"s3dg", {9'125'072, 21'088, {24, 64, 104, 128}, {1, 2, 2}, false, 0.5}},
};

int64_t statistics_count(const torch::nn::Module& module) {
  int64_t count = 0;
  for (const at::Tensor& buffer : module.buffers()) count += buffer.dim() > 0 ? buffer.numel() : 0;
  return count;
}

class EveryBackbone : public testing::TestWithParam<BackboneRow> {
 protected:
  const Form& form() const { return kForms.at(GetParam().name); }
  std::shared_ptr<Backbone> make(double width) const {
    torch::manual_seed(1);
    return make_backbone({.name = GetParam().name, .width = width});
  }
  const at::Tensor clips_ = (torch::manual_seed(2), torch::randn({2, 3, 8, 32, 32}));
};

TEST_P(EveryBackbone, GivesFourStagesThatHalveInSpaceAndAsItsFormSaysInTime) {
  const auto backbone = make(0.125);
  const auto maps = backbone->stages(clips_);
  ASSERT_EQ(maps.size(), 4U);
  const std::vector<int64_t> channels = backbone->stage_channels();
  EXPECT_EQ(channels, form().channels);
  for (size_t k = 0; k < maps.size(); ++k) {
    EXPECT_EQ(maps[k].size(0), 2);
    EXPECT_EQ(maps[k].size(1), channels[k]);
    EXPECT_GE(maps[k].min().item<double>(), 0);  // after its activation
    if (k == 0) continue;
    if (k == 3 && form().linear_end) {
      EXPECT_EQ(maps[k].sizes().slice(2), (std::vector<int64_t>{1, 1, 1}));
      continue;
    }
    const int64_t steps = form().time_steps[k - 1];
    EXPECT_EQ(maps[k].size(2), (maps[k - 1].size(2) + steps - 1) / steps);
    for (int64_t d = 3; d < 5; ++d) EXPECT_EQ(maps[k].size(d), (maps[k - 1].size(d) + 1) / 2);
  }
  EXPECT_EQ(backbone->features(), form().channels.back());
}

TEST_P(EveryBackbone, EmbedsAClipAsTheMeanOfItsLastStage) {
  const auto backbone = make(0.125);
  backbone->eval();
  const at::Tensor embedding = backbone->embed(clips_);
  EXPECT_EQ(embedding.sizes(), (std::vector<int64_t>{2, form().channels.back()}));
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
  torch::optim::SGD sgd(backbone->parameters(), torch::optim::SGDOptions(form().learning_rate));
  // So large that no norm sees two values a channel alone: its output would hardly depend on them.
  const at::Tensor clips = torch::randn({2, 3, 8, 64, 64});
  const at::Tensor target = torch::tensor({1.0F, 0.0F});
  std::vector<double> losses;
  for (int step = 0; step < 8; ++step) {
    sgd.zero_grad();
    const at::Tensor loss = (backbone->embed(clips).mean(1) - target).square().mean();
    loss.backward();
    for (const auto& item : backbone->named_parameters()) {
      ASSERT_TRUE(item.value().grad().defined()) << item.key();
      ASSERT_TRUE(item.value().grad().isfinite().all().item<bool>()) << item.key();
    }
    sgd.step();
    losses.push_back(loss.item<double>());
  }
  EXPECT_LT(losses.back(), losses.front()) << testing::PrintToString(losses);
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
  ASSERT_TRUE(kForms.contains(GetParam().name)) << "add the form of " << GetParam().name;
  const auto backbone = make(1.0);
  EXPECT_EQ(parameter_count(*backbone), form().parameters);
  EXPECT_EQ(statistics_count(*backbone), form().statistics);
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

TEST(Vcop, HasTheStageSizesOfHdcAt112) {
  // The same maps in time and space for HDC's three backbones; C3D's first is twice as wide.
  const torch::NoGradGuard no_grad;
  for (const char* name : {"r3d18_vcop", "r2plus1d18_vcop", "r3d10", "c3d", "c3d_bn"}) {
    const auto maps = make_backbone({.name = name, .width = 0.125})->stages(torch::zeros({1, 3, 16, 112, 112}));
    EXPECT_EQ(maps[0].sizes().slice(2), (std::vector<int64_t>{16, 56, 56})) << name;
    EXPECT_EQ(maps[1].sizes().slice(2), (std::vector<int64_t>{8, 28, 28})) << name;
    EXPECT_EQ(maps[2].sizes().slice(2), (std::vector<int64_t>{4, 14, 14})) << name;
    EXPECT_EQ(maps[3].sizes().slice(2), (std::vector<int64_t>{2, 7, 7})) << name;
  }
}

/// Parameters of CVRL's network at a width, from its layers at width 1: convolutions grow in both channel counts, but
/// for the first, which sees three colours; norms grow in one.
int64_t widened_count(const torch::nn::Module& network, int64_t width) {
  int64_t count = 0;
  for (const auto& item : network.named_parameters()) {
    const bool once = item.value().dim() == 1 || item.key() == "stem.0.weight";
    count += item.value().numel() * (once ? width : width * width);
  }
  return count;
}

TEST(Cvrl, HasTheCountsOfThePaperAtItsWidths) {
  const auto r3d50 = make_backbone({.name = "r3d50"});
  const auto r3d152 = make_backbone({.name = "r3d152"});
  const auto twice = make_backbone({.name = "r3d50", .width = 2});
  EXPECT_EQ(parameter_count(*twice), 126'488'192);
  EXPECT_EQ(parameter_count(*twice) + statistics_count(*twice), 126'594'432);
  EXPECT_EQ(twice->features(), 4096);
  // The rule that spares building networks of gigabytes, checked against the one built.
  EXPECT_EQ(widened_count(*r3d50, 2), 126'488'192);
  EXPECT_EQ(widened_count(*r3d152, 2), 327'749'248);
  EXPECT_EQ(widened_count(*r3d152, 2) + 2 * statistics_count(*r3d152), 328'052'096);
  EXPECT_EQ(widened_count(*r3d50, 4), 505'552'128);
  EXPECT_EQ(widened_count(*r3d50, 4) + 4 * statistics_count(*r3d50), 505'764'608);
}

TEST(Cvrl, HasTheCountsOfThePaperStageByStage) {
  const auto children = make_backbone({.name = "r3d50"})->named_children();
  EXPECT_EQ(parameter_count(*children["stem"]), 47'168);
  EXPECT_EQ(parameter_count(*children["layer1"]), 215'808);
  EXPECT_EQ(parameter_count(*children["layer2"]), 1'219'584);
  EXPECT_EQ(parameter_count(*children["layer3"]), 9'981'952);
  EXPECT_EQ(parameter_count(*children["layer4"]), 20'207'616);
}

TEST(Cvrl, StartsFromATruncatedNormalOfItsFanIn) {
  const auto parameters = make_backbone({.name = "r3d50"})->named_parameters();
  for (const char* name : {"layer3.1.conv1.0.weight", "layer2.0.conv2.0.weight", "stem.0.weight"}) {
    const at::Tensor& weight = parameters[name];
    const double fan_in = static_cast<double>(weight.numel()) / static_cast<double>(weight.size(0));
    EXPECT_NEAR(weight.std().item<double>() * std::sqrt(fan_in), 1, 0.01) << name;
    EXPECT_NEAR(weight.mean().item<double>() * std::sqrt(fan_in), 0, 0.02) << name;
    const double farthest = weight.abs().max().item<double>() * std::sqrt(fan_in);
    EXPECT_LE(farthest, 2 / 0.8796256 + 1e-4) << name;
    EXPECT_GT(farthest, 2.2) << name;
  }
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
