// src/objectives/cstp.cpp: two clips of one video with a known overlap in space and time; a network that must agree
// across them (contrast) and name their overlaps, their playback rate and each clip's rotation.
//
// Source: Zhang et al., "Contrastive Spatio-Temporal Pretext Learning for Self-supervised Video Representation",
// AAAI 2022. The abstract, the figures and the authors' released code were at hand, not the body of the paper.
// `preset: released` follows that code; `clean`, the default, follows the figures where the code departs from them:
//
//                          clean                             released
//   pair sampling          labels drawn first, true overlap  see sampling/overlap_pair.h
//   rate, rotation heads   4 logits                          5 (the fifth is never a target)
//   initialisation         norm gammas 1; target = copy      norm gammas random, target drawn independently
//   batch statistics       over both clips (one forward)     one forward per clip
//   heads of R3D           projector, MLP heads              no projector, linear heads
#include <ATen/ATen.h>
#include <c10/core/impl/LocalDispatchKeySet.h>
#include <torch/nn/modules/container/any.h>
#include <torch/utils.h>

#include <functional>

#include "contrast.h"
#include "cstp/core/error.h"
#include "cstp/core/text.h"
#include "cstp/distributed/gather.h"
#include "cstp/models/heads.h"
#include "cstp/objectives/objective.h"
#include "cstp/sampling/draw.h"
#include "cstp/sampling/overlap_pair.h"
#include "momentum_twin.h"
#include "objective_row.h"

namespace cstp {
namespace {

/// Of the terms in the loss; a term of weight 0 is not built.
struct CstpWeights {
  double contrast = 0.1;
  double spatial = 1;
  double temporal = 1;
  double rate = 1;      ///< times the sum over both clips
  double rotation = 1;  ///< times the sum over both clips
  void bind(Fields& f) {
    f.number("contrast", contrast, {.min = 0}, "agreement of the two clips");
    f.number("spatial", spatial, {.min = 0}, "naming the spatial overlap");
    f.number("temporal", temporal, {.min = 0}, "naming the temporal overlap");
    f.number("rate", rate, {.min = 0}, "naming the playback rate; 0: every clip has clip.stride");
    f.number("rotation", rotation, {.min = 0}, "naming the rotation; 0: every clip stays upright");
  }
};

struct CstpOptions {
  OverlapPairOptions pair;  ///< its keys stand beside these; its preset is the preset
  ClipColorOptions color;
  CstpWeights weights;
  std::string contrast = "byol";    ///< byol | infonce | queue | none
  double momentum = 0.996;          ///< of the target network (byol, queue)
  double temperature = 0.5;         ///< of infonce and queue
  int64_t queue_size = 4096;        ///< rows of the queue
  std::string heads = "auto";       ///< auto | mlp | linear (linear: no projector either)
  int64_t projector_hidden = 4096;  ///< also the predictor's
  int64_t projector_out = 0;        ///< 0: as wide as the feature
  int64_t head_hidden = 0;          ///< 0: as wide as the head's input
  std::string statistics = "auto";  ///< auto | joint | per_clip

  void bind(Fields& f) {
    pair.bind(f);
    f.section("color", color, "colours and flip of each clip");
    f.section("weights", weights, "of the terms in the loss");
    f.choice("contrast", contrast, {"byol", "infonce", "queue", "none"},
             "byol: momentum target, no negatives; infonce: negatives of the batch; queue: negatives of past batches");
    f.number("momentum", momentum, {.min = 0, .max = 1}, "byol, queue: of the target network");
    f.number("temperature", temperature, {.min = 1e-3, .max = 100}, "infonce, queue: of the softmax");
    f.integer("queue_size", queue_size, {.min = 2}, "queue: past clips kept as negatives");
    f.choice("heads", heads, {"auto", "mlp", "linear"},
             "auto: mlp, but linear for released R3D; linear has no projector");
    f.integer("projector_hidden", projector_hidden, {.min = 1}, "hidden width of projector and predictor");
    f.integer("projector_out", projector_out, {.min = 0}, "output width of both; 0: as wide as the feature");
    f.integer("head_hidden", head_hidden, {.min = 0}, "hidden width of mlp heads; 0: as wide as their input");
    f.choice("statistics", statistics, {"auto", "joint", "per_clip"},
             "batch norms see both clips at once, or one clip at a time; auto: joint in clean, per_clip in released");
  }

