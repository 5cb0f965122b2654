// src/objectives/cvrl.cpp: two clips of one video, near in time more often than far, each with augmentations of its
// own; a network whose embedding of the one must find the other among all clips of the batch.
//
// Source: Qian et al., "Spatiotemporal Contrastive Video Representation Learning", CVPR 2021 (arXiv 2008.03800): its
// tables and figures, and the authors' released code with its two experiment files. The running text was not at hand.
// Differs from the released code: float pixels are not truncated to bytes after the resize; the loss of the ranks is
// averaged where the code lets the optimizer sum it, so that its effective rate is schedule.lr times the number of
// replicas (schedule.lr_multiplier is there to try that).
#include <ATen/ATen.h>
#include <c10/core/impl/LocalDispatchKeySet.h>

#include "cstp/core/error.h"
#include "cstp/core/text.h"
#include "cstp/models/heads.h"
#include "cstp/objectives/objective.h"
#include "cstp/sampling/draw.h"
#include "cstp/sampling/gap_law.h"
#include "cstp/sampling/view_recipe.h"
#include "objective_row.h"
#include "two_view_contrast.h"

namespace cstp {
namespace {

struct CvrlOptions {
  std::string gap = "linear";  ///< a name of gap_law_names()
  ViewRecipeOptions views;
  double temperature = 0.1;
  int64_t projector_layers = 3;  ///< hidden ones
  int64_t projector_hidden = 0;  ///< 0: as wide as the feature, so it grows with model.width
  int64_t projector_out = 128;
  double projector_norm_momentum = 0.003;  ///< weight of a batch in the projector's running statistics

  void bind(Fields& f) {
    f.choice("gap", gap, gap_law_names(), "law of the time between the starts of the two clips");
    f.section("views", views, "crop, flip and colours of the two clips");
    f.number("temperature", temperature, {.min = 1e-3, .max = 100}, "of the softmax");
    f.integer("projector_layers", projector_layers, {.min = 0, .max = 4}, "hidden layers of the projector");
    f.integer("projector_hidden", projector_hidden, {.min = 0}, "their width; 0: as wide as the feature");
    f.integer("projector_out", projector_out, {.min = 1}, "width of the embedding that is contrasted");
    f.number("projector_norm_momentum", projector_norm_momentum, {.min = 1e-6, .max = 1},
             "weight of a batch in the running statistics of the projector's norms");
  }
  void validate() const { views.validate("objective.views"); }
  SharedViews shared_views() const {
    return {.draws = {.text = "two clips of a video, near in time more often than far", .count = 2},
            .needs = {.text = "at least two clips of a video", .least = 2, .drawing_keys = {"gap", "views"}}};
  }
};

class Cvrl final : public Objective {
 public:
  Cvrl(const CvrlOptions& options, const ObjectiveParts& parts)
      : options_(options),
        law_(gap_law(options.gap)),
        clip_(parts.clip),
        world_(parts.world),
        backbone_(take_backbone(parts)) {
    projector_ = register_module(
        "projector", std::make_shared<ProjectorImpl>(ProjectorOptions{
                         .in = backbone_->features(),
                         .hidden = options.projector_hidden > 0 ? options.projector_hidden : backbone_->features(),
                         .hidden_layers = options.projector_layers,
                         .out = options.projector_out,
                         .norm_momentum = options.projector_norm_momentum}));
    initialize_xavier(*projector_, /*random_norm_gamma=*/false);  // Glorot; the backbone keeps its own start
  }

  SamplePlan plan(const VideoInfo& video, Rng& rng) const override {
    const PairStarts starts = draw_pair_starts(video, clip_span(clip_.frames, clip_.stride), law_, rng);
    SamplePlan plan;
    for (int64_t v = 0; v < 2; ++v) {
      ViewPlan& view = plan.views.emplace_back();
      view.frames = wrapped_frames(v == 0 ? starts.first : starts.second, clip_.frames, clip_.stride, video.frames);
      view.stride = clip_.stride;
      draw_recipe_view(video, options_.views, v, clip_.size, rng, view);
    }
    return plan;
  }

  /// Of more than two views, drawn by another part of a joint objective, the first and the last are contrasted: those
  /// of HDC that differ most.
  LossTerms loss_of(const ViewBatch& batch, BackbonePass& pass) override {
    const int64_t videos = batch.videos();
    const int64_t rows = batch.views.size(0);
    check(rows >= 2 * videos, "cvrl: two views a video are wanted");
    if (videos * world_.size < 2) {
      throw ConfigError("train.batch: cvrl needs at least 2 videos in every step, or there is no negative; raise it");
    }
    const at::Tensor y = pass.pooled();  // [V*B,C]
    const at::Tensor pair =
        rows == 2 * videos ? y : at::cat({y.narrow(0, 0, videos), y.narrow(0, rows - videos, videos)});  // [2B,C]
    const at::Tensor z = projector_->forward(pair);                                                      // [2B,D]
    const c10::impl::ExcludeDispatchKeyGuard f32(c10::autocast_dispatch_keyset);
    const TwoViewTerms contrast = two_view_contrast(z, options_.temperature, world_);
    LossTerms terms;
    terms.total = contrast.loss_a + contrast.loss_b;  // the released code's sum, twice the usual mean over 2N anchors
    terms.parts = {{"contrast", terms.total.detach()},
                   {"contrast_2n_mean", 0.5 * terms.total.detach()},
                   {"accuracy", contrast.accuracy},
                   {"entropy", contrast.entropy}};
    const auto candidates = static_cast<double>(videos * world_.size);
    terms.constants = {{"accuracy", at::full({}, 1 / candidates)}};
    terms.embeddings = y.detach();
    return terms;
  }

  std::shared_ptr<Backbone> backbone() const override { return backbone_; }
  bool capturable() const override { return true; }

 private:
  CvrlOptions options_;
  GapLaw law_;
  ClipOptions clip_;
  World world_;
  std::shared_ptr<Backbone> backbone_;
  std::shared_ptr<ProjectorImpl> projector_;
};

std::shared_ptr<Objective> make_cvrl(const ConfigNode& section, const ObjectiveParts& parts) {
  return std::make_shared<Cvrl>(read_objective_options<CvrlOptions>(section), parts);
}

}  // namespace

ObjectiveRow cvrl_row() {
  return objective_row<CvrlOptions>("cvrl", make_cvrl,
                                    "two clips of a video find each other among all clips of the batch (InfoNCE)");
}

}  // namespace cstp
