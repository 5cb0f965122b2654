#include "cstp/engine/evaluate.h"

#include <torch/torch.h>

#include <algorithm>
#include <map>

#include "cstp/core/error.h"
#include "hit_ranks.h"

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
  const Neighbours near = nearest_rows(train, test, k);
  std::vector<at::Tensor> votes;
  for (const at::Tensor& block : torch::arange(test.size(0)).split(1024)) {
    const at::Tensor rows = near.rows.index_select(0, block);  // [b,k]
    const at::Tensor neighbours = train_labels.index_select(0, rows.reshape(-1)).reshape(rows.sizes());
    const at::Tensor weights = torch::exp((near.similarity.index_select(0, block) - 1) / temperature);
    votes.push_back(torch::zeros({block.size(0), classes}).scatter_add(1, neighbours, weights));
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

namespace {

/// Recall of what stands in result.first_hit. @param ranked how deep the ranking is; absent beyond it
void fill_recall(Retrieval& result, const at::Tensor& query_labels, const std::vector<int64_t>& topk, int64_t ranked) {
  const at::Tensor labelled = (query_labels >= 0).nonzero().squeeze(1);
  const at::Tensor first = result.first_hit.index_select(0, labelled);
  for (const int64_t k : topk) {
    std::optional<double> recall;
    if (k <= ranked && first.numel() > 0) {
      recall = ((first > 0) & (first <= k)).to(torch::kFloat64).mean().item<double>();
    }
    result.recall.emplace_back(k, recall);
  }
}

}  // namespace

Retrieval retrieve(const at::Tensor& gallery, const at::Tensor& gallery_labels, const at::Tensor& queries,
                   const at::Tensor& query_labels, const std::vector<int64_t>& topk) {
  Retrieval result;
  const int64_t size = gallery.size(0);
  Neighbours near = nearest_rows(gallery, queries, kShownNeighbours);
  result.ranking = near.rows;
  result.similarity = near.similarity;

  std::map<int64_t, std::vector<int64_t>> rows_of_label;
  const auto label_of = gallery_labels.accessor<int64_t, 1>();
  for (int64_t i = 0; i < size; ++i) rows_of_label[label_of[i]].push_back(i);
  std::vector<const std::vector<int64_t>*> hits;
  const auto wanted = query_labels.accessor<int64_t, 1>();
  for (int64_t q = 0; q < queries.size(0); ++q) {
    const auto found = wanted[q] >= 0 ? rows_of_label.find(wanted[q]) : rows_of_label.end();
    hits.push_back(found == rows_of_label.end() ? nullptr : &found->second);
  }
  result.first_hit = torch::zeros({queries.size(0)}, torch::kInt64);
  result.precision = torch::zeros({queries.size(0)}, torch::kFloat64);
  int64_t q = 0;
  for (const HitRanks& ranks : rank_hits(gallery, queries, hits)) {
    result.first_hit.data_ptr<int64_t>()[q] = ranks.first;
    result.precision.data_ptr<double>()[q++] = ranks.precision;
  }
  fill_recall(result, query_labels, topk, size);
  const at::Tensor labelled = (query_labels >= 0).nonzero().squeeze(1);
  if (labelled.numel() > 0) result.map = result.precision.index_select(0, labelled).mean().item<double>();
  return result;
}

Retrieval retrieve_ranked(const Neighbours& near, const at::Tensor& gallery_labels, const at::Tensor& query_labels,
                          const std::vector<int64_t>& topk) {
  Retrieval result;
  const int64_t ranked = near.rows.size(1);
  const at::Tensor found = near.rows.clamp_min(0);
  const at::Tensor labels = gallery_labels.index_select(0, found.reshape(-1)).reshape(found.sizes());
  const at::Tensor wanted = query_labels.unsqueeze(1);
  const at::Tensor hit = (labels == wanted) & (wanted >= 0) & (near.rows >= 0);  // [Q,k]
  const at::Tensor first = hit.to(torch::kInt64).argmax(1) + 1;                  // the first of equal ones
  result.first_hit = torch::where(hit.any(1), first, torch::zeros_like(first));
  result.precision = torch::zeros({near.rows.size(0)}, torch::kFloat64);
  result.ranking = near.rows.slice(1, 0, kShownNeighbours);
  result.similarity = near.similarity.slice(1, 0, kShownNeighbours);
  fill_recall(result, query_labels, topk, ranked);
  return result;
}

double neighbour_recall(const Neighbours& found, const Neighbours& exact, int64_t k) {
  k = std::min(k, exact.rows.size(1));
  check(k > 0 && found.rows.size(1) >= k && found.rows.size(0) == exact.rows.size(0), "neighbour_recall: other sizes");
  const at::Tensor least = exact.similarity.slice(1, k - 1, k);  // [Q,1]
  const at::Tensor counted = (found.similarity.slice(1, 0, k) >= least) & (found.rows.slice(1, 0, k) >= 0);
  return counted.to(torch::kFloat64).mean().item<double>();
}

}  // namespace cstp