  void validate() const {
    pair.validate("objective");
    color.validate("objective.color");
    if (weights.rotation > 0 && !pair.rotation) {
      throw ConfigError("objective.rotation is off while objective.weights.rotation is above 0; set that weight to 0");
    }
    if (weights.rate > 0 && pair.max_rate == 0) {
      throw ConfigError("objective.max_rate 0 leaves one playback rate to name; set objective.weights.rate to 0");
    }
    if (!has_contrast() && !has_labels()) {
      throw ConfigError("objective.weights: every term is off, so nothing would be learnt; give one a weight above 0");
    }
  }
  bool released() const { return pair.preset == "released"; }
  bool has_contrast() const { return contrast != "none" && weights.contrast > 0; }
  bool has_labels() const { return weights.spatial + weights.temporal + weights.rate + weights.rotation > 0; }
  bool per_clip() const { return statistics == "per_clip" || (statistics == "auto" && released()); }

  SharedViews shared_views() const {
    SharedViews shared;
    const bool turned = weights.rotation > 0;
    const bool tilted = color.strong > 0 && color.tilt_degrees > 0;
    shared.draws = {
        .text = cat("two clips of a video, whose overlap is known", turned ? ", turned" : "", tilted ? ", tilted" : ""),
        .count = 2,
        .overlap = true,
        .rates = weights.rate > 0,
        .upright = !turned && !tilted};
    shared.needs = {
        .text = has_labels() ? "two clips of a video, whose overlap it draws itself" : "two clips of a video",
        .way_out = has_labels() ? "set its weights of spatial, temporal, rate and rotation to 0" : "",
        .least = 2,
        .most = 2,
        .overlap = has_labels(),
        .drawing_keys = {"max_rate", "rotation", "crop_area_min", "crop_area_max", "crop_ratio_min", "crop_ratio_max",
                         "tries", "released_packed", "color"}};
    shared.passing.view_by_view = per_clip();
    shared.passing_option = "statistics";
    return shared;
  }
};

class Cstp final : public Objective {
 public:
  Cstp(const CstpOptions& options, const ObjectiveParts& parts) : options_(options), world_(parts.world) {
    pair_ = options.pair;
    pair_.frames = parts.clip.frames;
    pair_.rotation = options.weights.rotation > 0;
    pair_.fixed_stride = options.weights.rate > 0 ? 0 : parts.clip.stride;
    pair_.validate("objective");
    backbone_ = take_backbone(parts);
    mlp_ = options.heads == "mlp" ||
           (options.heads == "auto" && !(options.released() && backbone_->form().ends_with("_pool")));
    build_contrast(parts);
    const int64_t width = backbone_->features();
    const auto levels = static_cast<int64_t>(kOverlapLevels.size());
    const int64_t four = options.released() && mlp_ ? 5 : 4;  // classes of rate and of rotation
    if (options.weights.spatial > 0) spatial_head_ = build_head("spatial_head", 2 * width, levels);
    if (options.weights.temporal > 0) temporal_head_ = build_head("temporal_head", 2 * width, levels);
    if (options.weights.rate > 0) rate_head_ = build_head("rate_head", width, four);
    if (options.weights.rotation > 0) rotation_head_ = build_head("rotation_head", width, four);

    if (parts.shared && parts.leads) initialize_xavier(*backbone_, /*random_norm_gamma=*/options.released());
    initialize_xavier(*this, /*random_norm_gamma=*/options.released());
    if (twin_ && !options.released()) twin_->copy_from(*backbone_, projector_.get());
  }

  SamplePlan plan(const VideoInfo& video, Rng& rng) const override {
    SamplePlan plan = draw_overlap_pair(video, pair_, rng);
    for (ViewPlan& view : plan.views) draw_color(options_.color, rng, view);
    return plan;
  }

