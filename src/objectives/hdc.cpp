// src/objectives/hdc.cpp: spatial contrast and temporal contrast, apart, at several depths of one network.
//
// Source: Zhang and Crandall, "Hierarchically Decoupled Spatial-Temporal Contrast for Self-supervised Video
// Representation Learning", WACV 2022. Only its abstracts and what others say of it were at hand: this is an HDC-style
// method, not a transcription. Grades, as in the recipes: A the authors' own words, B and C what others say, D our
// decision. A: two contrastive subtasks, split by the choice of augmentations, at several depths, with loss weights
// that stand for each depth's invariance. B: spatial contrast (SC) pairs a clip with the same frames under a new
// spatial draw, its maps pooled over space; temporal contrast (TC) pairs it with other frames under a new spatial draw,
// pooled over space and time; shallow depths are less invariant. Everything else is D.
//
//   shared anchor: V0, V1 same frames (SC), V2 other frames (TC with V0)     independent: SC is V0, V1; TC is V2, V3
//   L = sc.weight * sum_k alpha_k L_SC,k + tc.weight * sum_k beta_k L_TC,k,   sum alpha = sum beta = 1
#include <ATen/ATen.h>
#include <c10/core/impl/LocalDispatchKeySet.h>
#include <torch/nn/modules/activation.h>
#include <torch/nn/modules/container/sequential.h>
#include <torch/nn/modules/linear.h>
#include <torch/utils.h>

#include <algorithm>
#include <array>
#include <cmath>
#include <optional>

#include "cstp/core/error.h"
#include "cstp/core/text.h"
#include "cstp/distributed/gather.h"
#include "cstp/objectives/objective.h"
#include "cstp/sampling/draw.h"
#include "hdc_options.h"
#include "level_contrast.h"
#include "objective_row.h"

namespace cstp {
namespace {

/// One of the two subtasks: which views it pairs, and a head a level.
struct Subtask {
  std::string name;  ///< sc | tc
  double weight = 1;
  std::string pool;
  std::array<int64_t, 2> views{};
  std::vector<torch::nn::Sequential> heads;
  at::Tensor invariance;  ///< measured: [K] running, a buffer
};

class Hdc final : public Objective {
 public:
  Hdc(const HdcOptions& options, const ObjectiveParts& parts)
      : options_(options), frames_(parts.clip.frames), stride_(parts.clip.stride), world_(parts.world) {
    backbone_ = take_backbone(parts);
    if (options.sc.weight > 0) {
      subtasks_.push_back({.name = "sc", .weight = options.sc.weight, .pool = options.sc.pool, .views = {0, 1}});
    }
    if (options.tc.weight > 0) {
      const int64_t own = subtasks_.empty() ? 0 : 2;  // first view that is its own
      const int64_t anchor = options.views == "shared" ? 0 : own;
      subtasks_.push_back({.name = "tc",
                           .weight = options.tc.weight,
                           .pool = options.tc.pool,
                           .views = {anchor, std::max(own, anchor + 1)}});
    }
    build_heads();
    if (options.weights != "measured") return;
    batches_ = register_buffer("invariance_batches", at::zeros({1}, at::kLong));
    for (Subtask& task : subtasks_) {
      task.invariance = register_buffer(task.name + "_invariance", at::zeros({std::ssize(options.levels)}));
    }
  }

  SamplePlan plan(const VideoInfo& video, Rng& rng) const override {
    SamplePlan plan;
    plan.views.resize(static_cast<size_t>(options_.view_count()));
    for (const Subtask& task : subtasks_) {
      ViewPlan& anchor = plan.views[static_cast<size_t>(task.views[0])];
      ViewPlan& positive = plan.views[static_cast<size_t>(task.views[1])];
      if (anchor.frames.empty()) {
        place(video, draw_start(video, rng, std::nullopt), anchor);
        draw_spatial(video, rng, anchor);
      }
      const bool spatial = task.name == "sc";
      positive = anchor;
      if (!spatial || options_.sc.time == "new") {
        const bool near = !spatial && options_.tc.max_gap > 0;
        place(video, draw_start(video, rng, near ? std::optional(anchor.frames.front()) : std::nullopt), positive);
      }
      if (spatial || options_.tc.spatial == "new") draw_spatial(video, rng, positive);
    }
    return plan;
  }

