/// What the backbone makes of a batch of views, computed when it is first asked for and then shared: by the terms of
/// one objective, and by the parts of a joint one.
#pragma once
#include <ATen/core/Tensor.h>

#include <cstdint>
#include <vector>

#include "cstp/models/backbone.h"

namespace cstp {

/// How views go through the backbone. Parts of a joint objective must agree on it.
struct Passing {
  bool view_by_view = false;  ///< so that batch norms see one view of every video at a time; else all views at once
  bool gradient = true;       ///< false: the backbone is frozen
  bool operator==(const Passing&) const = default;
};

class BackbonePass {
 public:
  /// @param views [V*B,3,T,S,S], view-major; @param videos B. Neither is copied; both outlive the pass.
  BackbonePass(Backbone& backbone, const at::Tensor& views, int64_t videos, const Passing& passing);

  /// The four stage maps, [V*B,C_k,T_k,H_k,W_k].
  const std::vector<at::Tensor>& stages();
  /// The embedding, [V*B,C], in the compute type of the last stage.
  const at::Tensor& pooled();

 private:
  void run();

  Backbone& backbone_;
  const at::Tensor& views_;
  int64_t videos_;
  Passing passing_;
  std::vector<std::vector<at::Tensor>> passes_;  ///< stage maps of all views, or of one view after the other
  std::vector<at::Tensor> stages_;
  at::Tensor pooled_;
};

}  // namespace cstp
