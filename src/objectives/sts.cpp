// src/objectives/sts.cpp: a network that sees the pixels of a clip must tell where and which way its largest motion
// boundaries are, where its colours change most and least, and which colours dominate: 14 and 13 integers, regressed.
//
// Source: Wang et al., "Self-supervised Video Representation Learning by Uncovering Spatio-temporal Statistics" (arXiv
// 2008.13426; STS), and "... by Predicting Motion and Appearance Statistics" (CVPR 2019; MAS). The papers' bodies were
// not at hand; everything here follows the authors' two released codes as their specification describes them. Where it
// departs from the released PyTorch code:
//
//   flow: solved on the view and a margin while training, where the release stores TV-L1 of whole frames
//     (flow.source: stored does as released);
//   u of a flipped clip: negated, where the release keeps its sign, so that u-orientations are half a turn off
//     (flow.flip_negate_u);
//   fields: T-1, where the release sums T, of which the last leaves the clip (flow.field_past_clip);
//   dominant colour: of most pixels, where the release takes that of the commonest exact colour
//   (appearance.color_rule); a ring's colour: from its own pixels, where the release takes a slice that lies partly
//   outside; short videos: fewer source frames a step, then the last frame again, since a clip that wraps around would
//   have its
//     largest motion at the cut. The release does not list them.
#include <ATen/ATen.h>
#include <c10/core/impl/LocalDispatchKeySet.h>

#include <algorithm>
#include <deque>
#include <mutex>

#include "cstp/core/error.h"
#include "cstp/core/text.h"
#include "cstp/data/sample.h"
#include "cstp/objectives/sts.h"
#include "cstp/sampling/label_histogram.h"
#include "objective_row.h"
#include "sts_head.h"
#include "sts_motion.h"
#include "sts_options.h"

namespace cstp {
namespace {

/// A dump that is opened when it is first read, so that an objective can be built where the data is absent.
class StoredFlow {
 public:
  StoredFlow(std::string folder, std::string root) : folder_(std::move(folder)), root_(std::move(root)) {}
  /// Callable from many threads. @throws DataError if there is no dump
  const FlowStore& opened() const {
    const std::lock_guard lock(mutex_);
    if (!store_) store_ = std::make_unique<FlowStore>(folder_, root_);
    return *store_;
  }

 private:
  std::string folder_, root_;
  mutable std::mutex mutex_;
  mutable std::unique_ptr<FlowStore> store_;
};

class Sts final : public StsObjective {
 public:
  Sts(const StsOptions& options, const ObjectiveParts& parts)
      : options_(options),
        clip_(parts.clip),
        patterns_(options.checked_size(parts.clip)),
        slots_(options.slots(parts.clip.frames)),
        motion_places_(asked_motion(options.motion)),
        appearance_places_(asked_appearance(options.appearance)),
        histograms_(std::make_unique<std::deque<LabelHistogram>>()),
        stored_(options.flow.root, parts.data_root),
        backbone_(take_backbone(parts)) {
    for (const StsSlot& slot : slots_) histograms_->emplace_back(slot.name, slot.classes);
    if (!motion_places_.empty()) motion_head_ = build_head("motion", true);
    if (!appearance_places_.empty()) appearance_head_ = build_head("appearance", false);
  }

  /// Consecutive frames, one window in frames of fixed size, one flip; no colours.
  SamplePlan plan(const VideoInfo& video, Rng& rng) const override {
    SamplePlan plan;
    plan.flow = !motion_places_.empty();
    plan.raw_bytes = !appearance_places_.empty();
    ViewPlan& view = plan.views.emplace_back();
    draw_frames(video, rng, plan);
    const int64_t size = clip_.size;
    const auto height = static_cast<double>(options_.resized_height(size));
    const auto width = static_cast<double>(options_.resized_width(size));
    const auto side = static_cast<double>(size);
    const auto x = static_cast<double>(rng.integer(0, options_.resized_width(size) - size));
    const auto y = static_cast<double>(rng.integer(0, options_.resized_height(size) - size));
    view.crop = {x / width, y / height, side / width, side / height};
    view.flip = rng.chance(options_.flip);
    view.filter = Filter::bilinear;
    view.antialias = options_.antialias;
    return plan;
  }

  void annotate(Sample& sample) const override {
    const std::vector<ViewPlan>& views = sample.plan.views;
    const size_t clip_bytes = static_cast<size_t>(clip_.frames * clip_.size * clip_.size * 3);
    sample.targets.clear();
    sample.flow.clear();
    for (size_t v = 0; v < views.size(); ++v) {
      check(static_cast<int64_t>(views[v].frames.size()) == clip_.frames, "sts: a view has another number of frames");
      if (!motion_places_.empty()) {
        sample.flow.push_back(flow_of(sample, v));
        const ViewFlow& flow = sample.flow.back();
        const auto labels =
            motion_labels(patterns_, options_.motion.parts, flow.u, flow.v, flow.fields, clip_.frames - 1);
        for (const size_t place : motion_places_) sample.targets.push_back(static_cast<float>(labels[place]));
      }
      if (appearance_places_.empty()) continue;
      check(sample.raw.size() == views.size() * clip_bytes, "sts: the raw bytes of the views are wanted");
      const auto labels = appearance_labels(patterns_, options_.appearance.parts,
                                            std::span(sample.raw).subspan(v * clip_bytes, clip_bytes), clip_.frames,
                                            options_.appearance.rule());
      for (const size_t place : appearance_places_) sample.targets.push_back(static_cast<float>(labels[place]));
    }
    for (size_t i = 0; i < sample.targets.size(); ++i) {
      const auto label = static_cast<int64_t>(sample.targets[i]);
      if (label > 0) (*histograms_)[i % slots_.size()].add(label - 1);  // 0: nothing moves
    }
  }