  LossTerms loss_of(const ViewBatch& batch, BackbonePass& pass) override {
    const int64_t videos = batch.videos();
    check(batch.views.size(0) == options_.view_count() * videos, "hdc: the batch has another number of views");
    const std::vector<Level> levels = share_levels(pass.stages(), videos);

    LossTerms terms;
    std::vector<std::pair<std::string, at::Tensor>> details;
    size_t next = 0;
    for (Subtask& task : subtasks_) {
      const size_t count = options_.levels.size();
      std::vector<at::Tensor> losses, invariances;
      for (size_t k = 0; k < count; ++k) {
        const Level& level = levels[next + k];
        const PairScores scores =
            score_pair(level.p, level.q, world_.rank * videos, videos, options_.temperature, options_.contrast);
        losses.push_back(scores.loss);
        invariances.push_back(level.invariance);
        const std::string name = cat(task.name, options_.levels[k], "/");
        details.emplace_back(name + "loss", scores.loss.detach());
        details.emplace_back(name + "invariance", level.invariance);
        details.emplace_back(name + "positive", scores.positive);
        details.emplace_back(name + "negative", scores.negative);
        details.emplace_back(name + "top1", scores.top1);
        details.emplace_back(name + "std", spread(level));
        if (k + 1 == count) {  // of the deepest level
          terms.parts.emplace_back(task.name + "_top1", scores.top1);
          terms.constants.emplace_back(task.name + "_top1", at::full({}, 1 / static_cast<double>(scores.candidates)));
        }
      }
      next += count;
      const at::Tensor weights = weigh(task, at::stack(invariances));  // [K]
      for (size_t k = 0; k < count; ++k) {
        details.emplace_back(cat(task.name, options_.levels[k], "/weight"), weights[static_cast<int64_t>(k)]);
      }
      const at::Tensor sum = (at::stack(losses) * weights).sum();  // []
      terms.total = terms.total.defined() ? terms.total + task.weight * sum : task.weight * sum;
      terms.parts.emplace(terms.parts.end() - 1, task.name, sum.detach());
    }
    if (is_training() && batches_.defined()) batches_.add_(1);
    terms.parts.insert(terms.parts.end(), details.begin(), details.end());
    terms.embeddings = pass.pooled().detach();  // [V*B,C]
    return terms;
  }

  std::shared_ptr<Backbone> backbone() const override { return backbone_; }

 private:
  /// Both views of one subtask at one level, for the videos of all ranks.
  struct Level {
    at::Tensor p, q;        ///< [N,S,E] unit vectors of the head
    at::Tensor invariance;  ///< [] of the features before the head
  };

  void build_heads() {
    std::vector<int64_t> steps(4, 1);  // of each stage
    const bool flattens =
        std::any_of(subtasks_.begin(), subtasks_.end(), [](const Subtask& task) { return task.pool == "flatten"; });
    if (flattens) {  // the width of such a head depends on them
      const torch::NoGradGuard no_grad;
      backbone_->eval();
      const auto maps = backbone_->stages(at::zeros({1, 3, frames_, 32, 32}));
      for (size_t k = 0; k < maps.size(); ++k) steps[k] = maps[k].size(2);
      backbone_->train();
    }
    for (Subtask& task : subtasks_) {
      for (const int64_t level : options_.levels) {
        const auto k = static_cast<size_t>(level - 1);
        const int64_t in = backbone_->stage_channels()[k] * (task.pool == "flatten" ? steps[k] : 1);
        task.heads.push_back(
            register_module(cat(task.name, "_head", level),
                            torch::nn::Sequential(torch::nn::Linear(in, options_.head_hidden), torch::nn::ReLU(),
                                                  torch::nn::Linear(options_.head_hidden, options_.head_out))));
      }
    }
  }

  /// Frames of the video, repeated as often as it takes to hold a window.
  int64_t repeated_frames(const VideoInfo& video) const {
    const int64_t window = clip_span(frames_, stride_) + 1;
    return video.frames * ((window + video.frames - 1) / video.frames);
  }

  /// Uniform over the starts that fit; within tc.max_gap of `other` where it is given.
  int64_t draw_start(const VideoInfo& video, Rng& rng, std::optional<int64_t> other) const {
    int64_t low = 0;
    int64_t high = repeated_frames(video) - 1 - clip_span(frames_, stride_);
    if (other) {
      low = std::clamp(*other - options_.tc.max_gap, low, high);
      high = std::clamp(*other + options_.tc.max_gap, low, high);
    }
    return rng.integer(low, high);
  }

