#include "cstp/engine/evaluate.h"

#include <torch/torch.h>

#include <algorithm>

namespace cstp {
namespace {

/// Place of the label among the scores, 0 = best; of equal scores the lower class stands first, as for argmax. Scores
/// that are no numbers put it last. [D,K], [D] -> [D]
at::Tensor label_ranks(const at::Tensor& scores, const at::Tensor& labels) {
  const at::Tensor own = scores.gather(1, labels.unsqueeze(1));  // [D,1]
  const at::Tensor later = torch::arange(scores.size(1)).unsqueeze(0) > labels.unsqueeze(1);
  const at::Tensor beaten = (own > scores).logical_or((own == scores).logical_and(later));  // [D,K]
  return scores.size(1) - 1 - beaten.sum(1);
}

/// Share of rows whose label is among the k best; absent where k >= classes would make it 1 by definition.
std::optional<double> top_k(const at::Tensor& ranks, int64_t k, int64_t classes) {
  if (ranks.size(0) == 0 || (k > 1 && k >= classes)) return std::nullopt;
  return (ranks < k).to(torch::kFloat64).mean().item<double>();
}

}  // namespace

Accuracy score_videos(const at::Tensor& logits, const at::Tensor& labels, const std::string& average) {
  Accuracy result;
  const int64_t clips = logits.size(1);
  const int64_t classes = logits.size(2);
  const at::Tensor scores = average == "softmax" ? torch::softmax(logits, 2).mean(1) : logits.mean(1);  // [D,K]
  result.predicted = scores.argmax(1);
  const at::Tensor ranks = label_ranks(scores, labels);
  const at::Tensor clip_ranks = label_ranks(logits.reshape({-1, classes}), labels.repeat_interleave(clips));  // [D*V]
  result.top1 = top_k(ranks, 1, classes);
  result.top5 = top_k(ranks, 5, classes);
  result.clip_top1 = top_k(clip_ranks, 1, classes);
  result.clip_top5 = top_k(clip_ranks, 5, classes);
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
  const at::Tensor voted = scores.gather(1, test_labels.unsqueeze(1)).squeeze(1) > 0;
  const at::Tensor ranks = torch::where(voted, label_ranks(scores, test_labels), classes);  // no vote is no hit
  result.top1 = top_k(ranks, 1, classes);
  result.top5 = top_k(ranks, 5, classes);
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

}  // namespace cstp
