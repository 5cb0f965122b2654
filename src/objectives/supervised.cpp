// src/objectives/supervised.cpp: classification of single clips, for fine-tuning and for the linear probe.
#include "cstp/objectives/supervised.h"

#include <ATen/ATen.h>
#include <c10/core/impl/LocalDispatchKeySet.h>
#include <torch/nn/modules/dropout.h>
#include <torch/nn/modules/linear.h>
#include <torch/utils.h>

#include <optional>

#include "contrast.h"
#include "cstp/core/error.h"
#include "cstp/core/text.h"
#include "cstp/distributed/collectives.h"
#include "cstp/distributed/sync_norm.h"
#include "cstp/models/heads.h"
#include "objective_row.h"

namespace cstp {

void SupervisedOptions::bind(Fields& f) {
  f.flag("freeze", freeze, "linear probe: the backbone keeps its weights and its running statistics");
  f.flag("normalize", normalize, "L2-normalise the feature");
  f.flag("norm", norm, "BatchNorm1d before the classifier");
  f.flag("norm_affine", norm_affine, "with scale and shift; the probe has none");
  f.number("dropout", dropout, {.min = 0, .max = 0.99}, "before the classifier");
  f.integer("stride", stride, {.min = 1, .max = 512}, "source frames between the frames of a training clip");
  f.flag("augment", augment, "random resized crop and colours; otherwise the centre crop");
  f.choice("filter", filter, {"bicubic", "bilinear"}, "resizing; bilinear is without antialiasing");
  f.flag("squeeze", squeeze, "frames are squeezed to 171x128 pixels before they are cropped");
  f.section("crop", crop, "random resized crop, where augment is on");
  f.section("color", color, "colours and flip, where augment is on");
}

void SupervisedOptions::validate() const {
  crop.validate("objective.crop");
  color.validate("objective.color");
}

SharedViews SupervisedOptions::shared_views() const {
  return {.draws = {.text = "one clip of a video", .count = 1},
          .needs = {.text = "any clips of a video", .drawing_keys = {"stride", "augment", "filter", "crop", "color"}},
          .passing = {.gradient = !freeze},
          .passing_option = "freeze"};
}

SupervisedOptions training_views(const std::string& method) {
  SupervisedOptions options;
  if (method == "cvrl") {
    options.filter = "bilinear";
    options.crop = {.area_min = 0.3, .area_max = 1, .ratio_min = 0.5, .ratio_max = 2, .sampler = "height_uniform"};
    options.color = {.strong = 0, .tilt_degrees = 0, .jitter = 0, .grey = 0, .blur = 0, .flip = 0.5};
  } else if (method == "sts") {
    constexpr double kArea = 112.0 * 112 / (171 * 128);
    options.filter = "bilinear";
    options.squeeze = true;
    options.crop = {.area_min = kArea, .area_max = kArea, .ratio_min = 1, .ratio_max = 1, .sampler = "log_aspect"};
    options.color = {.strong = 0, .tilt_degrees = 0, .jitter = 0, .grey = 0, .blur = 0, .flip = 0};
  } else {
    check(method == "cstp", cat("training_views: there is no method '", method, "'"));
  }
  return options;
}

namespace {

class Supervised final : public Classifier {
 public:
  Supervised(const SupervisedOptions& options, const ObjectiveParts& parts)
      : options_(options),
        world_(parts.world),
        frames_(parts.clip.frames),
        backbone_(take_backbone(parts)),
        classifier_(register_module("classifier", torch::nn::Linear(backbone_->features(), parts.classes))) {
    if (options_.norm) {
      const auto norm = torch::nn::BatchNorm1dOptions(backbone_->features()).affine(options_.norm_affine);
      norm_ = register_module("norm", Norm1d(norm));
    }
    initialize_xavier(*classifier_, /*random_norm_gamma=*/false);
    if (options_.freeze) {
      for (at::Tensor& parameter : backbone_->parameters()) parameter.set_requires_grad(false);
    }
    Supervised::train(is_training());
  }

