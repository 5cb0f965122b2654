/// An objective is two functions in one file: plan() says what to cut from a video, loss_of() what to learn from what
/// the backbone makes of the views.
///
/// Adding one: src/objectives/x.cpp (options, plan, loss, row), a row in objective.cpp, a line in CMake;
/// docs/extending.md has a whole one. The contract test in tests/objectives walks the table: same seed same plan;
/// frames in range; labels agree with the plan; finite loss; gradients reach the backbone; state survives save and
/// load.
#pragma once
#include <ATen/core/Tensor.h>
#include <torch/nn/module.h>

#include <functional>
#include <memory>
#include <span>
#include <string>
#include <utility>
#include <vector>

#include "cstp/augment/view_batch.h"
#include "cstp/core/config.h"
#include "cstp/core/random.h"
#include "cstp/distributed/world.h"
#include "cstp/models/backbone.h"
#include "cstp/objectives/backbone_pass.h"
#include "cstp/objectives/shared_views.h"
#include "cstp/sampling/plan.h"
#include "cstp/video/frame.h"

namespace cstp {

struct Sample;

/// A scalar to minimise and the named scalars to log; all on the device, detached but for total.
struct LossTerms {
  at::Tensor total;  ///< [] f32, with gradient
  std::vector<std::pair<std::string, at::Tensor>>
      parts;  ///< {"contrast", []}, ... in a fixed order; "sc4/loss", with a slash, is not in the log line
  /// By the name of a part: what answering without looking would score ({"accuracy", 1/N}), where loss() alone knows
  /// it.
  std::vector<std::pair<std::string, at::Tensor>> constants;
  at::Tensor embeddings;  ///< [V*B,C] of the online backbone, view-major, detached: the run's health is told from them
};

/// Clip geometry shared by all objectives.
struct ClipOptions {
  int64_t frames = 16;  ///< T
  int64_t stride = 2;   ///< source frames per step where the objective does not draw its own
  int64_t size = 112;   ///< S
  bool square = false;  ///< squeeze whole frames to a square before cropping, so that their shape tells nothing
  void bind(Fields& f);
};

struct ObjectiveParts;

class Objective : public torch::nn::Module {
 public:
  /// Draws what to cut from this video. Called from many threads: const, no tensors, all randomness from rng.
  /// @throws DataError if the video is unusable (too short)
  virtual SamplePlan plan(const VideoInfo& video, Rng& rng) const = 0;
  /// Measures what loss_of() will need from the pixels: fills sample.targets with target_width() floats a view. Called
  /// from the loader's threads while the frames are decoded, and sample.raw rendered if the plan asks for it.
  virtual void annotate(Sample& sample) const;
  virtual int64_t target_width() const { return 0; }  ///< W of ViewBatch::targets; 0: annotate() does nothing
  /// How often annotate() gave each label so far, a line for each.
  virtual std::vector<std::string> annotated_labels() const { return {}; }
  /// Loss of a batch, with a backbone pass of its own.
  LossTerms loss(const ViewBatch& batch);
  /// Loss from what the backbone makes of batch.views. Losses are computed in f32 whatever the autocast type.
  virtual LossTerms loss_of(const ViewBatch& batch, BackbonePass& pass) = 0;
  /// How loss() runs the backbone.
  virtual Passing passing() const { return {}; }
  /// What loss_of() reads off the plans, as one tensor on the host; undefined: nothing. It takes batch.plan_labels
  /// where that is defined.
  virtual at::Tensor plan_labels(const ViewBatch& batch) const;
  /// Whether loss_of() and after_step(), with plan_labels at hand, neither read a value from the device nor compute
  /// with one that changes on the host: then a step may be recorded as a CUDA graph.
  virtual bool capturable() const { return false; }
  /// After the optimizer's step (momentum targets may also update before the forward pass, inside loss_of()).
  virtual void after_step() {}
  /// The backbone that downstream tasks take; registered as "backbone".
  virtual std::shared_ptr<Backbone> backbone() const = 0;
  /// Parameters the optimizer should train, with names (frozen and twin parameters are left out).
  virtual std::vector<std::pair<std::string, at::Tensor>> trainable() const;
  /// Whether module `name` subtree stays in eval mode during training (frozen backbone). Called after train().
  virtual void set_train_mode() { train(); }
  /// Whether embeddings that are all alike are a failure of this objective: nothing but the objective keeps them apart.
  virtual bool can_collapse() const { return true; }

 protected:
  /// The backbone to learn with. Registered as "backbone"; but not in a part of a joint objective, which shares the
  /// joint's.
  std::shared_ptr<Backbone> take_backbone(const ObjectiveParts& parts);
};

/// What an objective is built from.
struct ObjectiveParts {
  ClipOptions clip;
  std::function<std::shared_ptr<Backbone>()> make_backbone;  ///< a fresh one at each call
  int64_t classes = 0;                                       ///< of the data set; 0 if unlabelled
  World world;                                               ///< ranks that share a batch
  std::shared_ptr<Backbone> shared;  ///< the backbone of the joint objective that this is a part of; null: its own
  bool leads = true;                 ///< false: another part of the joint draws the views and starts the backbone
  std::string data_root;             ///< folder of the data set; "" if there is none
};

struct ObjectiveRow {
  const char* name;
  std::shared_ptr<Objective> (*make)(const ConfigNode& options, const ObjectiveParts& parts);
  /// Reads the section strictly; every key with its value. `path` is its name in errors.
  ConfigNode (*resolve)(const ConfigNode& options, const std::string& path);
  std::string (*describe)();  ///< its keys, for `cstp inspect config`
  const char* description;
  SharedViews (*shared_views)(const ConfigNode& options) = nullptr;  ///< null: it cannot be part of a joint objective
  bool trains_backbone = true;  ///< false: it can do with a backbone that has no weights
};
std::span<const ObjectiveRow> objectives();

/// The row that a section names. @param path of the section, for errors. @throws ConfigError with the nearest name
const ObjectiveRow& find_objective(const ConfigNode& section, const std::string& path = "objective");
/// @param section the config's `objective:` map: `name` and the objective's own keys
std::shared_ptr<Objective> make_objective(const ConfigNode& section, const ObjectiveParts& parts);
/// The section with every key resolved, name first. @throws ConfigError
ConfigNode resolve_objective(const ConfigNode& section);

}  // namespace cstp
