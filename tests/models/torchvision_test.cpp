// Where an architecture is torchvision's, weights move both ways by file and give the same logits.
#include <gtest/gtest.h>
#include <torch/torch.h>

#include <array>
#include <string>
#include <vector>

#include "cstp/core/text.h"
#include "cstp/models/backbone.h"
#include "cstp/models/tensor_file.h"
#include "python_peer.h"

namespace cstp {
namespace {

using ClipSize = std::array<int64_t, 3>;  // frames, height, width

struct Network {
  const char* ours;
  const char* theirs;
  const char* classifier;  ///< its name there
  std::vector<ClipSize> sizes;
};

std::string text(const ClipSize& size) { return join(size, "x"); }

/// torchvision's networks are a backbone and a linear layer; that of s3d is written as a 1x1x1 convolution.
class Pair {
 public:
  explicit Pair(const Network& network)
      : backbone_(make_backbone({.name = network.ours})), classifier_(backbone_->features(), 400), network_(network) {}

  Backbone& backbone() { return *backbone_; }

  /// Parameters and buffers by name.
  std::vector<std::pair<std::string, at::Tensor>> state() const {
    std::vector<std::pair<std::string, at::Tensor>> result;
    for (const auto& item : backbone_->named_parameters()) result.emplace_back(item.key(), item.value());
    for (const auto& item : backbone_->named_buffers()) result.emplace_back(item.key(), item.value());
    const at::Tensor& weight = classifier_->weight;
    result.emplace_back(cat(network_.classifier, ".weight"),
                        slides() ? weight.view({weight.size(0), weight.size(1), 1, 1, 1}) : weight);
    result.emplace_back(cat(network_.classifier, ".bias"), classifier_->bias);
    return result;
  }

  /// torchvision's s3d takes the mean over windows of 2x7x7 and then over the windows, which counts the outer frames
  /// of a long clip less than a plain mean does.
  at::Tensor logits(const at::Tensor& clips) {
    if (!slides()) return classifier_->forward(backbone_->embed(clips));
    return classifier_->forward(at::avg_pool3d(backbone_->stages(clips).back(), {2, 7, 7}, 1).mean({2, 3, 4}));
  }

 private:
  bool slides() const { return network_.theirs == std::string("s3d"); }

  std::shared_ptr<Backbone> backbone_;
  torch::nn::Linear classifier_;
  const Network& network_;
};

class TorchvisionParity : public testing::TestWithParam<Network> {
 protected:
  std::string arguments(const std::string& action, const std::string& file) const {
    return cat(action, " ", GetParam().theirs, " ", file);
  }
};

TEST_P(TorchvisionParity, GivesTheSameLogitsFromTorchvisionsWeights) {
  const TempFolder folder;
  std::string sizes;
  for (const ClipSize& size : GetParam().sizes) sizes += " " + text(size);
  RUN_PYTHON_OR_SKIP("torchvision_logits.py", arguments("make", folder / "weights") + sizes);
  const TensorFile file = load_tensor_file(folder / "weights");
  Pair pair(GetParam());
  const torch::NoGradGuard no_grad;
  const auto tensors = pair.state();
  ASSERT_EQ(tensors.size() + 2 * GetParam().sizes.size(), file.tensors.size());  // and the inputs and the logits
  for (const auto& [name, tensor] : tensors) {
    const at::Tensor* found = file.find(name);
    ASSERT_NE(found, nullptr) << name;
    ASSERT_EQ(found->sizes(), tensor.sizes()) << name;
    at::Tensor(tensor).copy_(*found);
  }
  pair.backbone().eval();
  for (const ClipSize& size : GetParam().sizes) {
    const at::Tensor logits = pair.logits(*file.find("input " + text(size)));
    EXPECT_GT(logits.std().item<double>(), 0.01) << text(size);
    EXPECT_LT((logits - *file.find("logits " + text(size))).abs().max().item<double>(), 1e-4) << text(size);
  }
}

TEST_P(TorchvisionParity, GivesTorchvisionTheSameLogitsFromOurWeights) {
  const TempFolder folder;
  torch::manual_seed(3);
  Pair pair(GetParam());
  const torch::NoGradGuard no_grad;
  pair.backbone().train();
  pair.backbone().embed(torch::randn({2, 3, 8, 48, 48}));  // moves the running statistics away from 0 and 1
  pair.backbone().eval();
  TensorFile file;
  file.tensors = pair.state();
  for (const ClipSize& size : GetParam().sizes) {
    const at::Tensor clips = torch::randn({1, 3, size[0], size[1], size[2]});
    file.tensors.emplace_back("input " + text(size), clips);
    file.tensors.emplace_back("logits " + text(size), pair.logits(clips));
  }
  save_tensor_file(folder / "weights", file);
  RUN_PYTHON_OR_SKIP("torchvision_logits.py", arguments("check", folder / "weights"));
}

const std::vector<ClipSize> kSmall = {{8, 48, 48}, {5, 33, 40}, {1, 16, 64}};
const std::vector<ClipSize> kWindowed = {{13, 209, 209}, {16, 224, 256}, {24, 224, 224}};  // one window, and several

INSTANTIATE_TEST_SUITE_P(Networks, TorchvisionParity,
                         testing::Values(Network{"r3d18", "r3d_18", "fc", kSmall},
                                         Network{"mc3_18", "mc3_18", "fc", kSmall},
                                         Network{"r2plus1d18", "r2plus1d_18", "fc", kSmall},
                                         Network{"s3d", "s3d", "classifier.1", kWindowed}),
                         [](const auto& row) { return std::string(row.param.ours); });

}  // namespace
}  // namespace cstp
