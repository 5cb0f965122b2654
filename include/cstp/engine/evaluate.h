/// What features are worth: top-k of class scores, k-NN, retrieval.
#pragma once
#include <ATen/core/Tensor.h>

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "cstp/engine/neighbours.h"

namespace cstp {

constexpr int64_t kShownNeighbours = 50;  ///< that a retrieval lists of each query

/// Fractions, of videos and (where clips are scored one by one) of clips; absent where undefined (k of at least as many
/// classes as there are, or no test video decoded).
struct Accuracy {
  std::optional<double> top1, top5, clip_top1, clip_top5;
  at::Tensor predicted;  ///< [D] int64 class of each test video
};

/// Class scores of clips -> accuracy of videos. @param logits [D,V,K]; @param average "softmax" | "logits": what is
/// averaged
Accuracy score_videos(const at::Tensor& logits, const at::Tensor& labels, const std::string& average);

/// A video's embedding: the mean of its clips' L2-normalised features, normalised again. [D,V,C] -> [D,C]
/// (mean of raw features where `normalize_clips` is off).
at::Tensor video_embeddings(const at::Tensor& features, bool normalize_clips);

/// k-NN vote with weights exp(cosine / temperature) over the k nearest training videos (Wu et al., "Unsupervised
/// Feature Learning via Non-Parametric Instance Discrimination", CVPR 2018). Embeddings [D,C] are normalised.
Accuracy knn_accuracy(const at::Tensor& train, const at::Tensor& train_labels, const at::Tensor& test,
                      const at::Tensor& test_labels, int64_t classes, int64_t k, double temperature);

struct Retrieval {
  std::vector<std::pair<int64_t, std::optional<double>>>
      recall;                 ///< k -> share of queries with a hit among the k nearest; absent if k > gallery
  std::optional<double> map;  ///< mean average precision over the whole gallery
  at::Tensor ranking;         ///< [Q, min(G, 50)] int64 gallery rows, nearest first
  at::Tensor similarity;      ///< of the same, cosine
  at::Tensor first_hit;       ///< [Q] int64 rank of the first hit, from 1; 0 where there is none, or no label
  at::Tensor precision;       ///< [Q] f64 average precision; 0 where there is no hit
};
/// Queries against a gallery by cosine. Ties are broken by gallery order. A query whose class the gallery lacks counts
/// as a miss with average precision 0. Queries without a label (-1) are ranked and count in no number; where none has
/// one, recall and map are absent.
Retrieval retrieve(const at::Tensor& gallery, const at::Tensor& gallery_labels, const at::Tensor& queries,
                   const at::Tensor& query_labels, const std::vector<int64_t>& topk);

/// The same from neighbours that an index found, which rank a part of the gallery: no average precision (0, and the
/// mean is absent), and recall at no more than their number. @param near rows may be -1: nothing was found there
Retrieval retrieve_ranked(const Neighbours& near, const at::Tensor& gallery_labels, const at::Tensor& query_labels,
                          const std::vector<int64_t>& topk);

/// Share of the k nearest rows that an index found, mean over the queries. A row that is as near as the k-th nearest
/// counts: copies of one video are no mistakes. @param found, exact of the same queries; found as order_rows() has it
double neighbour_recall(const Neighbours& found, const Neighbours& exact, int64_t k);

}  // namespace cstp