  /// One clip at a random start. (CSTP, released code: fine-tuning.)
  SamplePlan plan(const VideoInfo& video, Rng& rng) const override {
    if (video.frames < 1) throw DataError("the video has no frames; leave it out of the training list");
    SamplePlan plan;
    ViewPlan& view = plan.views.emplace_back();
    draw_window(video, frames_, options_.stride, rng, view);
    view.filter = options_.filter == "bicubic" ? Filter::bicubic : Filter::bilinear;
    view.antialias = options_.filter == "bicubic";
    const VideoInfo seen = options_.squeeze ? squeezed(video) : video;
    view.crop = options_.augment ? draw_crop(seen, options_.crop, rng) : centre_crop(seen);
    if (options_.augment) draw_color(options_.color, rng, view);
    return plan;
  }

  /// One view a video; of a joint objective, every view that it has.
  LossTerms loss_of(const ViewBatch& batch, BackbonePass& pass) override {
    const at::Tensor y = pass.pooled();     // [V*B,D]
    const at::Tensor scores = classify(y);  // [V*B,K]
    const int64_t views = batch.views.size(0) / batch.videos();
    const at::Tensor labels = views == 1 ? batch.labels : batch.labels.repeat({views});
    const c10::impl::ExcludeDispatchKeyGuard f32(c10::autocast_dispatch_keyset);
    LossTerms terms;
    const at::Tensor right = (scores.detach().argmax(1) == labels).sum();
    if (world_.size == 1) {
      terms.total = at::cross_entropy_loss(scores, labels, {}, at::Reduction::Mean, /*ignore_index=*/-1);
      terms.parts.emplace_back("top1", right / (labels >= 0).sum().clamp_min(1).to(at::kFloat));
    } else {  // ranks may differ in labelled videos: what is averaged over them is the share of this one in the mean
      const at::Tensor labelled = mean_over_ranks((labels >= 0).sum().to(scores.scalar_type()), world_);
      terms.total = at::cross_entropy_loss(scores, labels, {}, at::Reduction::Sum, /*ignore_index=*/-1) / labelled;
      terms.parts.emplace_back("top1", right / labelled.to(at::kFloat));
    }
    terms.embeddings = y.detach();
    return terms;
  }

  at::Tensor logits(const at::Tensor& views) override {
    BackbonePass pass(*backbone_, views, views.size(0), passing());
    return classify(pass.pooled());
  }

  /// Labels pull the embeddings of a class together, and a frozen backbone cannot answer for its own.
  bool can_collapse() const override { return false; }

  /// A frozen backbone stays in eval mode, so that its running statistics do not drift.
  /// Differs from the released code, whose "head only" mode leaves its batch norms in train mode.
  void train(bool on = true) override {
    Classifier::train(on);
    if (options_.freeze) backbone_->eval();
  }

  Passing passing() const override { return {.gradient = !options_.freeze}; }
  std::shared_ptr<Backbone> backbone() const override { return backbone_; }
  bool capturable() const override { return true; }

 private:
  /// [N,D] -> [N,K]
  at::Tensor classify(at::Tensor x) {
    if (options_.normalize) {
      x = at_least_f32(x);
      x = x / at::linalg_vector_norm(x, 2, {1}, /*keepdim=*/true).clamp_min(1e-8);
    }
    if (norm_) x = norm_->forward(x);
    if (options_.dropout > 0) x = at::dropout(x, options_.dropout, is_training());
    return at_least_f32(classifier_->forward(x));  // [N,K]
  }

  SupervisedOptions options_;
  World world_;
  int64_t frames_;
  std::shared_ptr<Backbone> backbone_;
  Norm1d norm_ = nullptr;
  torch::nn::Linear classifier_;
};

std::shared_ptr<Objective> make_supervised(const ConfigNode& section, const ObjectiveParts& parts) {
  const auto options = read_objective_options<SupervisedOptions>(section);
  if (parts.classes < 1) {
    throw ConfigError(
        cat(section.where(), ": objective: supervised learning needs class labels, and the data has none"));
  }
  return std::make_shared<Supervised>(options, parts);
}

}  // namespace

ObjectiveRow supervised_row() {
  ObjectiveRow row = objective_row<SupervisedOptions>(
      "supervised", make_supervised, "classification of clips: fine-tuning; with freeze, the linear probe");
  row.trains_backbone = false;  // frozen, it is a probe of anything
  return row;
}

}  // namespace cstp
