#include "cstp/engine/optimizer.h"

#include <gtest/gtest.h>
#include <torch/cuda.h>
#include <torch/torch.h>

#include <cmath>

#include "cstp/core/error.h"

namespace cstp {
namespace {

// Worked numbers: CSTP's released schedule, min 1e-5, epochs e = 1..300 (ours count from 0).
TEST(LearningRate, FollowsTheReleasedScheduleOfKinetics) {
  const ScheduleOptions options{.lr = 0.09, .min_lr = 1e-5, .warmup = 0.5};
  EXPECT_NEAR(learning_rate(options, 0, 300), 0.00001, 1e-12);
  EXPECT_NEAR(learning_rate(options, 1, 300), 0.00060993, 5e-9);
  EXPECT_NEAR(learning_rate(options, 75, 300), 0.045005, 5e-7);
  EXPECT_NEAR(learning_rate(options, 149, 300), 0.08940007, 5e-9);
  EXPECT_NEAR(learning_rate(options, 150, 300), 0.09, 1e-12);
  EXPECT_NEAR(learning_rate(options, 225, 300), 0.045005, 5e-7);
  EXPECT_NEAR(learning_rate(options, 299, 300), 0.00001987, 5e-9);
}

TEST(LearningRate, FollowsTheReleasedScheduleOfUcf101) {
  const ScheduleOptions options{.lr = 0.03, .min_lr = 1e-5, .warmup = 0.5};
  EXPECT_NEAR(learning_rate(options, 1, 300), 0.00020993, 5e-9);
  EXPECT_NEAR(learning_rate(options, 75, 300), 0.015005, 5e-7);
  EXPECT_NEAR(learning_rate(options, 150, 300), 0.03, 1e-12);
  EXPECT_NEAR(learning_rate(options, 299, 300), 0.00001329, 5e-9);
}

TEST(LearningRate, MovesPerEpochOrPerStep) {
  ScheduleOptions options{.lr = 1, .min_lr = 0, .warmup = 0.5, .per = "epoch"};
  EXPECT_EQ(learning_rate(options, 1.9, 4), learning_rate(options, 1, 4));
  options.per = "step";
  EXPECT_NEAR(learning_rate(options, 1.5, 4), 0.75, 1e-12);
}

TEST(LearningRate, StepShapeDropsAtMilestones) {
  const ScheduleOptions options{.shape = "step", .lr = 1, .warmup = 0, .milestones = {0.5, 0.75}, .gamma = 0.1};
  EXPECT_NEAR(learning_rate(options, 49, 100), 1, 1e-12);
  EXPECT_NEAR(learning_rate(options, 50, 100), 0.1, 1e-12);
  EXPECT_NEAR(learning_rate(options, 75, 100), 0.01, 1e-12);
}

// Worked numbers: CVRL's released schedule, 200 epochs on Kinetics-600 in 71,488 steps, 1,787 of them of warm-up.
TEST(LearningRate, FullCosineFollowsTheReleasedScheduleOfCvrl) {
  const ScheduleOptions options{
      .shape = "full_cosine", .lr = 0.32, .min_lr = 0, .warmup = 1787.0 / 71488, .per = "step"};
  const auto at_step = [&options](double step) { return learning_rate(options, step / 357.4375, 71488 / 357.4375); };
  for (const auto& [step, rate] : {std::pair{0.0, 0.0},
                                   {1, .00017880},
                                   {893, .15966404},
                                   {1786, .31932809},
                                   {1787, .31950688},
                                   {17872, .27313708},
                                   {35744, .16},
                                   {53616, .04686292},
                                   {71488, 0}})
    EXPECT_NEAR(at_step(step), rate, 6e-9) << step;
  const ScheduleOptions linear{.shape = "full_cosine", .lr = 32, .min_lr = 0, .warmup = 1787.0 / 35744, .per = "step"};
  const auto of_linear = [&linear](double step) { return learning_rate(linear, step / 357.44, 100); };
  EXPECT_NEAR(of_linear(1), .017797, 5e-7);
  EXPECT_NEAR(of_linear(1787), 31.803057, 5e-7);
  EXPECT_NEAR(of_linear(17872), 16, 1e-9);
}

TEST(LearningRate, OfCvrlsRecipesTakeTheReleasedNumbersOfSteps) {
  constexpr double kAnEpoch = 366016.0 / 1024;
  EXPECT_EQ(kAnEpoch, 357.4375);
  EXPECT_EQ(std::floor(5 * kAnEpoch), 1787);
  EXPECT_EQ(std::ceil(100 * kAnEpoch), 35744);
  EXPECT_EQ(std::ceil(200 * kAnEpoch), 71488);
}

TEST(LearningRate, IsMultipliedThroughout) {
  for (const char* shape : {"cosine", "full_cosine", "constant", "step"}) {
    const ScheduleOptions plain{.shape = shape, .lr = 0.3, .min_lr = 0.01, .warmup = 0.25};
    ScheduleOptions four = plain;
    four.lr_multiplier = 4;
    for (const double epoch : {0.0, 1.0, 5.0, 9.0})
      EXPECT_DOUBLE_EQ(learning_rate(four, epoch, 10), 4 * learning_rate(plain, epoch, 10));
  }
}

struct Problem {
  at::Tensor weight, bias, inputs, targets;
  Problem() {
    torch::manual_seed(3);
    weight = torch::randn({4, 6}).requires_grad_();
    bias = torch::randn({4}).requires_grad_();
    inputs = torch::randn({32, 6});
    targets = torch::randn({32, 4});
  }
  at::Tensor loss() const { return (torch::linear(inputs, weight, bias) - targets).square().mean(); }
};

using Fusing = Optimizer::Fusing;

void expect_same_course(const OptimizerOptions& options, torch::optim::Optimizer& theirs, Problem& reference,
                        Fusing fusing) {
  Problem mine;
  Optimizer optimizer({{"weight", mine.weight}, {"bias", mine.bias}}, options, fusing);
  for (int step = 0; step < 25; ++step) {
    optimizer.zero_grad();
    mine.loss().backward();
    optimizer.step(0.05);
    theirs.zero_grad();
    reference.loss().backward();
    theirs.step();
  }
  EXPECT_TRUE(torch::allclose(mine.weight, reference.weight, 1e-5, 1e-6));
  EXPECT_TRUE(torch::allclose(mine.bias, reference.bias, 1e-5, 1e-6));
}

TEST(Optimizer, SgdIsTorchsSgd) {
  for (const auto& [nesterov, fusing] :
       {std::pair{false, Fusing::off}, {true, Fusing::off}, {false, Fusing::on}, {true, Fusing::on}}) {
    Problem reference;
    torch::optim::SGD theirs({reference.weight, reference.bias},
                             torch::optim::SGDOptions(0.05).momentum(0.9).weight_decay(0.01).nesterov(nesterov));
    OptimizerOptions options;
    options.weight_decay = 0.01;
    options.nesterov = nesterov;
    expect_same_course(options, theirs, reference, fusing);
  }
}

TEST(Optimizer, SgdMultipliesTheRateOutsideTheVelocity) {  // CVRL's framework has it inside, and ends at -0.951
  at::Tensor weight = torch::zeros({1}, torch::kDouble).requires_grad_();
  OptimizerOptions options;
  options.weight_decay = 0;
  Optimizer optimizer({{"weight", weight}}, options);
  double inside = 0, velocity = 0;
  for (const double lr : {.1, .2, .3}) {
    weight.mutable_grad() = torch::ones({1}, torch::kDouble);
    optimizer.step(lr);
    velocity = 0.9 * velocity - lr;
    inside += velocity;
  }
  EXPECT_NEAR(weight.item<double>(), -1.293, 1e-12);
  EXPECT_NEAR(inside, -.951, 1e-12);
}

TEST(Optimizer, AdamwIsTorchsAdamw) {
  for (const Fusing fusing : {Fusing::off, Fusing::on}) {
    Problem reference;
    torch::optim::AdamW theirs({reference.weight, reference.bias},
                               torch::optim::AdamWOptions(0.05).weight_decay(0.01).betas({0.9, 0.999}).eps(1e-8));
    OptimizerOptions options;
    options.name = "adamw";
    options.weight_decay = 0.01;
    expect_same_course(options, theirs, reference, fusing);
  }
}

/// Parameters of several shapes and memory orders after some steps, and the last gradient norm.
std::pair<std::vector<at::Tensor>, double> course_of(const OptimizerOptions& options, Fusing fusing,
                                                     c10::Device device = c10::kCPU) {
  torch::manual_seed(5);
  Optimizer::Named parameters;
  const auto add = [&](const char* name, const std::vector<int64_t>& shape) {
    at::Tensor value = torch::randn(shape);
    if (shape.size() == 5) value = value.contiguous(at::MemoryFormat::ChannelsLast3d);
    parameters.emplace_back(name, value.to(device).requires_grad_());
  };
  add("conv.weight", {6, 4, 3, 3, 3});
  add("point.weight", {6, 4, 1, 1, 1});  // more than one set of strides says the same
  add("norm.weight", {6});
  add("norm.bias", {6});
  add("head.weight", {3, 6});
  add("unused.weight", {2, 2});
  Optimizer optimizer(parameters, options, fusing);
  EXPECT_EQ(optimizer.fused(), fusing == Fusing::on || (fusing == Fusing::automatic && device.is_cuda()));
  double norm = 0;
  for (int step = 0; step < 4; ++step) {
    optimizer.zero_grad();
    for (auto& [name, parameter] : parameters) {
      if (name != "unused.weight") parameter.mutable_grad() = torch::randn(parameter.sizes()).to(device);
    }
    norm = optimizer.step(0.1 / (1 + step)).item<double>();
  }
  std::vector<at::Tensor> values;
  for (const auto& [name, parameter] : parameters) values.push_back(parameter.detach().cpu());
  return {values, norm};
}

std::vector<OptimizerOptions> some_rules() {
  std::vector<OptimizerOptions> rules;
  for (const char* name : {"sgd", "adamw", "lars"}) {
    for (const double clip : {0.0, 2.0}) {
      for (const bool decay_norms : {true, false}) {
        rules.push_back({.name = name,
                         .nesterov = clip > 0 && std::string(name) == "sgd",
                         .weight_decay = 0.05,
                         .decay_norms = decay_norms,
                         .clip_norm = clip,
                         .bias_lr = decay_norms ? 1.0 : 2.0,
                         .trust = 0.02});
      }
    }
  }
  return rules;
}

TEST(Optimizer, FusesUpdatesWithoutChangingThem) {
  for (const OptimizerOptions& rule : some_rules()) {
    SCOPED_TRACE(testing::Message() << rule.name << ", clip " << rule.clip_norm << ", bias " << rule.bias_lr);
    const auto [apart, norm] = course_of(rule, Fusing::off);
    const auto [fused, same_norm] = course_of(rule, Fusing::on);
    EXPECT_NEAR(norm, same_norm, 1e-5);
    for (size_t k = 0; k < apart.size(); ++k) EXPECT_TRUE(torch::allclose(apart[k], fused[k], 1e-5, 1e-6)) << k;
  }
}

TEST(Optimizer, LarsTakesStepsInProportionToTheWeight) {
  for (const Fusing fusing : {Fusing::off, Fusing::on}) {
    at::Tensor weight = torch::tensor({{3.0F, 0.0F}, {0.0F, 4.0F}}).requires_grad_();  // length 5
    at::Tensor gamma = torch::tensor({1.0F, 1.0F}).requires_grad_();
    Optimizer optimizer({{"weight", weight}, {"gamma", gamma}},
                        {.name = "lars", .momentum = 0.5, .weight_decay = 0.1, .decay_norms = false, .trust = 0.01},
                        fusing);
    double velocity = 0, moved = 0;
    for (const double lr : {1.0, 2.0}) {
      const double w = weight[0][0].item<double>(), other = weight[1][1].item<double>();
      const double length = std::sqrt(w * w + other * other);
      weight.mutable_grad() = torch::tensor({{2.0F, 0.0F}, {0.0F, 0.0F}});
      gamma.mutable_grad() = torch::tensor({1.0F, 0.0F});
      optimizer.step(lr);
      const double ratio = 0.01 * length / (2 + 0.1 * length);
      velocity = 0.5 * velocity + ratio * (2 + 0.1 * w);
      moved += lr * velocity;
      EXPECT_NEAR(weight[0][0].item<double>(), 3 - moved, 1e-5);
    }
    EXPECT_NEAR(gamma[0].item<double>(), 1 - 1.0 - 2 * 1.5, 1e-6);  // plain momentum, not decayed
    EXPECT_EQ(gamma[1].item<float>(), 1);
  }
}

TEST(Optimizer, LarsLeavesAWeightOfZerosToItsGradient) {
  at::Tensor weight = torch::zeros({2, 2}).requires_grad_();
  weight.mutable_grad() = torch::ones({2, 2});
  Optimizer optimizer({{"weight", weight}}, {.name = "lars", .weight_decay = 0.1});
  optimizer.step(0.5);
  EXPECT_TRUE(torch::equal(weight.detach(), torch::full({2, 2}, -0.5F)));
}

TEST(CudaOptimizer, TakesTheCoursesOfTheCpu) {
  if (!torch::cuda::is_available()) GTEST_SKIP() << "no GPU here";
  for (const OptimizerOptions& rule : some_rules()) {
    SCOPED_TRACE(testing::Message() << rule.name << ", clip " << rule.clip_norm);
    const auto [cpu, norm] = course_of(rule, Fusing::off);
    const auto [gpu, same_norm] = course_of(rule, Fusing::automatic, c10::Device(c10::kCUDA, 0));
    EXPECT_NEAR(norm, same_norm, 1e-4);
    for (size_t k = 0; k < cpu.size(); ++k) EXPECT_TRUE(torch::allclose(cpu[k], gpu[k], 1e-4, 1e-5)) << k;
  }
}

TEST(Optimizer, ClipsTheGlobalNorm) {
  at::Tensor a = torch::zeros({3}).requires_grad_();
  at::Tensor b = torch::zeros({1}).requires_grad_();
  a.mutable_grad() = torch::tensor({3.0F, 0.0F, 0.0F});
  b.mutable_grad() = torch::tensor({4.0F});
  OptimizerOptions options;
  options.weight_decay = 0;
  options.clip_norm = 1;
  Optimizer optimizer({{"a", a}, {"b", b}}, options);
  EXPECT_NEAR(optimizer.step(1).item<float>(), 5, 1e-6);
  EXPECT_NEAR(a[0].item<float>(), -0.6, 1e-5);
  EXPECT_NEAR(b[0].item<float>(), -0.8, 1e-5);
}

TEST(Optimizer, LeavesNormsUndecayedWhereAsked) {
  at::Tensor matrix = torch::ones({2, 2}).requires_grad_();
  at::Tensor gamma = torch::ones({2}).requires_grad_();
  matrix.mutable_grad() = torch::zeros({2, 2});
  gamma.mutable_grad() = torch::zeros({2});
  OptimizerOptions options;
  options.weight_decay = 0.1;
  options.decay_norms = false;
  Optimizer optimizer({{"matrix", matrix}, {"gamma", gamma}}, options);
  optimizer.step(1);
  EXPECT_NEAR(matrix[0][0].item<float>(), 0.9, 1e-6);
  EXPECT_EQ(gamma[0].item<float>(), 1);
}

TEST(Optimizer, GivesBiasesARateOfTheirOwn) {
  for (const std::string name : {"sgd", "adamw"}) {
    const auto moved = [&name](double bias_lr) {  // of a weight, of biases and of a norm's scale, after two steps
      Optimizer::Named parameters;
      for (const char* key : {"head.weight", "head.bias", "norm.weight", "norm.bias"})
        parameters.emplace_back(key, torch::ones({2}).requires_grad_());
      Optimizer optimizer(parameters, {.name = name, .weight_decay = .01, .bias_lr = bias_lr});
      for (int step = 0; step < 2; ++step) {
        for (auto& [key, parameter] : parameters) parameter.mutable_grad() = torch::full({2}, .5F);
        EXPECT_NEAR(optimizer.step(.1).item<double>(), std::sqrt(8 * .25), 1e-6);  // of all, whatever their rates
      }
      std::vector<double> result;
      for (const auto& [key, parameter] : parameters) result.push_back(1 - parameter[0].item<double>());
      return result;
    };
    const std::vector<double> same = moved(1), twice = moved(2);
    for (const double move : same) EXPECT_NEAR(move, same[0], 1e-7) << name;
    EXPECT_EQ(twice[0], same[0]) << name;
    EXPECT_EQ(twice[2], same[2]) << name;
    EXPECT_GT(twice[1], 1.9 * same[1]) << name;  // not exactly twice: what decays is smaller by then
    EXPECT_LT(twice[1], 2.1 * same[1]) << name;
    EXPECT_EQ(twice[3], twice[1]) << name;
  }
}

TEST(Optimizer, StateRoundTripsAndRefusesStrangers) {
  Problem problem;
  Optimizer optimizer({{"weight", problem.weight}}, {});
  problem.loss().backward();
  optimizer.step(0.1);
  Optimizer other({{"weight", problem.weight}}, {});
  other.load(optimizer.state());
  for (size_t i = 0; i < optimizer.state().size(); ++i) {
    EXPECT_TRUE(torch::equal(optimizer.state()[i].second, other.state()[i].second));
  }
  EXPECT_THROW(other.load({}), CheckpointError);
  EXPECT_THROW(other.load({{"momentum/weight", torch::zeros({1})}, {"steps", torch::zeros({1}, torch::kInt64)}}),
               CheckpointError);
}

}  // namespace
}  // namespace cstp
