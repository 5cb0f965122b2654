// A run of a joint objective: resumed to the bit, known by its parts' names, and its backbone taken like any other.
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <torch/torch.h>

#include "cstp/engine/checkpoint.h"
#include "cstp/engine/pretext.h"
#include "cstp/engine/provenance.h"
#include "cstp/engine/trainer.h"
#include "cstp/models/tensor_file.h"
#include "tiny_run.h"

namespace cstp {
namespace {

using testing::Contains;
using testing::HasSubstr;
using testing::Key;

/// The shipped recipe at the size of a test.
RunConfig tiny_joint(const TinyRun& tiny, const std::string& output, int64_t steps) {
  return load_run_config(
      "joint_k400_stor_contrast_hdc",
      {"data.format=folder", "data.root=" + tiny.path("data"), "data.videos=0", "output=" + tiny.path(output),
       "model.width=0.125", "clip.frames=8", "clip.size=32", "objective.parts.0.max_rate=1",
       "objective.parts.2.weights=measured", "objective.parts.2.head_hidden=32", "objective.parts.2.head_out=16",
       "train.batch=4", "train.epochs=10", "train.log_every=2", "train.checkpoint_every=2", "train.threads=1",
       "train.device=cpu", "loader.workers=1", cat("train.max_steps=", steps)});
}

TrainResult run(const RunConfig& config) {
  const Dataset dataset = open_dataset(config.data, Split::train);
  const auto objective = TinyRun::objective(config, dataset);
  return train(config, dataset, *objective, {.write = true, .name = "test"});
}

TEST(JointRun, GoesOnToTheBitAndHandsItsBackboneOver) {
  const TinyRun tiny;
  const TrainResult whole = run(tiny_joint(tiny, "whole", 4));
  (void)run(tiny_joint(tiny, "parts", 2));
  const TrainResult rest = run(tiny_joint(tiny, "parts", 4));
  const TensorFile a = load_tensor_file(whole.checkpoint), b = load_tensor_file(rest.checkpoint);
  ASSERT_EQ(a.tensors.size(), b.tensors.size());
  for (size_t i = 0; i < a.tensors.size(); ++i) {
    ASSERT_EQ(a.tensors[i].first, b.tensors[i].first);
    EXPECT_TRUE(torch::equal(a.tensors[i].second, b.tensors[i].second)) << a.tensors[i].first;
  }
  EXPECT_THAT(a.tensors, Contains(Key("model/hdc.tc_invariance")));
  EXPECT_THAT(a.tensors, Contains(Key("model/cvrl.projector.layers.0.weight")));
  const std::string metrics = read_text_file(tiny.path("whole/metrics.jsonl"));
  for (const char* name : {"\"cstp.accuracy_spatial\":", "\"cvrl.contrast\":", "\"hdc.tc4/invariance\":"}) {
    EXPECT_THAT(metrics, HasSubstr(name));
  }

  const RunConfig config = tiny_joint(tiny, "whole", 4);
  const auto backbone = make_backbone(config.model);
  const LoadReport report = load_backbone(read_backbone_file(whole.checkpoint), *backbone, false);
  EXPECT_TRUE(report.unexpected.empty()) << report.text();
  const auto objective = load_objective(config, whole.checkpoint);
  const PretextResult result = score_pretext(config, open_dataset(config.data, Split::test), *objective, 2);
  EXPECT_THAT(result.parts, Contains(Key("cstp.accuracy_spatial")));
  EXPECT_THAT(result.parts, Contains(Key("cvrl.accuracy")));
  EXPECT_THAT(result.constants, Contains(Key("cvrl.accuracy")));
  EXPECT_THAT(result.constants, Contains(Key("hdc.tc_top1")));
  EXPECT_THAT(result.constants, Contains(Key("spatial")));  // of the labels drawn
}

TEST(JointRun, IsDescribedByItsParts) {
  const TinyRun tiny;
  WeightsNote note;
  describe_training(note, tiny_joint(tiny, "run", 2), 2);
  EXPECT_EQ(note.objective, "joint {cstp {spatial: 1, temporal: 1, rate: 1, rotation: 1}: 1, cvrl: 0.1, hdc: 0.1}");
  RunConfig without = load_run_config("joint_k400_stor_contrast_hdc", {"objective.parts.1.weight=0"});
  describe_training(note, without, 2);
  EXPECT_THAT(note.objective, testing::Not(HasSubstr("cvrl")));
}

}  // namespace
}  // namespace cstp
