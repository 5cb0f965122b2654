// What networks cost, against published and hand-worked numbers; no full-size network is run.
#include "cstp/models/model_profile.h"

#include <gtest/gtest.h>
#include <torch/torch.h>

#include <set>
#include <string>

namespace cstp {
namespace {

const LayerProfile& layer(const ModelProfile& profile, const std::string& name) {
  for (const LayerProfile& row : profile.layers) {
    if (row.name == name) return row;
  }
  throw std::out_of_range("no layer " + name);
}

double giga(int64_t count) { return static_cast<double>(count) / 1e9; }

TEST(ModelProfile, HasTheMultiplyAddsOfCvrlsR3d50) {
  const ModelProfile training = profile_model({.name = "r3d50"}, 16, 224);
  EXPECT_NEAR(giga(training.multiply_adds), 45.52, 0.005);
  EXPECT_EQ(training.parameters, 31'672'128);
  EXPECT_EQ(training.parameters + training.statistics, 31'725'248);
  EXPECT_EQ(training.stages[0], (std::vector<int64_t>{256, 8, 56, 56}));
  EXPECT_EQ(training.stages[3], (std::vector<int64_t>{2048, 8, 7, 7}));
  EXPECT_NEAR(giga(profile_model({.name = "r3d50"}, 32, 224).multiply_adds), 91.03, 0.005);
  EXPECT_NEAR(giga(profile_model({.name = "r3d50"}, 32, 256).multiply_adds), 118.90, 0.005);
}

TEST(ModelProfile, AgreesWithTorchvisionsFigures) {
  // GFLOPs (multiply-adds) stated with the weights of r3d_18, mc3_18 and r2plus1d_18 at 16x112x112, classifier (of
  // 400 x 512 multiply-adds) included; and of s3d at 16x224x224.
  EXPECT_NEAR(giga(profile_model({.name = "mc3_18"}, 16, 112).multiply_adds), 43.343, 0.001);
  EXPECT_NEAR(giga(profile_model({.name = "s3d"}, 16, 224).multiply_adds), 17.979, 0.001);
  EXPECT_NEAR(giga(profile_model({.name = "r3d18"}, 16, 112).multiply_adds), 40.697, 0.001);
  EXPECT_NEAR(giga(profile_model({.name = "r2plus1d18"}, 16, 112).multiply_adds), 40.519, 0.001);
}

TEST(ModelProfile, CountsALayerByHand) {
  const ModelProfile profile = profile_model({.name = "c3d_bn"}, 16, 112);
  const LayerProfile& first = layer(profile, "conv1.0");
  EXPECT_EQ(first.kind, "conv 3x3x3");
  EXPECT_EQ(first.output, (std::vector<int64_t>{64, 16, 112, 112}));
  EXPECT_EQ(first.parameters, 64 * 3 * 27 + 64);
  EXPECT_EQ(first.multiply_adds, 64 * 3 * 27 * 16 * 112 * 112);
  const LayerProfile& norm = layer(profile, "conv1.1");
  EXPECT_EQ(norm.kind, "norm");
  EXPECT_EQ(norm.parameters, 128);
  EXPECT_EQ(norm.statistics, 128);
  EXPECT_EQ(norm.multiply_adds, 0);
  const ModelProfile light = profile_model({.name = "c3d_light"}, 8, 32);
  const LayerProfile& fc6 = layer(light, "fc6");
  EXPECT_EQ(fc6.kind, "linear");
  EXPECT_EQ(fc6.output, (std::vector<int64_t>{2048, 1, 1, 1}));
  EXPECT_EQ(fc6.parameters, 4096 * 2048 + 2048);
  EXPECT_EQ(fc6.multiply_adds, 4096 * 2048);
  const ModelProfile factorised = profile_model({.name = "r2plus1d10"}, 16, 112);
  const LayerProfile& temporal = layer(factorised, "layer2.0.conv1.0.3");  // computed over flattened space
  EXPECT_EQ(temporal.kind, "conv 3x1x1");
  EXPECT_EQ(temporal.output, (std::vector<int64_t>{128, 8, 28, 28}));
  EXPECT_EQ(temporal.multiply_adds, 128 * 230 * 3 * 8 * 28 * 28);
}

class ProfileOfEveryBackbone : public testing::TestWithParam<BackboneRow> {};

TEST_P(ProfileOfEveryBackbone, IsThatOfTheNetworkThatRuns) {
  const ModelOptions options{.name = GetParam().name, .width = 0.125};
  const ModelProfile profile = profile_model(options, 8, 32);
  const auto backbone = make_backbone(options);
  EXPECT_EQ(profile.parameters, parameter_count(*backbone));
  backbone->eval();
  const torch::NoGradGuard no_grad;
  const auto maps = backbone->stages(torch::zeros({1, 3, 8, 32, 32}));
  for (size_t k = 0; k < maps.size(); ++k) EXPECT_EQ(profile.stages[k], maps[k].sizes().slice(1).vec());
  std::set<std::string> names;
  for (const LayerProfile& row : profile.layers) EXPECT_TRUE(names.insert(row.name).second) << row.name;
}

INSTANTIATE_TEST_SUITE_P(Table, ProfileOfEveryBackbone, testing::ValuesIn(backbones().begin(), backbones().end()),
                         [](const auto& row) { return std::string(row.param.name); });

}  // namespace
}  // namespace cstp