  int64_t target_width() const override { return static_cast<int64_t>(slots_.size()); }

  std::vector<std::string> annotated_labels() const override {
    std::vector<std::string> lines;
    for (const LabelHistogram& histogram : *histograms_) {
      if (histogram.total() > 0) lines.push_back(histogram.text());
    }
    return lines;
  }

  LossTerms loss_of(const ViewBatch& batch, BackbonePass& pass) override {
    check(batch.targets.defined() && batch.targets.size(1) == target_width(), "sts: the batch was not annotated");
    const at::Tensor& y = pass.pooled();  // [V*B,C]
    const c10::impl::ExcludeDispatchKeyGuard f32(c10::autocast_dispatch_keyset);
    LossTerms terms;
    int64_t from = 0;
    for (const auto& [head, weight] :
         {std::pair{motion_head_, options_.motion.weight}, std::pair{appearance_head_, options_.appearance.weight}}) {
      if (!head) continue;
      const auto width = static_cast<int64_t>(head == motion_head_ ? motion_places_.size() : appearance_places_.size());
      const StsHeadTerms found = head->terms(y, batch.targets.narrow(1, from, width), /*each=*/!is_training());
      from += width;
      terms.total = terms.total.defined() ? terms.total + weight * found.loss : weight * found.loss;
      terms.parts.insert(terms.parts.end(), found.parts.begin(), found.parts.end());
      terms.constants.insert(terms.constants.end(), found.constants.begin(), found.constants.end());
    }
    terms.embeddings = y.detach();
    return terms;
  }

  at::Tensor predict(const at::Tensor& views) override {
    const at::Tensor y = backbone_->embed(views);
    std::vector<at::Tensor> answers;
    if (motion_head_) answers.push_back(motion_head_->predict(y));
    if (appearance_head_) answers.push_back(appearance_head_->predict(y));
    return at::cat(answers, 1);  // [V*B,W]
  }

  /// Each clip has labels of its own: embeddings that are all alike answer with a constant, which the logged errors
  /// show against the variance of the labels, and nothing in the loss draws them together.
  bool can_collapse() const override { return false; }

  const std::vector<StsSlot>& slots() const override { return slots_; }
  const StsPatterns& patterns() const override { return patterns_; }
  std::shared_ptr<Backbone> backbone() const override { return backbone_; }

 private:
  std::shared_ptr<StsHead> build_head(const std::string& name, bool motion) {
    std::vector<StsSlot> mine;
    std::copy_if(slots_.begin(), slots_.end(), std::back_inserter(mine),
                 [motion](const StsSlot& slot) { return slot.motion == motion; });
    return register_module(name + "_head",
                           std::make_shared<StsHead>(name, backbone_->features(), mine, options_.targets == "standard",
                                                     options_.loss == "cross_entropy"));
  }

  void draw_frames(const VideoInfo& video, Rng& rng, SamplePlan& plan) const {
    if (video.frames < 1) throw DataError("the video has no frames; leave it out of the training list");
    ViewPlan& view = plan.views.front();
    const bool past = plan.flow && options_.flow.field_past_clip;
    const int64_t steps = past ? clip_.frames : clip_.frames - 1;
    view.stride = std::clamp<int64_t>((video.frames - 1) / steps, 1, clip_.stride);
    const int64_t start = rng.integer(0, std::max<int64_t>(0, video.frames - 1 - steps * view.stride));
    for (int64_t t = 0; t < clip_.frames; ++t) {
      view.frames.push_back(std::min(start + t * view.stride, video.frames - 1));
    }
    const int64_t after = start + clip_.frames * view.stride;
    if (past && after < video.frames) plan.frame_after = after;
  }

  ViewFlow flow_of(const Sample& sample, size_t v) const {
    const ViewPlan& view = sample.plan.views[v];
    const int64_t after = v == 0 ? sample.plan.frame_after : -1;
    ViewFlow flow = options_.flow.source == "stored"
                        ? stored_view_flow(stored_.opened(), sample.path, view, after, clip_.size)
                        : view_flow(sample, view, after, clip_.size, options_.flow.view);
    if (view.flip && !options_.flow.flip_negate_u) {
      for (float& u : flow.u) u = -u;
    }
    return flow;
  }

  StsOptions options_;
  ClipOptions clip_;
  StsPatterns patterns_;
  std::vector<StsSlot> slots_;
  std::vector<size_t> motion_places_, appearance_places_;   ///< of the labels asked for, in the whole vectors
  std::unique_ptr<std::deque<LabelHistogram>> histograms_;  ///< one per slot; counted on the loader's threads
  StoredFlow stored_;
  std::shared_ptr<Backbone> backbone_;
  std::shared_ptr<StsHead> motion_head_, appearance_head_;  ///< null where nothing is asked
};

std::shared_ptr<Objective> make_sts(const ConfigNode& section, const ObjectiveParts& parts) {
  return std::make_shared<Sts>(read_objective_options<StsOptions>(section), parts);
}

}  // namespace

ObjectiveRow sts_row() {
  return objective_row<StsOptions>("sts", make_sts, "motion and appearance statistics of a clip, regressed");
}

}  // namespace cstp
