// The shipped recipes of CVRL against the numbers of its specification.
#include <gtest/gtest.h>

#include <cmath>

#include "cstp/core/text.h"
#include "cstp/engine/run_config.h"
#include "cstp/engine/trainer.h"

namespace cstp {
namespace {

struct Recipe {
  const char* file;
  const char* model;
  double width;
  int64_t batch;
  double lr;
  int64_t steps, warmup_steps;
};
const Recipe kRecipes[] = {
    {"cvrl_k400", "r3d50", 1, 1024, 0.32, 168'415, 1'052},
    {"cvrl_k600", "r3d50", 1, 1024, 0.32, 285'952, 1'787},
    {"cvrl_k600_r101", "r3d101", 1, 1024, 0.32, 285'952, 1'787},
    {"cvrl_k600_r152_2x", "r3d152", 2, 512, 0.16, 571'900, 3'574},
};

TEST(CvrlRecipes, AreTheReleasedOnes) {
  for (const Recipe& recipe : kRecipes) {
    const RunConfig config = load_run_config(recipe.file, {});
    EXPECT_EQ(config.model.name, recipe.model);
    EXPECT_EQ(config.model.width, recipe.width);
    EXPECT_EQ(config.train.batch, recipe.batch);
    EXPECT_EQ(config.schedule.lr, recipe.lr);
    EXPECT_EQ(config.schedule.lr_multiplier, 1);
    const TrainLength length = train_length(config, config.data.videos);
    EXPECT_EQ(length.total_steps, recipe.steps) << recipe.file;
    const double warm = config.schedule.warmup * static_cast<double>(length.total_steps);
    EXPECT_EQ(std::llround(warm), recipe.warmup_steps) << recipe.file;
    EXPECT_EQ(config.optimizer.weight_decay, 1e-6);
    EXPECT_FALSE(config.optimizer.decay_norms);
    EXPECT_FALSE(config.optimizer.nesterov);
    EXPECT_EQ(config.input.range, "unit");
    EXPECT_EQ(config.clip.frames, 16);
    EXPECT_EQ(config.clip.stride, 2);
    EXPECT_EQ(config.clip.size, 224);
    EXPECT_EQ(config.objective.find("gap")->text(), "linear");
    EXPECT_EQ(config.objective.find("temperature")->text(), "0.1");
    EXPECT_EQ(config.objective.find("projector_layers")->text(), "3");
  }
}

TEST(CvrlRecipes, OfTwoHundredEpochsAreSaidInTheirComments) {
  const RunConfig k600 = load_run_config("cvrl_k600", {"train.epochs=200.2465", "schedule.warmup=0.0249972"});
  EXPECT_EQ(train_length(k600, k600.data.videos).total_steps, 71'488);
  EXPECT_EQ(std::llround(k600.schedule.warmup * 71'488), 1'787);
  const RunConfig k400 = load_run_config("cvrl_k400", {"train.epochs=200.495"});
  EXPECT_EQ(train_length(k400, k400.data.videos).total_steps, 42'104);
}

TEST(CvrlRecipes, TrainTheirClassifiersAsTheirProtocolDoes) {  // `cstp train` on the file, and `cstp eval`
  for (const char* file : {"cvrl_linear_k400", "cvrl_linear_k600", "cvrl_semi_1", "cvrl_semi_10"}) {
    const RunConfig config = load_run_config(file, {});
    const bool linear = config.eval.protocol == "linear";
    const DownstreamOptions& options = linear ? config.eval.linear : config.eval.finetune;
    EXPECT_EQ(config.schedule.lr, options.lr.at(0)) << file;
    EXPECT_EQ(config.schedule.shape, options.schedule) << file;
    EXPECT_EQ(config.schedule.warmup, options.warmup) << file;
    EXPECT_EQ(config.optimizer.weight_decay, options.weight_decay) << file;
    EXPECT_EQ(config.train.batch, options.batch) << file;
    EXPECT_EQ(config.train.epochs, static_cast<double>(options.epochs)) << file;
    EXPECT_EQ(config.objective.find("freeze")->text(), linear ? "true" : "false") << file;
    EXPECT_EQ(config.objective.find("dropout")->text(), number_text(options.dropout)) << file;
    EXPECT_EQ(config.objective.find("crop")->find("sampler")->text(), "height_uniform") << file;
  }
  EXPECT_EQ(load_run_config("cvrl_semi_1", {}).data.share, 0.01);
  EXPECT_EQ(load_run_config("cvrl_semi_10", {}).data.share, 0.1);
}

}  // namespace
}  // namespace cstp
