#include "cstp/engine/evaluate.h"

#include <torch/torch.h>

#include <algorithm>
#include <cmath>
#include <map>
#include <numeric>

#include "cstp/core/error.h"
#include "cstp/core/log.h"
#include "cstp/core/text.h"

namespace cstp {
namespace {

/// Share of rows whose label is among the k best scores; absent where k >= classes would make it 1 by definition.
std::optional<double> top_k(const at::Tensor& scores, const at::Tensor& labels, int64_t k) {
  if (scores.size(0) == 0 || (k > 1 && k >= scores.size(1))) return std::nullopt;
  const at::Tensor best = std::get<1>(scores.topk(k, 1));  // [D,k]
  return (best == labels.unsqueeze(1)).any(1).to(torch::kFloat64).mean().item<double>();
}

}  // namespace

Accuracy score_videos(const at::Tensor& logits, const at::Tensor& labels, const std::string& average) {
  Accuracy result;
  const int64_t clips = logits.size(1);
  const int64_t classes = logits.size(2);
  const at::Tensor scores = average == "softmax" ? torch::softmax(logits, 2).mean(1) : logits.mean(1);  // [D,K]
  result.predicted = scores.argmax(1);
  result.top1 = top_k(scores, labels, 1);
  result.top5 = top_k(scores, labels, 5);
  result.clip_top1 = top_k(logits.reshape({-1, classes}), labels.repeat_interleave(clips), 1);
  return result;
}

at::Tensor video_embeddings(const at::Tensor& features, bool normalize_clips) {
  using torch::nn::functional::NormalizeFuncOptions;
  const at::Tensor clips =
      normalize_clips ? torch::nn::functional::normalize(features, NormalizeFuncOptions().dim(2)) : features;
  return torch::nn::functional::normalize(clips.mean(1), NormalizeFuncOptions().dim(1));  // [D,C]
}

Accuracy knn_accuracy(const at::Tensor& train, const at::Tensor& train_labels, const at::Tensor& test,
                      const at::Tensor& test_labels, int64_t classes, int64_t k, double temperature) {
  k = std::min(k, train.size(0));
  std::vector<at::Tensor> votes;
  for (const at::Tensor& block : test.split(1024)) {  // bounded memory: 1024 x M similarities at a time
    const auto [similarity, nearest] = torch::mm(block, train.t()).topk(k, 1);  // [b,k]
    const at::Tensor neighbours = train_labels.index_select(0, nearest.reshape(-1)).reshape({-1, k});
    votes.push_back(
        torch::zeros({block.size(0), classes}).scatter_add(1, neighbours, torch::exp((similarity - 1) / temperature)));
  }
  Accuracy result;
  const at::Tensor scores = torch::cat(votes);
  result.predicted = scores.argmax(1);
  result.top1 = top_k(scores, test_labels, 1);
  result.top5 = top_k(scores, test_labels, 5);
  return result;
}

Retrieval retrieve(const at::Tensor& gallery, const at::Tensor& gallery_labels, const at::Tensor& queries,
                   const at::Tensor& query_labels, const std::vector<int64_t>& topk) {
  Retrieval result;
  const int64_t size = gallery.size(0);
  const int64_t shown = std::min<int64_t>(size, 50);
  std::vector<at::Tensor> rankings, similarities, first_hits, precisions;
  for (const at::Tensor& block : torch::arange(queries.size(0)).split(512)) {
    const at::Tensor similarity = torch::mm(queries.index_select(0, block), gallery.t());  // [b,G]
    const auto [sorted, order] = similarity.sort(/*stable=*/true, /*dim=*/1, /*descending=*/true);
    const at::Tensor labels = query_labels.index_select(0, block).unsqueeze(1);
    const at::Tensor same = gallery_labels.index_select(0, order.reshape(-1)).reshape(order.sizes()) == labels;
    const at::Tensor hit = same & (labels >= 0);  // [b,G]
    const at::Tensor found = hit.to(torch::kFloat64).cumsum(1);
    const at::Tensor ranks = torch::arange(1, size + 1, torch::kFloat64);
    const at::Tensor relevant = found.select(1, size - 1).clamp_min(1);
    precisions.push_back((found / ranks * hit).sum(1) / relevant);
    const at::Tensor first = hit.to(torch::kInt64).argmax(1) + 1;  // the first of equal ones
    first_hits.push_back(torch::where(hit.any(1), first, torch::zeros_like(first)));
    rankings.push_back(order.slice(1, 0, shown));
    similarities.push_back(sorted.slice(1, 0, shown));
  }
  result.first_hit = torch::cat(first_hits);
  result.precision = torch::cat(precisions);
  result.ranking = torch::cat(rankings);
  result.similarity = torch::cat(similarities);
  const at::Tensor labelled = (query_labels >= 0).nonzero().squeeze(1);
  const at::Tensor first = result.first_hit.index_select(0, labelled);
  for (const int64_t k : topk) {
    std::optional<double> recall;
    if (k <= size && first.numel() > 0) {
      recall = ((first > 0) & (first <= k)).to(torch::kFloat64).mean().item<double>();
    }
    result.recall.emplace_back(k, recall);
  }
  if (first.numel() > 0) result.map = result.precision.index_select(0, labelled).mean().item<double>();
  return result;
}

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
    const int64_t count = rows.size(0);
    std::vector<int64_t> order(static_cast<size_t>(count));
    std::iota(order.begin(), order.end(), int64_t{0});
    for (int64_t epoch = 0; epoch < options_.epochs; ++epoch) {
      Rng(seed_, static_cast<uint64_t>(epoch)).shuffle(std::span(order));
      const at::Tensor shuffled = torch::tensor(order);
      const double rate = learning_rate(schedule, static_cast<double>(epoch), static_cast<double>(options_.epochs));
      for (const at::Tensor& batch : shuffled.split(options_.batch)) {
        optimizer.zero_grad();
        const at::Tensor scores = torch::linear(normal.index_select(0, batch), weight_, bias_);
        torch::cross_entropy_loss(scores, labels.index_select(0, batch)).backward();
        optimizer.step(rate);
      }
    }
  }

  /// [R,C] -> [R,K]
  at::Tensor logits(const at::Tensor& rows) const {
    const torch::NoGradGuard no_grad;
    return torch::linear(normalized(prepared(rows)), weight_, bias_);
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
                         const DownstreamOptions& options, uint64_t seed) {
  const int64_t features = train.values.size(2);
  std::vector<int64_t> all(static_cast<size_t>(train.decoded()));
  std::iota(all.begin(), all.end(), int64_t{0});
  ProbeResult result;
  result.lr = options.lr.front();
  if (options.lr.size() > 1) {
    const HeldOut parts = hold_out_a_tenth(train.labels, seed);
    double best = -1;
    for (const double lr : options.lr) {
      Probe probe(features, classes, options, seed);
      const Rows fit = rows_of(train, parts.fit);
      probe.train(fit.features, fit.labels, lr);
      const double accuracy = clip_top1(probe, rows_of(train, parts.held_out));
      log::info("linear probe: lr ", lr, " gives ", accuracy, " on the held-out tenth of train (",
                parts.held_out.size(), " videos)");
      if (accuracy > best) {
        best = accuracy;
        result.lr = lr;
      }
    }
  }
  Probe probe(features, classes, options, seed);
  const Rows rows = rows_of(train, all);
  probe.train(rows.features, rows.labels, result.lr);
  result.train_top1 = clip_top1(probe, rows);
  const at::Tensor logits = probe.logits(test.values.reshape({-1, features}));
  result.logits = logits.reshape({test.values.size(0), test.values.size(1), classes});
  return result;
}

HeldOut hold_out_a_tenth(const at::Tensor& labels, uint64_t seed) {
  std::map<int64_t, std::vector<int64_t>> by_class;
  const at::Tensor host = labels.contiguous();
  for (int64_t i = 0; i < host.numel(); ++i) by_class[host.data_ptr<int64_t>()[i]].push_back(i);
  HeldOut parts;
  for (auto& [label, members] : by_class) {
    Rng(seed, 0x7e57, static_cast<uint64_t>(label + 1)).shuffle(std::span(members));
    const size_t held = members.size() < 2 ? 0 : std::max<size_t>(1, members.size() / 10);
    parts.held_out.insert(parts.held_out.end(), members.begin(), members.begin() + static_cast<std::ptrdiff_t>(held));
    parts.fit.insert(parts.fit.end(), members.begin() + static_cast<std::ptrdiff_t>(held), members.end());
  }
  std::sort(parts.fit.begin(), parts.fit.end());
  std::sort(parts.held_out.begin(), parts.held_out.end());
  return parts;
}

}  // namespace cstp
