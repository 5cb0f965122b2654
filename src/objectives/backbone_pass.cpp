#include "cstp/objectives/backbone_pass.h"

#include <ATen/ATen.h>
#include <c10/core/GradMode.h>

namespace cstp {

BackbonePass::BackbonePass(Backbone& backbone, const at::Tensor& views, int64_t videos, const Passing& passing)
    : backbone_(backbone), views_(views), videos_(videos), passing_(passing) {}

void BackbonePass::run() {
  if (!passes_.empty()) return;
  const c10::AutoGradMode mode(c10::GradMode::is_enabled() && passing_.gradient);
  if (!passing_.view_by_view) {
    passes_.push_back(backbone_.stages(views_));
    return;
  }
  for (int64_t row = 0; row < views_.size(0); row += videos_) {
    passes_.push_back(backbone_.stages(views_.narrow(0, row, videos_)));
  }
}

const std::vector<at::Tensor>& BackbonePass::stages() {
  run();
  if (passes_.size() == 1) return passes_.front();
  for (size_t k = 0; stages_.size() < passes_.front().size(); ++k) {
    std::vector<at::Tensor> maps;
    for (const auto& pass : passes_) maps.push_back(pass[k]);
    stages_.push_back(at::cat(maps));
  }
  return stages_;
}

const at::Tensor& BackbonePass::pooled() {
  run();
  if (pooled_.defined()) return pooled_;
  if (passes_.size() == 1) {
    pooled_ = backbone_.pool(passes_.front());
  } else {
    std::vector<at::Tensor> rows;
    for (const auto& pass : passes_) rows.push_back(backbone_.pool(pass));
    pooled_ = at::cat(rows);
  }
  return pooled_;
}

}  // namespace cstp
