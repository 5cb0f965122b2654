#include "cstp/engine/inflate.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <torch/torch.h>

#include "cstp/core/error.h"
#include "cstp/engine/downstream.h"
#include "cstp/models/tensor_file.h"
#include "tiny_run.h"

namespace cstp {
namespace {

using testing::HasSubstr;

/// torchvision's 2D name of a tensor of our r3d18.
std::string image_name(const std::string& name) {
  const auto unit = [](const std::string& part) { return part == "0" ? std::string("conv") : std::string("bn"); };
  const std::vector<std::string> parts = split(name, '.');
  if (parts[0] == "stem") return cat(unit(parts[1]), "1.", parts[2]);
  if (parts[2] == "downsample") return name;
  return cat(parts[0], ".", parts[1], ".", unit(parts[3]), parts[2].back(), ".", parts[4]);
}

/// Made weights of the 2D network that r3d18 is over time.
std::vector<std::pair<std::string, at::Tensor>> image_network(const Backbone& backbone) {
  std::vector<std::pair<std::string, at::Tensor>> weights;
  for (const auto& [name, tensor] : module_tensors(backbone)) {
    const at::Tensor flat = tensor.dim() == 5 ? tensor.select(2, 0) : tensor;
    weights.emplace_back(image_name(name), flat.dim() > 0 ? torch::rand_like(flat) : flat);
  }
  return weights;
}

TEST(Inflate, RepeatsKernelsOverTimeAndDividesByTheirLength) {
  const auto backbone = make_backbone({.name = "r3d18", .width = 0.125});
  const BackboneFile image{.path = "image", .config = std::nullopt, .weights = image_network(*backbone)};
  const BackboneFile video = inflated(image, *backbone);
  const LoadReport report = load_backbone(video, *backbone, /*allow_partial=*/false);
  EXPECT_TRUE(report.unexpected.empty());
  for (size_t i = 0; i < image.weights.size(); ++i) {
    const at::Tensor& flat = image.weights[i].second;
    const at::Tensor& full = video.weights[i].second;
    if (flat.dim() != 4) {
      EXPECT_TRUE(torch::equal(full, flat)) << video.weights[i].first;
      continue;
    }
    EXPECT_TRUE(torch::allclose(full.sum(2), flat, 1e-5, 1e-6)) << video.weights[i].first;
    for (int64_t t = 1; t < full.size(2); ++t) EXPECT_TRUE(torch::equal(full.select(2, t), full.select(2, 0)));
  }
}

TEST(Inflate, AKernelSeesInAStillClipWhatItSawInTheImage) {
  const auto backbone = make_backbone({.name = "r3d18", .width = 0.125});
  const BackboneFile image{.path = "image", .config = std::nullopt, .weights = image_network(*backbone)};
  const BackboneFile video = inflated(image, *backbone);
  const at::Tensor picture = torch::rand({1, 3, 20, 20});
  const at::Tensor clip = picture.unsqueeze(2).repeat({1, 1, 5, 1, 1});
  const at::Tensor flat = torch::conv2d(picture, image.weights[0].second, {}, 2, 3);
  const at::Tensor full = torch::conv3d(clip, video.weights[0].second, {}, {1, 2, 2}, {1, 3, 3});
  EXPECT_EQ(image.weights[0].first, "conv1.weight");
  EXPECT_TRUE(torch::allclose(full.select(2, 2), flat, 1e-4, 1e-5));
}

TEST(Inflate, KnowsTheNamesOfImageNetworks) {
  EXPECT_EQ(video_name("conv1.weight"), "stem.0.weight");
  EXPECT_EQ(video_name("bn1.running_mean"), "stem.1.running_mean");
  EXPECT_EQ(video_name("layer3.11.conv3.weight"), "layer3.11.conv3.0.weight");
  EXPECT_EQ(video_name("layer1.0.bn2.bias"), "layer1.0.conv2.1.bias");
  EXPECT_EQ(video_name("layer2.0.downsample.1.weight"), "layer2.0.downsample.1.weight");
}

TEST(Inflate, LoadsAFileForEvaluationAndRefusesAVideoNetworks) {
  const TinyRun tiny;
  const RunConfig config = tiny.config("run", {"model.name=r3d18"});
  const auto backbone = make_backbone(config.model);
  TensorFile file;
  file.tensors = image_network(*backbone);
  save_tensor_file(tiny.path("image.safetensors"), file);
  const LoadedBackbone loaded = load_backbone_for(config, tiny.path("image.safetensors"), false, {}, /*inflate=*/true);
  EXPECT_TRUE(torch::equal(loaded.network->named_parameters()["stem.1.bias"], *file.find("bn1.bias")));
  EXPECT_THROW(load_backbone_for(config, tiny.path("image.safetensors"), false), CheckpointError);
  file.tensors = module_tensors(*backbone);
  save_tensor_file(tiny.path("video.safetensors"), file);
  try {
    load_backbone_for(config, tiny.path("video.safetensors"), false, {}, /*inflate=*/true);
    FAIL();
  } catch (const CheckpointError& error) {
    EXPECT_THAT(error.what(), HasSubstr("holds no 2D kernel"));
  }
}

}  // namespace
}  // namespace cstp
