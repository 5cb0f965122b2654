#include "cstp/engine/linear_probe.h"

#include <torch/torch.h>

#include <cmath>
#include <numeric>

#include "cstp/core/error.h"
#include "cstp/core/log.h"
#include "cstp/core/random.h"
#include "cstp/core/text.h"
#include "cstp/models/tensor_file.h"

namespace cstp {
namespace {

/// The classifier on features and its training; small enough that the whole set stays in memory.
class Probe {
 public:
  Probe(int64_t features, int64_t classes, const DownstreamOptions& options, uint64_t seed)
      : options_(options), seed_(seed) {
    at::Generator generator = torch::make_generator<at::CPUGeneratorImpl>(seed);
    const double bound = 1 / std::sqrt(static_cast<double>(features));
    weight_ = torch::empty({classes, features}).uniform_(-bound, bound, generator).requires_grad_();
    bias_ = torch::zeros({classes}).requires_grad_();
    mean_ = torch::zeros({features});
    variance_ = torch::ones({features});
  }

  /// @param rows [R,C]
  void train(const at::Tensor& rows, const at::Tensor& labels, double lr) {
    const at::Tensor inputs = prepared(rows);
    if (options_.norm) {  // features are fixed, so their statistics are exact: no running averages
      mean_ = inputs.mean(0);
      variance_ = inputs.var(0, /*unbiased=*/false);
    }
    const at::Tensor normal = normalized(inputs);
    OptimizerOptions rule;
    rule.momentum = options_.momentum;
    rule.weight_decay = options_.weight_decay;
    rule.clip_norm = options_.clip_norm;
    Optimizer optimizer({{"weight", weight_}, {"bias", bias_}}, rule);
    ScheduleOptions schedule;
    schedule.lr = lr;
    schedule.min_lr = options_.min_lr;
    schedule.warmup = options_.warmup;
    schedule.shape = options_.schedule;
    schedule.per = options_.schedule == "cosine" ? "epoch" : "step";
    const int64_t count = rows.size(0);
    std::vector<int64_t> order(static_cast<size_t>(count));
    std::iota(order.begin(), order.end(), int64_t{0});
    for (int64_t epoch = 0; epoch < options_.epochs; ++epoch) {
      Rng(seed_, static_cast<uint64_t>(epoch)).shuffle(std::span(order));
      const at::Tensor shuffled = torch::tensor(order);
      const std::vector<at::Tensor> batches = shuffled.split(options_.batch);
      for (size_t i = 0; i < batches.size(); ++i) {
        const at::Tensor& batch = batches[i];
        const double passed = static_cast<double>(i) / static_cast<double>(batches.size());
        const double rate =
            learning_rate(schedule, static_cast<double>(epoch) + passed, static_cast<double>(options_.epochs));
        optimizer.zero_grad();
        const at::Tensor scores = torch::linear(normal.index_select(0, batch), weight_, bias_);
        torch::cross_entropy_loss(scores, labels.index_select(0, batch)).backward();
        optimizer.step(rate);
      }
    }
    if (!torch::isfinite(weight_).all().item<bool>()) {
      throw NumericError(cat("the linear probe diverged at lr ", number_text(lr),
                             "; try a lower eval.linear.lr, or eval.linear.clip_norm=1"));
    }
  }

  /// [R,C] -> [R,K]
  at::Tensor logits(const at::Tensor& rows) const {
    const torch::NoGradGuard no_grad;
    return torch::linear(normalized(prepared(rows)), weight_, bias_);
  }

  std::string hash() const {
    return content_hash({{"weight", weight_}, {"bias", bias_}, {"mean", mean_}, {"variance", variance_}});
  }

 private:
  at::Tensor prepared(const at::Tensor& rows) const {
    return options_.normalize
               ? torch::nn::functional::normalize(rows, torch::nn::functional::NormalizeFuncOptions().dim(1))
               : rows;
  }
  at::Tensor normalized(const at::Tensor& rows) const {
    return options_.norm ? (rows - mean_) / torch::sqrt(variance_ + 1e-5 * variance_.mean() + 1e-12) : rows;
  }
  DownstreamOptions options_;
  uint64_t seed_;
  at::Tensor weight_, bias_, mean_, variance_;
};

struct Rows {
  at::Tensor features, labels;  ///< [R,C], [R]
};

Rows rows_of(const FeatureSet& set, const std::vector<int64_t>& videos) {
  const at::Tensor picked = torch::tensor(videos);
  const at::Tensor values = set.values.index_select(0, picked);  // [D,V,C]
  return {values.reshape({-1, values.size(2)}), set.labels.index_select(0, picked).repeat_interleave(values.size(1))};
}

double clip_top1(const Probe& probe, const Rows& rows) {
  return (probe.logits(rows.features).argmax(1) == rows.labels).to(torch::kFloat64).mean().item<double>();
}

}  // namespace

ProbeResult linear_probe(const FeatureSet& train, const FeatureSet& test, int64_t classes,
                         const DownstreamOptions& options, uint64_t seed, const std::vector<std::string>& groups) {
  const int64_t features = train.values.size(2);
  std::vector<int64_t> all(static_cast<size_t>(train.decoded()));
  std::iota(all.begin(), all.end(), int64_t{0});
  const HeldOut parts = hold_out_a_tenth(train.labels, groups, seed);
  ProbeResult result;
  result.rate = choose_rate(options.lr, [&](double lr) -> std::optional<double> {
    if (parts.held_out.empty()) return std::nullopt;
    Probe candidate(features, classes, options, seed);
    const Rows fit = rows_of(train, parts.fit);
    candidate.train(fit.features, fit.labels, lr);
    return clip_top1(candidate, rows_of(train, parts.held_out));
  });
  Probe probe(features, classes, options, seed);
  const Rows rows = rows_of(train, all);
  probe.train(rows.features, rows.labels, result.rate.lr);
  result.train_top1 = clip_top1(probe, rows);
  result.classifier = probe.hash();
  const at::Tensor logits = probe.logits(test.values.reshape({-1, features}));
  result.logits = logits.reshape({test.values.size(0), test.values.size(1), classes});
  return result;
}

}  // namespace cstp
