/// One linear head of STS: a feature answers a group of questions, all at once.
#pragma once
#include <torch/nn/module.h>
#include <torch/nn/modules/linear.h>

#include <string>
#include <utility>
#include <vector>

#include "cstp/objectives/sts.h"

namespace cstp {

/// Of one head; everything but the loss detached.
struct StsHeadTerms {
  at::Tensor loss;                                            ///< []
  std::vector<std::pair<std::string, at::Tensor>> parts;      ///< the head's mean first, then each question's
  std::vector<std::pair<std::string, at::Tensor>> constants;  ///< what answering without looking scores
};

class StsHead : public torch::nn::Module {
 public:
  /// @param name of its mean in the logs; @param in width of the feature
  StsHead(std::string name, int64_t in, std::vector<StsSlot> slots, bool standard, bool softmax);

  /// Mean squared error over batch and questions; of `standard`, with labels and answers in deviations of uniform
  /// labels, while the parts stay in labels. Or the mean cross-entropy over the questions, with the share of right
  /// answers. The constants are what the best constant answer would score, from the labels of this batch: their
  /// variance with N-1, averaged over the questions (of one row: that of uniform labels); or their entropy and
  /// commonest share, which a small batch makes look better than they are.
  /// @param y [N,C]; @param targets [N,W]; @param each question on its own too
  StsHeadTerms terms(const at::Tensor& y, const at::Tensor& targets, bool each);
  /// Labels, not rounded: [N,C] -> [N,W].
  at::Tensor predict(const at::Tensor& y);

 private:
  StsHeadTerms regression(const at::Tensor& scores, const at::Tensor& targets, bool each) const;
  StsHeadTerms classification(const at::Tensor& scores, const at::Tensor& targets, bool each) const;
  /// From [W] of each question to the terms: the mean, then one by one.
  void log(StsHeadTerms& terms, const std::string& what, const at::Tensor& scores, const at::Tensor& constants,
           bool each) const;

  std::string name_;
  std::vector<StsSlot> slots_;
  bool standard_;
  bool softmax_;
  torch::nn::Linear linear_;
  at::Tensor middle_, deviation_;  ///< [W] of uniform labels 1..K: (K+1)/2 and sqrt((K^2-1)/12)
};

}  // namespace cstp
