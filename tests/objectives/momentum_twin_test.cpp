// The target network follows the online one, and only its parameters do.
#include "momentum_twin.h"

#include <gtest/gtest.h>
#include <torch/torch.h>

#include "made_batch.h"

namespace cstp {
namespace {

TEST(Follow, MovesByOneMinusTheMomentum) {
  const at::Tensor target = torch::tensor({2.0});
  follow({target}, {torch::tensor({1.0})}, 0.996);
  EXPECT_NEAR(target.item<double>(), 1.996, 1e-6);
}

TEST(Follow, HalvesTheDistanceIn173Steps) {
  const at::Tensor target = torch::tensor({1.0}, torch::kDouble);
  const at::Tensor online = torch::tensor({0.0}, torch::kDouble);
  for (int step = 0; step < 173; ++step) follow({target}, {online}, 0.996);
  EXPECT_NEAR(target.item<double>(), 0.499880, 1e-6);
}

struct Networks {
  std::shared_ptr<Backbone> backbone = make_backbone({.name = "r3d10_pool", .width = 0.125});
  std::shared_ptr<MlpImpl> projector = std::make_shared<MlpImpl>(64, 16, 8);
};

TEST(MomentumTwin, CopiesParametersAndBuffersAndThenOnlyFollowsWithParameters) {
  torch::manual_seed(1);
  Networks online, own;
  MomentumTwin twin(own.backbone, own.projector);
  const at::Tensor clips = torch::randn({2, 3, 8, 32, 32});
  online.backbone->embed(clips);  // moves its running statistics
  twin.copy_from(*online.backbone, online.projector.get());
  EXPECT_TRUE(torch::equal(tensor_of(twin, "backbone.stem.0.weight"), tensor_of(*online.backbone, "stem.0.weight")));
  EXPECT_TRUE(torch::equal(tensor_of(twin, "backbone.stem.1.running_mean"),
                           tensor_of(*online.backbone, "stem.1.running_mean")));

  const at::Tensor mean = tensor_of(twin, "backbone.stem.1.running_mean").clone();
  const at::Tensor weight = tensor_of(twin, "backbone.stem.0.weight").clone();
  overwrite(tensor_of(*online.backbone, "stem.0.weight"), torch::ones({1}));
  overwrite(tensor_of(*online.backbone, "stem.1.running_mean"), torch::ones({1}));
  twin.follow_online(*online.backbone, online.projector.get(), 0.75);
  EXPECT_TRUE(torch::allclose(tensor_of(twin, "backbone.stem.0.weight"), 0.75 * weight + 0.25));
  EXPECT_TRUE(torch::equal(tensor_of(twin, "backbone.stem.1.running_mean"), mean));
}

TEST(MomentumTwin, HasNoGradientAndMovesItsOwnStatistics) {
  torch::manual_seed(1);
  Networks own;
  MomentumTwin twin(own.backbone, own.projector);
  const at::Tensor out = twin.forward(torch::randn({2, 3, 8, 32, 32}));
  EXPECT_EQ(out.sizes(), (std::vector<int64_t>{2, 8}));
  EXPECT_FALSE(out.requires_grad());
  for (const at::Tensor& parameter : twin.parameters()) EXPECT_FALSE(parameter.requires_grad());
  EXPECT_EQ(tensor_of(twin, "backbone.stem.1.num_batches_tracked").item<int64_t>(), 1);
}

}  // namespace
}  // namespace cstp
