#include "sts_head.h"

#include <ATen/ATen.h>

#include "contrast.h"
#include "cstp/core/error.h"
#include "cstp/core/text.h"

namespace cstp {
namespace {

/// Values a softmax chooses from: 1..K, and 0 where nothing moves.
int64_t choices(const StsSlot& slot) { return slot.classes + 1; }

int64_t outputs(const std::vector<StsSlot>& slots, bool softmax) {
  if (!softmax) return static_cast<int64_t>(slots.size());
  int64_t sum = 0;
  for (const StsSlot& slot : slots) sum += choices(slot);
  return sum;
}

}  // namespace

StsHead::StsHead(std::string name, int64_t in, std::vector<StsSlot> slots, bool standard, bool softmax)
    : name_(std::move(name)),
      slots_(std::move(slots)),
      standard_(standard),
      softmax_(softmax),
      linear_(register_module("linear", torch::nn::Linear(in, outputs(slots_, softmax)))) {
  std::vector<double> middle, deviation;
  for (const StsSlot& slot : slots_) {
    const auto classes = static_cast<double>(slot.classes);
    middle.push_back((classes + 1) / 2);
    deviation.push_back(std::max(1e-3, std::sqrt((classes * classes - 1) / 12)));
  }
  middle_ = at::tensor(middle, at::kDouble);
  deviation_ = at::tensor(deviation, at::kDouble);
}

StsHeadTerms StsHead::terms(const at::Tensor& y, const at::Tensor& targets, bool each) {
  check(targets.dim() == 2 && targets.size(0) == y.size(0) && targets.size(1) == static_cast<int64_t>(slots_.size()),
        "StsHead: targets are [N,W]");
  const at::Tensor scores = linear_->forward(at_least_f32(y));  // [N,W], or [N, sum of K+1]
  return softmax_ ? classification(scores, targets, each) : regression(scores, targets.to(scores.scalar_type()), each);
}

void StsHead::log(StsHeadTerms& terms, const std::string& what, const at::Tensor& scores, const at::Tensor& constants,
                  bool each) const {
  terms.parts.emplace_back(cat(name_, what), scores.mean());
  terms.constants.emplace_back(cat(name_, what), constants.mean());
  for (size_t i = 0; each && i < slots_.size(); ++i) {
    const std::string name = cat(name_, "/", slots_[i].name.substr(slots_[i].name.find('.') + 1), what);
    terms.parts.emplace_back(name, scores[static_cast<int64_t>(i)]);
    terms.constants.emplace_back(name, constants[static_cast<int64_t>(i)]);
  }
}

StsHeadTerms StsHead::regression(const at::Tensor& scores, const at::Tensor& targets, bool each) const {
  const at::Tensor middle = middle_.to(scores.options()), deviation = deviation_.to(scores.options());  // [W]
  const at::Tensor wanted = standard_ ? (targets - middle) / deviation : targets;
  const at::Tensor squares = (scores - wanted).square();  // [N,W]
  StsHeadTerms terms;
  terms.loss = squares.mean();
  const at::Tensor in_labels = squares.detach().mean(0) * (standard_ ? deviation.square() : at::ones_like(deviation));
  const at::Tensor variance = targets.size(0) > 1 ? targets.var(0, /*unbiased=*/true) : deviation.square();
  log(terms, "", in_labels, variance, each);
  return terms;
}

StsHeadTerms StsHead::classification(const at::Tensor& scores, const at::Tensor& targets, bool each) const {
  std::vector<at::Tensor> losses, hits, entropies, shares;  // [] of each question
  int64_t from = 0;
  for (size_t i = 0; i < slots_.size(); ++i) {
    const at::Tensor logits = scores.narrow(1, from, choices(slots_[i]));
    const at::Tensor labels = targets.select(1, static_cast<int64_t>(i)).to(at::kLong);
    from += choices(slots_[i]);
    losses.push_back(at::cross_entropy_loss(logits, labels));
    hits.push_back((logits.detach().argmax(1) == labels).to(scores.scalar_type()).mean());
    const at::Tensor law = at::one_hot(labels, choices(slots_[i])).to(scores.scalar_type()).mean(0);
    entropies.push_back(-(law * law.clamp_min(1e-12).log()).sum());
    shares.push_back(law.max());
  }
  StsHeadTerms terms;
  const at::Tensor loss = at::stack(losses);  // [W]
  terms.loss = loss.mean();
  log(terms, "", loss.detach(), at::stack(entropies), each);
  log(terms, "_accuracy", at::stack(hits), at::stack(shares), each);
  return terms;
}

at::Tensor StsHead::predict(const at::Tensor& y) {
  const at::Tensor scores = linear_->forward(at_least_f32(y));
  if (!softmax_) return standard_ ? scores * deviation_.to(scores.options()) + middle_.to(scores.options()) : scores;
  std::vector<at::Tensor> labels;
  int64_t from = 0;
  for (const StsSlot& slot : slots_) {
    labels.push_back(scores.narrow(1, from, choices(slot)).argmax(1).to(scores.scalar_type()));
    from += choices(slot);
  }
  return at::stack(labels, 1);  // [N,W]
}

}  // namespace cstp
