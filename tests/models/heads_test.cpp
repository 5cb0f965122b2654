// Heads have the sizes of the released code, and start within the bounds that it starts within.
#include "cstp/models/heads.h"

#include <gtest/gtest.h>
#include <torch/torch.h>

#include "cstp/models/backbone.h"

namespace cstp {
namespace {

double largest(const at::Tensor& x) { return x.abs().max().item<double>(); }

TEST(Mlp, HasTheParametersOfCstpsHeads) {
  EXPECT_EQ(parameter_count(*Mlp(512, 4096, 512)), 4'207'104);  // projector, predictor
  EXPECT_EQ(parameter_count(*Mlp(1024, 1024, 5)), 1'056'773);   // overlap
  EXPECT_EQ(parameter_count(*Mlp(512, 512, 5)), 266'245);       // rate and rotation, five-way
}

TEST(Mlp, IsLinearNormReluLinear) {
  torch::manual_seed(1);
  Mlp mlp(3, 4, 2);
  const auto p = mlp->named_parameters();
  const at::Tensor x = torch::randn({5, 3});
  at::Tensor h = x.mm(p["layers.0.weight"].t()) + p["layers.0.bias"];
  h = (h - h.mean(0)) / (h.var(0, /*unbiased=*/false) + 1e-5).sqrt();  // batch statistics; gamma 1, beta 0
  const at::Tensor expected = h.clamp_min(0).mm(p["layers.3.weight"].t()) + p["layers.3.bias"];
  EXPECT_TRUE(torch::allclose(mlp->forward(x), expected, 1e-4, 1e-5));
}

TEST(Projector, HasTheParametersOfCvrlsHeads) {
  const auto parameters = [](int64_t width, int64_t hidden_layers) {
    return parameter_count(*Projector(ProjectorOptions{.in = width, .hidden = width, .hidden_layers = hidden_layers}));
  };
  EXPECT_EQ(parameters(2048, 0), 262'272);
  EXPECT_EQ(parameters(2048, 1), 4'462'720);
  EXPECT_EQ(parameters(2048, 2), 8'663'168);
  EXPECT_EQ(parameters(2048, 3), 12'863'616);
  EXPECT_EQ(parameters(2048, 4), 17'064'064);
  EXPECT_EQ(parameters(4096, 3), 50'892'928);  // of a network of double width
  int64_t statistics = 0;
  for (const auto& buffer : Projector(ProjectorOptions{.in = 2048, .hidden = 2048})->named_buffers()) {
    if (buffer.value().dim() == 1) statistics += buffer.value().numel();
  }
  EXPECT_EQ(12'863'616 + statistics, 12'875'904);
}

TEST(Projector, ClassifiersOfItsFeaturesHaveTheWorkedParameters) {
  for (const auto& [classes, count] : {std::pair{400, 819'600}, {600, 1'229'400}, {101, 206'949}, {51, 104'499}})
    EXPECT_EQ(parameter_count(*torch::nn::Linear(2048, classes)), count);
}

TEST(Projector, IsLinearNormReluAgainAndAgainThenLinear) {
  torch::manual_seed(1);
  Projector projector(ProjectorOptions{.in = 3, .hidden = 4, .hidden_layers = 2, .out = 2, .norm_momentum = 0.003});
  const auto p = projector->named_parameters();
  const at::Tensor x = torch::randn({6, 3});
  at::Tensor h = x;
  for (const char* layer : {"layers.0", "layers.3"}) {
    h = h.mm(p[std::string(layer) + ".weight"].t()) + p[std::string(layer) + ".bias"];
    h = ((h - h.mean(0)) / (h.var(0, /*unbiased=*/false) + 1e-5).sqrt()).clamp_min(0);
  }
  const at::Tensor expected = h.mm(p["layers.6.weight"].t()) + p["layers.6.bias"];
  EXPECT_TRUE(torch::allclose(projector->forward(x), expected, 1e-4, 1e-5));
  projector->eval();
  EXPECT_FALSE(torch::allclose(projector->forward(x), expected, 1e-4, 1e-5));
}

TEST(InitializeXavier, CleanSetsNormsToOneAndBiasesToZero) {
  const auto backbone = make_backbone({.name = "r2plus1d10"});
  initialize_xavier(*backbone, /*random_norm_gamma=*/false);
  const auto p = backbone->named_parameters();
  EXPECT_EQ(p["stem.1.weight"].min().item<double>(), 1);
  EXPECT_EQ(largest(p["stem.1.bias"]), 0);
  const double bound = 0.037734;  // of the stem's spatial convolution: sqrt(6 / (3*49 + 83*49))
  EXPECT_LE(largest(p["stem.0.weight"]), bound + 1e-6);
  EXPECT_GT(largest(p["stem.0.weight"]), 0.99 * bound);

  Mlp mlp(512, 4096, 512);
  initialize_xavier(*mlp, false);
  EXPECT_LE(largest(mlp->named_parameters()["layers.0.weight"]), 0.036084 + 1e-6);
  EXPECT_GT(largest(mlp->named_parameters()["layers.0.weight"]), 0.99 * 0.036084);
  EXPECT_EQ(largest(mlp->named_parameters()["layers.0.bias"]), 0);
}

TEST(InitializeXavier, ReleasedDrawsNormGammasOfBothSignsAndLeavesBiases) {
  const auto backbone = make_backbone({.name = "r2plus1d10"});
  torch::manual_seed(1);
  initialize_xavier(*backbone, /*random_norm_gamma=*/true);
  const at::Tensor gamma = backbone->named_parameters()["layer1.0.conv1.1.weight"];  // 64 channels
  EXPECT_LE(largest(gamma), 0.306186 + 1e-6);
  EXPECT_GT(largest(gamma), 0.9 * 0.306186);
  EXPECT_LT(gamma.min().item<double>(), 0);
  EXPECT_GT(gamma.max().item<double>(), 0);

  Mlp mlp(512, 64, 8);
  const at::Tensor bias = mlp->named_parameters()["layers.0.bias"].clone();
  initialize_xavier(*mlp, true);
  EXPECT_TRUE(torch::equal(mlp->named_parameters()["layers.0.bias"], bias));
  EXPECT_GT(largest(bias), 0);
}

}  // namespace
}  // namespace cstp
