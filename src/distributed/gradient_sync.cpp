// src/distributed/gradient_sync.cpp: the only file that knows c10d::Reducer, whose constructor changes between versions
// of LibTorch.
#include "cstp/distributed/gradient_sync.h"

#include <torch/csrc/distributed/c10d/reducer.hpp>

#include <algorithm>

#include "rank_group.h"

namespace cstp {

struct GradientSync::Impl {
  Impl(const std::vector<at::Tensor>& parameters, const World& world)
      : reducer(parameters, buckets_of(parameters), world.group->process_group(),
                std::vector<bool>(parameters.size(), false), c10d::kDefaultBucketBytesCap,
                /*find_unused_parameters=*/false, /*gradient_as_bucket_view=*/false, {}, c10d::kDefaultFirstBucketBytes,
                /*skip_all_reduce_unused_params=*/false, /*use_python_reducer=*/false, {}) {
    // The Reducer would form its buckets anew after the first backward pass, by the order in which gradients came. Sums
    // then round differently from the first step of a session on, and a resumed run would leave the whole one's
    // trajectory; so the final buckets are formed here, from the order below.
    reducer.push_rebuilt_params_for_all_indices();
    reducer.rebuild_buckets();
  }

  static std::vector<std::vector<size_t>> buckets_of(const std::vector<at::Tensor>& parameters) {
    const std::vector<size_t> limits = {c10d::kDefaultFirstBucketBytes, c10d::kDefaultBucketBytesCap};
    return std::get<0>(c10d::compute_bucket_assignment_by_size(parameters, limits));
  }

  c10d::Reducer reducer;
};

GradientSync::GradientSync(const std::vector<at::Tensor>& parameters, const World& world) {
  if (world.size == 1 || parameters.empty()) return;
  // The last layer's gradients come first.
  impl_ = std::make_unique<Impl>(std::vector<at::Tensor>(parameters.rbegin(), parameters.rend()), world);
}

GradientSync::~GradientSync() = default;

void GradientSync::expect_backward() {
  if (!impl_) return;
  impl_->reducer.prepare_for_forward();
  impl_->reducer.prepare_for_backward({});
}

}  // namespace cstp
