// docs/extending.md keeps its word: its objective, backbone and data format are in the tables by a row each, and a
// configuration that names all three takes a training step.
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <torch/torch.h>
#include <unistd.h>

#include <algorithm>
#include <filesystem>

#include "cstp/augment/view_stream.h"
#include "cstp/core/config.h"
#include "cstp/core/error.h"
#include "cstp/core/text.h"
#include "cstp/objectives/objective.h"
#include "cstp/video/synthetic.h"

namespace cstp {
namespace {

namespace fs = std::filesystem;
using testing::HasSubstr;

/// Synthetic videos, named as the format wants them, and the configurations of the document over them.
class Extending : public testing::Test {
 protected:
  static void SetUpTestSuite() {
    folder_ = (fs::temp_directory_path() / cat("cstp_extending_", ::getpid())).string();
    SyntheticOptions options;
    options.classes = 2;
    options.train_per_class = 4;
    options.test_per_class = 2;
    options.frames = 40;
    options.width = 64;
    options.height = 48;
    make_synthetic(folder_ + "/made", options, 2);
    for (const std::string split : {"train", "test"}) {
      fs::create_directories(cat(folder_, "/toy/", split));
      for (const auto& one : fs::directory_iterator(cat(folder_, "/made/", split))) {
        for (const auto& video : fs::directory_iterator(one)) {
          fs::rename(video.path(), cat(folder_, "/toy/", split, "/", one.path().filename().string(), "-",
                                       video.path().filename().string()));
        }
      }
    }
  }
  static void TearDownTestSuite() { fs::remove_all(folder_); }

  explicit Extending(const std::string& name = "toy.yaml") { open(name); }
  void open(const std::string& name) {
    config_ = ConfigNode::load(cat(CSTP_EXAMPLES, "/", name));
    config_.set("data.root=" + folder_ + "/toy");
  }

  Dataset dataset(Split split = Split::train) const {
    return open_dataset(config_.find("data")->read<DataOptions>("data"), split);
  }
  ClipOptions clip() const { return config_.find("clip")->read<ClipOptions>("clip"); }

  std::shared_ptr<Objective> objective() const {
    torch::manual_seed(1);
    ObjectiveParts parts;
    parts.clip = clip();
    parts.make_backbone = [this] { return make_backbone(config_.find("model")->read<ModelOptions>("model")); };
    return make_objective(resolve_objective(*config_.find("objective")), parts);
  }

  /// Decodes a batch as the objective plans it, and learns from it. @return the parts of the loss
  LossTerms step(Objective& objective) const {
    const Dataset videos = dataset();
    ClipLoader::Setup loading;
    loading.dataset = &videos;
    loading.plan = [&](const VideoInfo& video, Rng& rng) { return objective.plan(video, rng); };
    loading.place = [](int64_t n) { return StreamPlace{.position = n, .record = n}; };
    loading.last = loading.batch = 8;
    loading.options.workers = 1;
    ViewStream stream(loading, {.size = clip().size});
    const ViewBatch batch = stream.next();
    EXPECT_EQ(batch.videos(), 8);
    std::vector<at::Tensor> parameters;
    for (const auto& item : objective.trainable()) parameters.push_back(item.second);
    torch::optim::SGD optimizer(parameters, 0.05);
    objective.set_train_mode();
    LossTerms terms = objective.loss(batch);
    terms.total.backward();
    for (const auto& [name, parameter] : objective.trainable()) EXPECT_TRUE(parameter.grad().defined()) << name;
    optimizer.step();
    return terms;
  }

  ConfigNode config_;

 private:
  static inline std::string folder_;
};

TEST_F(Extending, PutsEachInItsTableByOneRow) {
  const auto has = [](const auto& table, const std::string& name) {
    return std::any_of(table.begin(), table.end(), [&name](const auto& row) { return name == row.name; });
  };
  EXPECT_TRUE(has(objectives(), "toy_pace") && has(objectives(), "cstp"));
  EXPECT_TRUE(has(backbones(), "toy_net") && has(backbones(), "r3d18"));
  EXPECT_TRUE(has(dataset_formats(), "toy_names") && has(dataset_formats(), "ucf101"));
}

TEST_F(Extending, ReadsTheVideosOfTheFormat) {
  EXPECT_THAT(dataset().classes, testing::ElementsAre("drift", "orbit"));
  EXPECT_EQ(dataset().videos.size(), 8U);
  EXPECT_EQ(dataset(Split::test).videos.size(), 4U);
  EXPECT_EQ(dataset(Split::test).videos.back().label, 1);
}

TEST_F(Extending, TakesAStepWithAllThree) {
  const auto toy = objective();
  EXPECT_EQ(toy->backbone()->form(), "toy_net");
  const at::Tensor weight = toy->backbone()->parameters().front();
  const at::Tensor before = weight.clone();
  const LossTerms terms = step(*toy);
  EXPECT_TRUE(std::isfinite(terms.total.item<double>()));
  EXPECT_EQ(terms.parts.front().first, "accuracy");
  EXPECT_FALSE(torch::equal(weight, before));
}

TEST_F(Extending, TrainsAsAPartOfAJointObjective) {
  open("toy_joint.yaml");
  std::vector<std::string> names;
  for (const auto& [name, value] : step(*objective()).parts) names.push_back(name);
  EXPECT_THAT(names, testing::IsSupersetOf({"cstp.accuracy_rate", "toy_pace.accuracy"}));
  config_.set("objective.parts.0={name: cvrl}");
  try {
    (void)objective();
    FAIL();
  } catch (const ConfigError& error) {
    EXPECT_THAT(error.what(), HasSubstr("toy_pace wants clips whose pace is drawn"));
  }
}

TEST_F(Extending, NamesMistypedKeysOfItsOwn) {
  config_.set("objective.flipp=1");
  try {
    (void)objective();
    FAIL();
  } catch (const ConfigError& error) {
    EXPECT_THAT(error.what(), HasSubstr("did you mean 'flip'?"));
  }
}

}  // namespace
}  // namespace cstp