  void place(const VideoInfo& video, int64_t start, ViewPlan& view) const {
    view.frames.clear();
    for (int64_t t = 0; t < frames_; ++t) view.frames.push_back((start + t * stride_) % video.frames);
    view.stride = stride_;
  }

  void draw_spatial(const VideoInfo& video, Rng& rng, ViewPlan& view) const {
    view.crop = draw_crop(video, options_.crop, rng);
    draw_color(options_.color.without_grey(), rng, view);
    view.color.grey = rng.chance(options_.color.grey);
  }

  /// Pools and projects every (subtask, level), and brings the videos of all ranks together: one exchange of vectors
  /// with gradient, one of sums without.
  std::vector<Level> share_levels(const std::vector<at::Tensor>& maps, int64_t videos) {
    std::vector<at::Tensor> rows, sums;
    std::vector<int64_t> widths, lengths, steps;
    for (Subtask& task : subtasks_) {
      for (size_t k = 0; k < task.heads.size(); ++k) {
        const at::Tensor& map = maps[static_cast<size_t>(options_.levels[k] - 1)];
        const auto pooled = [&](int64_t view) { return pool_map(map.narrow(0, view * videos, videos), task.pool); };
        const at::Tensor both = at::cat({pooled(task.views[0]), pooled(task.views[1])});  // [2B,S,D]
        sums.push_back(invariance_sums(both.narrow(0, 0, videos), both.narrow(0, videos, videos)));
        const at::Tensor unit = unit_vectors(task.heads[k]->forward(both));     // [2B,S,E]
        rows.push_back(unit.view({2, videos, -1}).transpose(0, 1).flatten(1));  // [B,2*S*E]
        steps.push_back(both.size(1));
        widths.push_back(rows.back().size(1));
        lengths.push_back(sums.back().size(0));
      }
    }
    const auto all_rows = gather(at::cat(rows, 1), world_).split_with_sizes(widths, 1);
    const auto all_sums = gather(at::cat(sums).unsqueeze(0), world_).sum(0).split_with_sizes(lengths);
    std::vector<Level> levels;
    for (size_t i = 0; i < all_rows.size(); ++i) {
      const int64_t total = all_rows[i].size(0);
      const at::Tensor views = all_rows[i].unflatten(1, {2, steps[i], -1});  // [N,2,S,E]
      levels.push_back({views.select(1, 0), views.select(1, 1), invariance_of(all_sums[i], steps[i], total)});
    }
    return levels;
  }

  /// Level weights of this step, [K]. The running invariance moves first, so that the first batch has weights too.
  at::Tensor weigh(const Subtask& task, const at::Tensor& invariance) {
    const torch::NoGradGuard no_grad;
    if (options_.weights == "measured") {
      const double momentum = is_training() ? options_.measured_momentum : 1;
      const at::Tensor running =
          running_invariance(task.invariance, invariance.to(task.invariance), batches_, momentum);
      if (is_training()) task.invariance.copy_(running);
      return measured_level_weights(running, options_.epsilon).to(invariance);
    }
    if (!fixed_.defined() || fixed_.options().device() != invariance.device() || fixed_.dtype() != invariance.dtype()) {
      fixed_ =
          at::tensor(level_weights(options_.weights, options_.levels.size(), options_.gamma), invariance.options());
    }
    return fixed_;
  }

  /// Deviation of a level's vectors over the clips, times sqrt(E): 1 for evenly spread ones, 0 for equal ones. []
  static at::Tensor spread(const Level& level) {
    const at::Tensor deviation = at::cat({level.p, level.q}).detach().std(0, /*unbiased=*/false);  // [S,E]
    return deviation.mean() * std::sqrt(static_cast<double>(level.p.size(2)));
  }

  HdcOptions options_;
  int64_t frames_, stride_;
  World world_;
  std::shared_ptr<Backbone> backbone_;
  std::vector<Subtask> subtasks_;
  at::Tensor batches_;  ///< measured: [1] training batches that the running invariance has seen
  at::Tensor fixed_;    ///< [K] level weights of the fixed schemes, on the device
};

std::shared_ptr<Objective> make_hdc(const ConfigNode& section, const ObjectiveParts& parts) {
  return std::make_shared<Hdc>(read_objective_options<HdcOptions>(section), parts);
}

}  // namespace

ObjectiveRow hdc_row() {
  return objective_row<HdcOptions>("hdc", make_hdc,
                                   "spatial and temporal contrast, apart, at several depths (HDC-style)");
}

}  // namespace cstp
