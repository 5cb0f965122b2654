#include "cstp/engine/checkpoint.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <torch/torch.h>

#include <filesystem>

#include "cstp/core/error.h"
#include "cstp/engine/downstream.h"
#include "cstp/engine/trainer.h"
#include "cstp/models/tensor_file.h"
#include "tiny_run.h"

namespace cstp {
namespace {

using testing::HasSubstr;

std::string trained(const TinyRun& tiny, const std::string& output) {
  const RunConfig config = tiny.config(output, {"train.max_steps=1"});
  const Dataset dataset = open_dataset(config.data, Split::train);
  return train(config, dataset, *TinyRun::objective(config, dataset), {.write = true, .name = "test"}).checkpoint;
}

TEST(Checkpoint, DownstreamTakesModelRangeAndWeightsFromIt) {
  const TinyRun tiny;
  const std::string path = trained(tiny, "run");
  RunConfig other = tiny.config("other", {"model.name=r2plus1d10", "input.range=unit"});
  for (const std::string& given : {path, tiny.path("run")}) {  // a file, or its run folder
    const LoadedBackbone loaded = load_backbone_for(other, given, false);
    EXPECT_EQ(loaded.config.model.name, "r3d10_pool");
    EXPECT_EQ(loaded.config.model.width, 0.125);
    EXPECT_EQ(loaded.config.input.range, "signed");
    const TensorFile file = load_tensor_file(path);
    const auto parameters = loaded.network->named_parameters();
    for (const auto& [name, tensor] : file.tensors) {
      if (!name.starts_with("model/backbone.")) continue;
      const at::Tensor* mine = parameters.find(name.substr(15));
      EXPECT_TRUE(mine == nullptr || torch::equal(*mine, tensor)) << name;
    }
  }
}

TEST(Checkpoint, RefusesWhatIsTruncatedMisshapenOrMissing) {
  const TinyRun tiny;
  const std::string path = trained(tiny, "run");
  const RunConfig config = tiny.config("other");
  const std::string bytes = read_text_file(path);
  write_file_atomically(tiny.path("cut.safetensors"), std::string_view(bytes).substr(0, bytes.size() / 2));
  EXPECT_THROW(load_backbone_for(config, tiny.path("cut.safetensors"), false), CheckpointError);
  write_file_atomically(tiny.path("text.safetensors"), "hello");
  EXPECT_THROW(load_backbone_for(config, tiny.path("text.safetensors"), false), CheckpointError);
  EXPECT_THROW(load_backbone_for(config, tiny.path("none.safetensors"), false), CheckpointError);

  // Weights of another width, as a plain file: every difference is named.
  ModelOptions wide = config.model;
  wide.width = 0.25;
  TensorFile plain;
  for (const auto& item : make_backbone(wide)->named_parameters()) plain.tensors.emplace_back(item.key(), item.value());
  save_tensor_file(tiny.path("wide.safetensors"), plain);
  try {
    load_backbone_for(config, tiny.path("wide.safetensors"), false);
    FAIL();
  } catch (const CheckpointError& error) {
    EXPECT_THAT(error.what(), HasSubstr("have ["));
    EXPECT_THAT(error.what(), HasSubstr("want ["));
  }
}

TEST(Checkpoint, AFailedSaveLeavesTheEarlierOneAndSaysWhy) {
  const TinyRun tiny;
  const std::string path = trained(tiny, "run");
  const std::string before = read_text_file(path);
  const RunConfig config = tiny.config("run");
  const Dataset dataset = open_dataset(config.data, Split::train);
  const auto objective = TinyRun::objective(config, dataset);
  const Optimizer optimizer(objective->trainable(), config.optimizer);
  // A file stands where the folder should be: nothing can be written there.
  write_file_atomically(tiny.path("blocked"), "");
  EXPECT_THROW(
      save_checkpoint(tiny.path("blocked"), {.step = 2, .config_yaml = config.yaml()}, *objective, optimizer, 1),
      DataError);
  EXPECT_EQ(read_text_file(path), before);
}

TEST(Checkpoint, PartialLoadsMustBeAskedFor) {
  const TinyRun tiny;
  const RunConfig config = tiny.config("other");
  TensorFile half;
  const auto network = make_backbone(config.model);
  size_t count = 0;
  for (const auto& item : network->named_parameters()) {
    if (count++ % 2 == 0) half.tensors.emplace_back(item.key(), item.value());
  }
  save_tensor_file(tiny.path("half.safetensors"), half);
  EXPECT_THROW(load_backbone_for(config, tiny.path("half.safetensors"), false), CheckpointError);
  EXPECT_NO_THROW(load_backbone_for(config, tiny.path("half.safetensors"), true));
}

}  // namespace
}  // namespace cstp