  LossTerms loss_of(const ViewBatch& batch, BackbonePass& pass) override {
    const int64_t videos = batch.videos();
    check(batch.views.size(0) == 2 * videos, "cstp: two views a video are wanted");
    if (is_training() && videos * world_.size < 2) {
      throw ConfigError(
          "train.batch: cstp needs at least 2 videos in every step, for its batch norms; raise train.batch");
    }
    at::Tensor targets = batch.plan_labels;  // [5,B]
    if (options_.has_labels() && !targets.defined()) {
      targets = plan_labels(batch).to(batch.views.device(), /*non_blocking=*/true);
    }
    const at::Tensor y = pass.pooled();  // [2B,D]

    const CstpWeights& weights = options_.weights;
    LossTerms terms;
    terms.total = at::zeros({}, batch.views.options().dtype(at::kFloat));
    std::vector<std::pair<std::string, at::Tensor>> accuracies;
    const auto add = [&](const char* name, double weight, const at::Tensor& term) {
      terms.total = terms.total + weight * term;
      terms.parts.emplace_back(name, term.detach());
    };
    const auto classify = [&](const char* name, double weight, const at::Tensor& scores, const at::Tensor& target) {
      const c10::impl::ExcludeDispatchKeyGuard f32(c10::autocast_dispatch_keyset);
      const auto clips = static_cast<double>(scores.size(0)) / static_cast<double>(videos);
      add(name, weight, clips * at::cross_entropy_loss(at_least_f32(scores), target));  // summed over the clips
      accuracies.emplace_back(cat("accuracy_", name), (scores.detach().argmax(1) == target).to(at::kFloat).mean());
    };

    if (options_.has_contrast()) add("contrast", weights.contrast, contrast(batch.views, y));
    if (weights.spatial > 0 || weights.temporal > 0) {
      const at::Tensor both = at::cat({y.narrow(0, 0, videos), y.narrow(0, videos, videos)}, 1);  // [B,2D]
      if (weights.spatial > 0) classify("spatial", weights.spatial, spatial_head_.forward(both), targets[0]);
      if (weights.temporal > 0) classify("temporal", weights.temporal, temporal_head_.forward(both), targets[1]);
    }
    if (weights.rate > 0) {
      classify("rate", weights.rate, per_view(rate_head_, y), at::cat({targets[2], targets[2]}));
    }
    if (weights.rotation > 0) {
      classify("rotation", weights.rotation, per_view(rotation_head_, y), targets.narrow(0, 3, 2).flatten());
    }
    terms.parts.insert(terms.parts.end(), accuracies.begin(), accuracies.end());
    terms.embeddings = y.detach();
    return terms;
  }

  Passing passing() const override { return {.view_by_view = options_.per_clip()}; }
  std::shared_ptr<Backbone> backbone() const override { return backbone_; }
  bool capturable() const override { return true; }

  /// Rows: spatial, temporal, rate, turns of clip 1, turns of clip 2; one transfer. [5,B]
  at::Tensor plan_labels(const ViewBatch& batch) const override {
    if (!options_.has_labels()) return {};
    const int64_t videos = batch.videos();
    // Pinned where it goes to a GPU: nobody waits for the copy.
    at::Tensor host = at::empty({5, videos}, at::TensorOptions(at::kLong).pinned_memory(batch.views.is_cuda()));
    auto rows = host.accessor<int64_t, 2>();
    for (int64_t b = 0; b < videos; ++b) {
      const auto& overlap = batch.plans[static_cast<size_t>(b)].overlap;
      check(overlap.has_value(), "cstp: a plan without overlap labels");
      rows[0][b] = overlap->spatial;
      rows[1][b] = overlap->temporal;
      rows[2][b] = overlap->rate;
      rows[3][b] = overlap->turns[0];
      rows[4][b] = overlap->turns[1];
    }
    return host;
  }

 private:
  torch::nn::AnyModule build_head(const std::string& name, int64_t in, int64_t out) {
    const int64_t hidden = options_.head_hidden > 0 ? options_.head_hidden : in;
    torch::nn::AnyModule head =
        mlp_ ? torch::nn::AnyModule(Mlp(in, hidden, out)) : torch::nn::AnyModule(torch::nn::Linear(in, out));
    register_module(name, head.ptr());
    return head;
  }

