// Two and four ranks equal one rank with the joined batch, for every objective: gradients and parameters of two steps,
// negatives, momentum twin, queue and the running statistics of all norms included.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>

#include "cstp/distributed/gradient_sync.h"
#include "cstp/distributed/sync_norm.h"
#include "cstp/engine/optimizer.h"
#include "cstp/models/tensor_file.h"
#include "forked_ranks.h"
#include "objectives/made_batch.h"
#include "objectives/objective_cases.h"

namespace cstp {
namespace {

constexpr int64_t kVideos = 8;
/// Weights of the f32 runs for which rounding flips no ReLU and no pooling choice.
constexpr uint64_t kFloatSeed = 3;
/// Two steps in f64, where the second shows that updates agree too. One in f32: rounding differs between one norm
/// kernel and the synchronised one, an update magnifies it, and a ReLU or a pooling choice that it flips is no small
/// change.
int steps_of(at::ScalarType type) { return type == at::kDouble ? 2 : 1; }

/// What rank r of a step has of the joined batch: the r-th part of the videos, view-major as every batch.
ViewBatch part_of(const ViewBatch& all, const World& world) {
  const int64_t videos = all.videos() / world.size;
  const int64_t first = world.rank * videos;
  const auto from = static_cast<std::ptrdiff_t>(first), to = static_cast<std::ptrdiff_t>(first + videos);
  ViewBatch part;
  part.plans.assign(all.plans.begin() + from, all.plans.begin() + to);
  part.records.assign(all.records.begin() + from, all.records.begin() + to);
  part.labels = all.labels.narrow(0, first, videos);
  const auto rows = [&](const at::Tensor& whole) {
    return whole.unflatten(0, {-1, all.videos()}).narrow(1, first, videos).flatten(0, 1).contiguous();
  };
  part.views = rows(all.views);
  if (all.targets.defined()) part.targets = rows(all.targets);
  return part;
}

/// Module::to would turn counters into floating point too.
void convert(torch::nn::Module& module, at::ScalarType type) {
  for (auto& [name, tensor] : state_of(module)) {
    if (at::isFloatingType(tensor.scalar_type())) tensor.set_data(tensor.to(type));
  }
}

/// A step or two; everything that came of them, by name.
TensorFile trained(const std::string& yaml, at::ScalarType type, const World& world) {
  ObjectiveParts parts = small_parts("r3d10_pool");
  parts.world = world;
  const auto objective = made_objective(yaml, parts, type == at::kDouble ? 1 : kFloatSeed);
  convert(*objective, type);
  synchronize_norms(*objective, world);
  objective->set_train_mode();
  ViewBatch batch = made_batch(*objective, kVideos);
  batch.views = batch.views.to(type);
  if (std::string(yaml).find("freeze") == std::string::npos) batch.labels[1] = -1;  // ranks differ in labelled videos
  const auto trainable = objective->trainable();
  std::vector<at::Tensor> parameters;
  for (const auto& [name, parameter] : trainable) parameters.push_back(parameter);
  Optimizer optimizer(trainable, {.name = "sgd", .weight_decay = 1e-3});
  GradientSync gradients(parameters, world);
  TensorFile file;
  for (int step = 0; step < steps_of(type); ++step) {
    batch.views = batch.views.roll(1, 2);  // another batch each step
    optimizer.zero_grad();
    const LossTerms terms = objective->loss(part_of(batch, world));
    gradients.expect_backward();
    terms.total.backward();
    for (const auto& [name, parameter] : trainable) {
      require(parameter.grad().defined(), name + " has no gradient");
      file.tensors.emplace_back(cat("gradient ", step, " ", name), parameter.grad().clone());
    }
    optimizer.step(0.02);
    objective->after_step();
    file.tensors.emplace_back(cat("loss ", step), mean_over_ranks(terms.total.detach().reshape({1}), world));
    for (const auto& [name, value] : terms.parts) {
      file.tensors.emplace_back(cat("part ", step, " ", name), mean_over_ranks(value.reshape({1}), world));
    }
  }
  for (const auto& [name, tensor] : state_of(*objective)) {
    file.tensors.emplace_back(cat("state ", name), tensor.detach());
    if (!at::isFloatingType(tensor.scalar_type())) continue;
    require_close(mean_over_ranks(tensor, world), tensor, 1e-12, cat(name, " is not the same on all ranks"));
  }
  for (auto& [name, tensor] : file.tensors) {
    if (tensor.dim() == 0) tensor = tensor.reshape({1});
    tensor = tensor.to(torch::kFloat64).contiguous();
  }
  return file;
}

class ObjectiveOnRanks : public testing::TestWithParam<ObjectiveCase> {};

TEST_P(ObjectiveOnRanks, EqualsOneRankWithTheJoinedBatch) {
  SKIP_WITHOUT_GLOO();
  const RankFolder folder;
  const auto file = [&folder](int64_t size, at::ScalarType type) {
    return folder.path(cat(size, type == at::kDouble ? "-f64" : "-f32", ".safetensors"));
  };
  for (const int64_t size : {1, 2, 4}) {
    on_ranks(size, [&](const World& world) {
      for (const at::ScalarType type : {at::kDouble, at::kFloat}) {
        const TensorFile result = trained(GetParam().yaml, type, world);
        if (world.is_first()) save_tensor_file(file(size, type), result);
      }
    });
    if (HasFailure()) return;
  }
  for (const auto& [type, tolerance] : {std::pair{at::kDouble, 1e-9}, std::pair{at::kFloat, 1e-5}}) {
    const TensorFile one = load_tensor_file(file(1, type));
    for (const int64_t size : {2, 4}) {
      const TensorFile many = load_tensor_file(file(size, type));
      ASSERT_EQ(one.tensors.size(), many.tensors.size());
      for (size_t i = 0; i < one.tensors.size(); ++i) {
        ASSERT_EQ(one.tensors[i].first, many.tensors[i].first);
        const at::Tensor &a = one.tensors[i].second, &b = many.tensors[i].second;
        ASSERT_EQ(a.sizes(), b.sizes());
        const double scale = 1 + a.abs().max().item<double>();
        const bool share = one.tensors[i].first.starts_with("part ");  // accuracies are counted in f32
        EXPECT_LE((a - b).abs().max().item<double>(), (share ? std::max(tolerance, 1e-6) : tolerance) * scale)
            << one.tensors[i].first << ", " << size << " ranks, " << (type == at::kDouble ? "f64" : "f32");
      }
    }
  }
}
INSTANTIATE_TEST_SUITE_P(Cases, ObjectiveOnRanks, testing::ValuesIn(kObjectiveCases));

TEST(ObjectivesOnRanks, AreAllTested) { expect_a_case_of_every_objective(); }

void expect_synced_norms_alone(const torch::nn::Module& root, const std::string& what) {
  for (const auto& module : root.named_modules("", /*include_self=*/false)) {
    const torch::nn::Module* child = module.value().get();
    const bool norm = dynamic_cast<const torch::nn::BatchNorm1dImpl*>(child) != nullptr ||
                      dynamic_cast<const torch::nn::BatchNorm2dImpl*>(child) != nullptr ||
                      dynamic_cast<const torch::nn::BatchNorm3dImpl*>(child) != nullptr;
    EXPECT_TRUE(!norm || dynamic_cast<const SyncedNorm*>(child) != nullptr)
        << what << "." << module.key() << " is a plain batch norm, which sees one rank alone; use Norm1d or Norm3d";
  }
}

TEST(ObjectivesOnRanks, HaveNoNormThatSeesOneRankAlone) {
  for (const BackboneRow& row : backbones()) {
    expect_synced_norms_alone(*make_backbone({.name = row.name, .width = 0.125}), row.name);
  }
  for (const ObjectiveCase& c : kObjectiveCases) expect_synced_norms_alone(*made_objective(c.yaml), c.yaml);
}

}  // namespace
}  // namespace cstp
