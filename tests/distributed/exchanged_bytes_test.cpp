// What docs/scaling.md says a step exchanges, counted at the process group.
#include <gtest/gtest.h>

#include <map>

#include "cstp/distributed/gradient_sync.h"
#include "cstp/distributed/sync_norm.h"
#include "cstp/engine/run_config.h"
#include "forked_ranks.h"
#include "objectives/made_batch.h"
#include "rank_group.h"

namespace cstp {
namespace {

/// Bytes of the tensors that one rank hands over (all-reduce) or ends with (all-gather), and how many exchanges.
struct Exchange {
  int64_t bytes = 0, count = 0;
  void add(const at::Tensor& tensor) { bytes += static_cast<int64_t>(tensor.nbytes()), ++count; }
};

/// Stands in front of a group and counts. What an exchange is for shows in its tensor: sums of norms are f64, of 2C+1
/// numbers forward and 2C backward; buckets of gradients are flat f32; the gradient of gathered rows is not flat.
class CountingBackend : public c10d::Backend {
 public:
  explicit CountingBackend(c10::intrusive_ptr<c10d::Backend> inner)
      : Backend(inner->getRank(), inner->getSize()), inner_(std::move(inner)) {}

  const std::string getBackendName() const override { return "counting"; }

  c10::intrusive_ptr<c10d::Work> allreduce(std::vector<at::Tensor>& tensors,
                                           const c10d::AllreduceOptions& options) override {
    for (const at::Tensor& tensor : tensors) {
      if (tensor.scalar_type() == at::kDouble) {
        exchanges[tensor.numel() % 2 == 1 ? "norm forward" : "norm backward"].add(tensor);
      } else if (tensor.scalar_type() == at::kFloat) {
        exchanges[tensor.dim() == 1 ? "gradients" : "gather backward"].add(tensor);
      } else {
        exchanges["other"].add(tensor);
      }
    }
    return inner_->allreduce(tensors, options);
  }
  c10::intrusive_ptr<c10d::Work> _allgather_base(at::Tensor& output, at::Tensor& input,
                                                 const c10d::AllgatherOptions& options) override {
    exchanges["gather forward"].add(output);
    return inner_->_allgather_base(output, input, options);
  }
  c10::intrusive_ptr<c10d::Work> broadcast(std::vector<at::Tensor>& tensors,
                                           const c10d::BroadcastOptions& options) override {
    for (const at::Tensor& tensor : tensors) exchanges["other"].add(tensor);
    return inner_->broadcast(tensors, options);
  }

  std::map<std::string, Exchange> exchanges;

 private:
  c10::intrusive_ptr<c10d::Backend> inner_;
};

/// What a step of a shipped recipe's networks exchanges; its clips are small, which no byte depends on.
std::map<std::string, Exchange> counted_step(const std::string& config_file, const std::vector<std::string>& sets,
                                             int64_t videos, const World& world, int64_t* parameter_count) {
  const RunConfig config = load_run_config(config_file, sets);
  ObjectiveParts parts;
  parts.clip = {.frames = 8, .stride = 2, .size = 32};
  parts.classes = 3;
  parts.make_backbone = [&] { return make_backbone(config.model); };
  parts.world = world;
  torch::manual_seed(1);
  const auto objective = make_objective(config.objective, parts);
  synchronize_norms(*objective, world);
  objective->set_train_mode();
  std::vector<at::Tensor> parameters;
  for (const auto& item : objective->trainable()) {
    parameters.push_back(item.second);
    *parameter_count += item.second.numel();
  }
  GradientSync gradients(parameters, world);
  const ViewBatch batch = made_batch(*objective, videos);

  const GroupHandle& group = world.group->process_group();
  const auto counting = c10::make_intrusive<CountingBackend>(group->getBackend(c10::kCPU));
  group->setBackend(c10::kCPU, c10d::ProcessGroup::BackendType::CUSTOM, counting);
  const LossTerms terms = objective->loss(batch);
  gradients.expect_backward();
  terms.total.backward();
  return counting->exchanges;
}

void require_bytes(const std::map<std::string, Exchange>& exchanges, const std::string& what, int64_t bytes,
                   int64_t count = -1) {
  const auto found = exchanges.find(what);
  const Exchange seen = found == exchanges.end() ? Exchange() : found->second;
  require(seen.bytes == bytes, cat(what, ": ", seen.bytes, " bytes, not ", bytes));
  require(count < 0 || seen.count == count, cat(what, ": ", seen.count, " exchanges, not ", count));
}

constexpr int64_t kRanks = 2;
constexpr int64_t kOwn = 2;  ///< videos a rank

TEST(ExchangedBytes, OfTheShippedCstpRecipeAreThoseOfItsTable) {
  SKIP_WITHOUT_GLOO();
  on_ranks(kRanks, [](const World& world) {
    int64_t parameters = 0;
    const auto seen = counted_step("k400_stor_contrast", {}, kOwn, world, &parameters);
    require(parameters == 25'424'521, cat("P is ", parameters));
    require_bytes(seen, "gradients", 4 * parameters);
    require_bytes(seen, "norm forward", 16 * 29'710 + 8 * 55, 55);
    require_bytes(seen, "norm backward", 16 * 18'439, 30);
    require_bytes(seen, "gather forward", 0);
    require_bytes(seen, "gather backward", 0);
  });
}

TEST(ExchangedBytes, OfInfonceAreTheProjectionsOfBothClipsTwice) {
  SKIP_WITHOUT_GLOO();
  on_ranks(kRanks, [](const World& world) {
    int64_t parameters = 0;
    const auto seen = counted_step("k400_stor_contrast", {"objective.contrast=infonce", "objective.projector_out=128"},
                                   kOwn, world, &parameters);
    const int64_t bytes = 8 * kRanks * kOwn * 128;
    require_bytes(seen, "gather forward", bytes);
    require_bytes(seen, "gather backward", bytes);
  });
}

TEST(ExchangedBytes, OfCvrlAreTheProjectionsOfBothViewsTwice) {
  SKIP_WITHOUT_GLOO();
  on_ranks(kRanks, [](const World& world) {
    int64_t parameters = 0;
    const auto seen = counted_step("cvrl_k400", {"model.width=0.125"}, kOwn, world, &parameters);
    const int64_t bytes = 8 * kRanks * kOwn * 128;
    require_bytes(seen, "gather forward", bytes);
    require_bytes(seen, "gather backward", bytes);
    require_bytes(seen, "gradients", 4 * parameters);
  });
}

TEST(ExchangedBytes, OfHdcAreTheVectorsOfEveryLevel) {
  SKIP_WITHOUT_GLOO();
  on_ranks(kRanks, [](const World& world) {
    int64_t parameters = 0;
    const auto seen = counted_step("hdc_k400_r3d18", {"model.width=0.125"}, kOwn, world, &parameters);
    const int64_t vectors = 8 + 4 + 2 + 1 + 4;  // of 8 frames: SC per step 8, 4, 2, 1; TC one a level
    const int64_t bytes = 8 * kRanks * kOwn * 128 * vectors;
    int64_t sums = 0;  // of the invariances: 2*S*C + 1 numbers a level and subtask, of 8, 16, 32 and 64 channels
    for (int64_t level = 0; level < 4; ++level) sums += (2 * (8 >> level) * (8 << level) + 1) + (2 * (8 << level) + 1);
    require_bytes(seen, "gather forward", bytes + 4 * kRanks * sums, 2);
    require_bytes(seen, "gather backward", bytes);
  });
}

}  // namespace
}  // namespace cstp
