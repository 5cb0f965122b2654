#include "cstp/engine/downstream.h"

#include <gtest/gtest.h>
#include <torch/torch.h>

#include "tiny_run.h"

namespace cstp {
namespace {

/// The tiny run's videos as a list; the test set says `drift` for label `first`.
RunConfig listed(const TinyRun& tiny, int64_t first, const std::string& kind, std::vector<std::string> more = {}) {
  std::string train, test;
  for (int i = 0; i < 6; ++i) train += cat("train/drift/000", i, ".mp4 0\ntrain/orbit/000", i, ".mp4 1\n");
  for (int i = 0; i < 3; ++i) {
    test += cat("test/drift/000", i, ".mp4 ", first, "\ntest/orbit/000", i, ".mp4 ", 1 - first, "\n");
  }
  write_file_atomically(tiny.path("train.txt"), train);
  write_file_atomically(tiny.path(cat("test", first, ".txt")), test);
  write_file_atomically(tiny.path("classes.txt"), "zero\none\n");
  const std::string options = cat("eval.", kind);
  for (const std::string& set :
       {cat("data.format=list"), cat("data.train=", tiny.path("train.txt")), cat("data.videos=0"),
        cat("data.test=", tiny.path(cat("test", first, ".txt"))), cat("data.class_file=", tiny.path("classes.txt")),
        cat("eval.linear.features=on_the_fly"), options + ".lr=[0.001,0.1]", options + ".epochs=2",
        options + ".batch=4"}) {
    more.push_back(set);
  }
  return tiny.config("run", more);
}

ProtocolResult run(const RunConfig& config, const std::string& kind, const std::string& folder) {
  return run_protocol(load_backbone_for(config, "", false), open_labelled(config), kind, folder, false);
}

class TrainedOnTheFly : public testing::TestWithParam<const char*> {};

TEST_P(TrainedOnTheFly, NeitherChoosesNorTrainsByTheTestLabels) {
  const TinyRun tiny;
  const std::string kind = GetParam();
  const ProtocolResult honest = run(listed(tiny, 0, kind), kind, tiny.path("honest"));
  // The same videos with the labels swapped, and a limit that is meant for `cstp train`.
  const ProtocolResult swapped = run(listed(tiny, 1, kind, {"train.max_steps=1"}), kind, tiny.path("swapped"));
  EXPECT_EQ(honest.rate.trials.size(), 2U);
  EXPECT_EQ(swapped.rate.lr, honest.rate.lr);
  for (size_t i = 0; i < 2; ++i) EXPECT_EQ(swapped.rate.trials[i].accuracy, honest.rate.trials[i].accuracy);
  EXPECT_EQ(swapped.classifier, honest.classifier);
  EXPECT_TRUE(torch::equal(swapped.accuracy.predicted, honest.accuracy.predicted));
  EXPECT_NEAR(*swapped.accuracy.top1, 1 - *honest.accuracy.top1, 1e-12);
  EXPECT_EQ(honest.train_decoded, 12);
  EXPECT_TRUE(honest.undecoded.empty());
}
INSTANTIATE_TEST_SUITE_P(Kinds, TrainedOnTheFly, testing::Values("linear", "finetune"));

/// CVRL's linear evaluation in small: 30 views of another size than those of training, on a tenth of the videos.
TEST(CvrlEvaluation, TrainsAndTestsOnItsOwnViewsAndSchedule) {
  const TinyRun tiny;
  const RunConfig config = listed(
      tiny, 0, "linear",
      {"eval.views=cvrl", "eval.size=40", "eval.clips=10", "eval.crops=3", "eval.crop=center", "eval.linear.views=cvrl",
       "eval.linear.schedule=full_cosine", "eval.linear.warmup=0.5", "eval.linear.norm=false", "data.share=0.34"});
  RunConfig one = config;
  one.eval.linear.lr = {0.1};
  const LoadedBackbone backbone = load_backbone_for(one, "", false);
  const LabelledPair data = open_labelled(one);
  EXPECT_EQ(data.train.videos.size(), 4U);  // 2 of each class
  EXPECT_EQ(data.test.videos.size(), 6U);
  const ProtocolResult result = run_protocol(backbone, data, "linear", tiny.path("linear"), false);
  EXPECT_EQ(result.decoded, 6);
  EXPECT_EQ(read_text_file(tiny.path("linear/train/videos.txt")), video_list(data.train));
  const RunConfig run = parse_run_config(read_text_file(tiny.path("linear/train/config.yaml")), "run");
  EXPECT_EQ(run.clip.size, 32);
  EXPECT_EQ(run.schedule.shape, "full_cosine");
  EXPECT_EQ(run.schedule.per, "step");
  EXPECT_EQ(run.objective.find("filter")->text(), "bilinear");
  EXPECT_EQ(run.objective.find("crop")->find("sampler")->text(), "height_uniform");
  EXPECT_EQ(run.objective.find("color")->find("flip")->text(), "0.5");
  EXPECT_EQ(run.objective.find("color")->find("strong")->text(), "0");
  const FeatureSet features = backbone_features(backbone, data.test, one.eval.clips, "features");
  EXPECT_EQ(features.values.size(1), 30);
}

TEST(LoadBackbone, NotesWhatWasMeasured) {
  const TinyRun tiny;
  const RunConfig config = tiny.config("run");
  const LoadedBackbone one = load_backbone_for(config, "", false);
  EXPECT_EQ(one.note.file, "untrained");
  EXPECT_FALSE(one.note.seed.has_value());
  EXPECT_EQ(load_backbone_for(config, "", false).note.hash, one.note.hash);
  EXPECT_NE(load_backbone_for(tiny.config("run", {"seed=2"}), "", false).note.hash, one.note.hash);
}

TEST(BackboneFeatures, AreTakenFromProbedClipsOnRequest) {
  const TinyRun tiny;
  const auto values = [&](const std::string& probe, const std::string& set) {
    const RunConfig config = tiny.config("run", {set, "model.name=frame_difference"});
    const Dataset test = open_dataset(config.data, Split::test);
    return backbone_features(load_backbone_for(config, "", false), test, 1, "probed", probe).values;  // [D,1,C]
  };
  const at::Tensor plain = values("none", "seed=1");
  EXPECT_GT(plain.abs().max().item<double>(), 0);
  EXPECT_EQ(values("repeat", "seed=1").abs().max().item<double>(), 0);  // nothing moves in a repeated frame
  const at::Tensor shuffled = values("shuffle", "seed=1");
  EXPECT_FALSE(torch::equal(shuffled, plain));
  EXPECT_TRUE(torch::equal(shuffled, values("shuffle", "seed=1")));
  EXPECT_FALSE(torch::equal(shuffled, values("shuffle", "seed=2")));
  EXPECT_TRUE(torch::equal(plain, values("none", "seed=2")));
  EXPECT_TRUE(torch::equal(plain, values("none", "eval.probe=shuffle")));  // training clips are not probed
}

TEST(RunProtocol, ProbesTheTestClipsAlone) {
  const TinyRun tiny;
  const auto knn = [&](const std::string& probe) {
    const RunConfig config = tiny.config("run", {"eval.protocol=knn", "eval.knn=1", "model.name=frame_difference",
                                                 "eval.probe=" + probe, "eval.feature_cache=" + tiny.path("cache")});
    return run(config, "knn", tiny.path("knn-" + probe));
  };
  const ProtocolResult plain = knn("none");
  const ProtocolResult repeated = knn("repeat");  // every query is 0: all get the same class
  EXPECT_EQ(plain.decoded, 6);
  const at::Tensor predicted = repeated.accuracy.predicted;
  EXPECT_TRUE(torch::equal(predicted, predicted[0].expand_as(predicted)));
  EXPECT_NEAR(*repeated.accuracy.top1, .5, 1e-12);
}

TEST(RunProtocol, NamesTheTestVideosThatItLeavesOut) {
  const TinyRun tiny;
  const RunConfig config = tiny.config("run", {"eval.protocol=knn"});
  const std::string broken = tiny.path("data/test/drift/0001.mp4");
  write_file_atomically(broken, "");
  const ProtocolResult result = run(config, "knn", tiny.path("knn"));
  EXPECT_EQ(result.decoded, 5);
  EXPECT_EQ(result.undecoded, std::vector<std::string>{broken});
  EXPECT_EQ(result.labels.numel(), 5);
}

}  // namespace
}  // namespace cstp
