// Where an architecture is torchvision's, weights move both ways by file and give the same logits.
#include <gtest/gtest.h>
#include <torch/torch.h>

#include <string>

#include "cstp/models/backbone.h"
#include "cstp/models/tensor_file.h"
#include "python_peer.h"

namespace cstp {
namespace {

struct Pair {
  const char* ours;
  const char* theirs;
};

class TorchvisionParity : public testing::TestWithParam<Pair> {
 protected:
  std::string arguments(const std::string& action, const std::string& file) const {
    return action + " " + GetParam().theirs + " " + file;
  }
};

/// Parameters and buffers by name; torchvision's network is a backbone and a linear layer called fc.
std::vector<std::pair<std::string, at::Tensor>> state(const Backbone& backbone, const torch::nn::Linear& fc) {
  std::vector<std::pair<std::string, at::Tensor>> result;
  for (const auto& item : backbone.named_parameters()) result.emplace_back(item.key(), item.value());
  for (const auto& item : backbone.named_buffers()) result.emplace_back(item.key(), item.value());
  for (const auto& item : fc->named_parameters()) result.emplace_back("fc." + item.key(), item.value());
  return result;
}

TEST_P(TorchvisionParity, GivesTheSameLogitsFromTorchvisionsWeights) {
  const TempFolder folder;
  RUN_PYTHON_OR_SKIP("torchvision_logits.py", arguments("make", folder / "weights"));
  const TensorFile file = load_tensor_file(folder / "weights");
  const auto backbone = make_backbone({.name = GetParam().ours});
  torch::nn::Linear fc(backbone->features(), 400);
  const torch::NoGradGuard no_grad;
  const auto tensors = state(*backbone, fc);
  ASSERT_EQ(tensors.size() + 2, file.tensors.size());  // and the input and the logits
  for (const auto& [name, tensor] : tensors) {
    const at::Tensor* found = file.find(name);
    ASSERT_NE(found, nullptr) << name;
    ASSERT_EQ(found->sizes(), tensor.sizes()) << name;
    at::Tensor(tensor).copy_(*found);
  }
  backbone->eval();
  const at::Tensor logits = fc->forward(backbone->embed(*file.find("input")));
  EXPECT_GT(logits.std().item<double>(), 0.01);
  EXPECT_LT((logits - *file.find("logits")).abs().max().item<double>(), 1e-4);
}

TEST_P(TorchvisionParity, GivesTorchvisionTheSameLogitsFromOurWeights) {
  const TempFolder folder;
  torch::manual_seed(3);
  const auto backbone = make_backbone({.name = GetParam().ours});
  torch::nn::Linear fc(backbone->features(), 400);
  const torch::NoGradGuard no_grad;
  const at::Tensor clips = torch::randn({2, 3, 8, 48, 48});
  backbone->train();
  backbone->embed(clips);  // moves the running statistics away from 0 and 1
  backbone->eval();
  TensorFile file;
  file.tensors = state(*backbone, fc);
  file.tensors.emplace_back("input", clips);
  file.tensors.emplace_back("logits", fc->forward(backbone->embed(clips)));
  save_tensor_file(folder / "weights", file);
  RUN_PYTHON_OR_SKIP("torchvision_logits.py", arguments("check", folder / "weights"));
}

INSTANTIATE_TEST_SUITE_P(Networks, TorchvisionParity,
                         testing::Values(Pair{"r3d18", "r3d_18"}, Pair{"r2plus1d18", "r2plus1d_18"}),
                         [](const auto& row) { return std::string(row.param.ours); });

}  // namespace
}  // namespace cstp