  void build_contrast(const ObjectiveParts& parts) {
    if (!options_.has_contrast()) return;
    const int64_t feature = backbone_->features();
    const int64_t out = mlp_ && options_.projector_out > 0 ? options_.projector_out : feature;
    const auto make_projector = [&] { return std::make_shared<MlpImpl>(feature, options_.projector_hidden, out); };
    if (mlp_) projector_ = register_module("projector", make_projector());
    if (options_.contrast == "byol") {
      predictor_ = register_module("predictor", std::make_shared<MlpImpl>(out, options_.projector_hidden, out));
    }
    if (options_.contrast == "byol" || options_.contrast == "queue") {
      twin_ = std::make_shared<MomentumTwin>(parts.make_backbone(), mlp_ ? make_projector() : nullptr);
      register_module("twin", twin_);
    }
    if (options_.contrast == "queue") {
      queue_ = register_buffer("queue", unit_rows(at::randn({options_.queue_size, out})));
      queue_next_ = register_buffer("queue_next", at::zeros({1}, at::kLong));
    }
  }

  /// Applies a network to both views at once, or to one after the other so that batch norms see one clip at a time.
  at::Tensor per_view(const std::function<at::Tensor(const at::Tensor&)>& network, const at::Tensor& x) const {
    if (!options_.per_clip()) return network(x);
    const int64_t videos = x.size(0) / 2;
    return at::cat({network(x.narrow(0, 0, videos)), network(x.narrow(0, videos, videos))});
  }
  at::Tensor per_view(torch::nn::AnyModule& head, const at::Tensor& x) const {
    return per_view([&head](const at::Tensor& rows) { return head.forward(rows); }, x);
  }
  at::Tensor per_view(const std::shared_ptr<MlpImpl>& head, const at::Tensor& x) const {
    return head ? per_view([&head](const at::Tensor& rows) { return head->forward(rows); }, x) : x;
  }

  at::Tensor contrast(const at::Tensor& views, const at::Tensor& y) {
    const at::Tensor z = per_view(projector_, y);  // [2B,P]
    if (options_.contrast == "infonce") return info_nce(z, options_.temperature, world_);
    // The target moves before it looks, with the online weights that this step looks with. (CSTP, released code.)
    if (is_training()) twin_->follow_online(*backbone_, projector_.get(), options_.momentum);
    const at::Tensor target = per_view([this](const at::Tensor& x) { return twin_->forward(x); }, views);  // [2B,P]
    if (options_.contrast == "byol") return byol_loss(per_view(predictor_, z), target);
    const at::Tensor keys = unit_rows(target);
    const at::Tensor loss = queue_info_nce(z, other_clip(keys), queue_.clone(), options_.temperature);
    if (is_training()) enqueue(gather_views_in_order(keys, 2, world_));
    return loss;
  }

  /// The oldest rows of the queue make room. All on the device. The keys are those of all ranks, in the order of the
  /// joined batch, so that every rank has the queue that one rank would have.
  void enqueue(const at::Tensor& keys) {
    const torch::NoGradGuard no_grad;
    const int64_t rows = std::min(keys.size(0), options_.queue_size);
    const at::Tensor places = (queue_next_ + at::arange(rows, queue_next_.options())).remainder(options_.queue_size);
    queue_.index_copy_(0, places, keys.narrow(0, 0, rows));
    queue_next_.add_(rows).remainder_(options_.queue_size);
  }

  CstpOptions options_;
  World world_;
  OverlapPairOptions pair_;  ///< options_.pair with what the clip and the weights decide
  bool mlp_ = true;
  std::shared_ptr<Backbone> backbone_;
  std::shared_ptr<MlpImpl> projector_, predictor_;  ///< null where the form has none
  std::shared_ptr<MomentumTwin> twin_;
  torch::nn::AnyModule spatial_head_, temporal_head_, rate_head_, rotation_head_;
  at::Tensor queue_;       ///< [K,P] unit rows
  at::Tensor queue_next_;  ///< [1] row to be overwritten next
};

std::shared_ptr<Objective> make_cstp(const ConfigNode& section, const ObjectiveParts& parts) {
  return std::make_shared<Cstp>(read_objective_options<CstpOptions>(section), parts);
}

}  // namespace

ObjectiveRow cstp_row() {
  return objective_row<CstpOptions>("cstp", make_cstp,
                                    "spatial and temporal overlap, playback rate and rotation, with contrast");
}

}  // namespace cstp
