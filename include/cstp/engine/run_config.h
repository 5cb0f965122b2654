/// One experiment: every section of the YAML as one struct. No defaults live outside the structs.
#pragma once
#include <map>
#include <string>
#include <vector>

#include "cstp/augment/render.h"
#include "cstp/core/config.h"
#include "cstp/data/clip_loader.h"
#include "cstp/data/dataset.h"
#include "cstp/engine/optimizer.h"
#include "cstp/models/backbone.h"
#include "cstp/objectives/objective.h"

namespace cstp {

struct TrainOptions {
  double epochs = 300;
  int64_t batch = 32;             ///< global: videos a step over all ranks
  std::string precision = "f32";  ///< f32 | bf16 (autocast; losses stay f32)
  std::string device = "auto";    ///< auto | cpu | cuda
  bool channels_last = true;      ///< memory order of weights and activations
  int64_t threads = 0;  ///< intra-op threads a rank, 0 = cores; recorded in the checkpoint (bits depend on it)
  std::string cuda_graph = "auto";  ///< auto | on | off: a step is recorded once and replayed; see graphed_step.h
  std::string sync_norm = "auto";  ///< auto: batch norms see the batches of all ranks | off: each its own rank's
  int64_t max_steps = 0;           ///< stops early, the schedule keeps its length; 0 = no
  int64_t log_every = 20;
  int64_t checkpoint_every = 1000;
  int64_t keep = 3;              ///< newest checkpoints kept; 0 = all
  int64_t knn_every = 0;         ///< steps between k-NN scores of the backbone; 0 = none; see online_knn.h
  int64_t knn_videos = 500;      ///< of its gallery, and of its queries, at most
  double collapse_std = 0.02;    ///< self-supervised training stops below it; 0 = never; see CollapseGuard
  double collapse_rank = 1.5;    ///< or below this effective rank; 0 = never
  int64_t collapse_reports = 3;  ///< in a row, after as many of warm-up; 0 = no stop
  void bind(Fields& f);
};

/// How a downstream classifier is trained (`cstp eval --protocol linear|finetune`).
struct DownstreamOptions {
  int64_t epochs = 100;
  int64_t batch = 64;              ///< cached features: rows a step; else videos a step
  std::vector<double> lr = {0.1};  ///< more than one: chosen on a held-out tenth of train, never on test
  double min_lr = 0;
  double warmup = 0;
  double momentum = 0.9;
  double weight_decay = 0;
  double clip_norm = 0;
  bool normalize = true;  ///< L2-normalise the feature
  bool norm = true;       ///< BatchNorm1d before the classifier (without affine for linear, with for finetune)
  double dropout = 0;
  bool augment = true;                  ///< random crop and jitter (on_the_fly features); else centre crop
  std::string views = "cstp";           ///< whose crops and colours they are; see training_views()
  std::string schedule = "cosine";      ///< cosine, moving per epoch | full_cosine, per step; see learning_rate()
  std::string features = "on_the_fly";  ///< linear: cached | on_the_fly
  int64_t train_clips = 10;             ///< cached: clips a training video
  void bind(Fields& f);
};

struct EvalOptions {
  std::string protocol = "linear";  ///< linear | finetune | knn | pretext
  std::string protocol_name;        ///< the named protocol that these settings are meant to be; see protocol.h
  int64_t frames = 0;               ///< a clip's; 0 = clip.frames
  int64_t stride = 4;
  int64_t size = 0;            ///< pixels of a test view's side; 0 = clip.size
  std::string views = "cstp";  ///< whose windows, crops and resizing test views have; see grid_of()
  int64_t clips = 10;          ///< per video, evenly spread
  int64_t crops = 1;           ///< 1 or 3 per clip
  std::string crop =
      "center";  ///< center (short side 128, crop 112, in that proportion; cvrl: the short side) | square (squeezed)
  std::string average = "softmax";  ///< softmax | logits: what is averaged over the clips of a video
  int64_t batch = 8;                ///< videos a forward pass
  int64_t knn = 20;
  double temperature = 0.07;   ///< of the k-NN vote
  std::string probe = "none";  ///< none | shuffle | repeat: what is taken from the test clips; see probe_time()
  std::string feature_cache;   ///< folder; see feature_cache.h; "" = none
  int64_t draws = 10;          ///< pretext: plans drawn a test video
  std::vector<int64_t> topk = {1, 5, 10, 20, 50};
  DownstreamOptions linear;
  DownstreamOptions finetune;
  EvalOptions();
  void bind(Fields& f);
};

struct RunConfig {
  int64_t seed = 1;
  std::string output;
  DataOptions data;
  LoaderOptions loader;
  InputOptions input;
  ClipOptions clip;
  ModelOptions model;
  ConfigNode objective;  ///< resolved; see objectives/objective.h
  OptimizerOptions optimizer;
  ScheduleOptions schedule;
  TrainOptions train;
  EvalOptions eval;

  std::string file;  ///< where it came from (not a key)

  void bind(Fields& f);
  /// Checks what no single section can see. @throws ConfigError
  void validate() const;
  /// Every key with its value, as YAML that loads back to the same configuration.
  std::string yaml() const;
};

/// Reads a path, or the name of a shipped config, and applies the --set assignments in order.
RunConfig load_run_config(const std::string& path_or_name, const std::vector<std::string>& assignments);
/// From YAML text (a checkpoint's).
RunConfig parse_run_config(const std::string& yaml, const std::string& origin);
/// Folder of the shipped configs; names of the files in it, sorted.
std::string shipped_config_folder();
std::vector<std::string> shipped_configs();

/// Every leaf by its dotted path: "train.batch" -> "32"; a list of scalars is one leaf, "[0.1, 0.01]".
std::map<std::string, std::string> flattened(const ConfigNode& tree);

/// Hash of what a training run learns from, but for its seed: runs that differ by seed alone have the same.
std::string recipe_hash(const RunConfig& config);

/// Keys of `next` whose value differs from `previous`, as {key, old, new}, but for those a resumed run may change.
struct ConfigChange {
  std::string key, before, now;
};
std::vector<ConfigChange> forbidden_changes(const std::string& previous_yaml, const std::string& next_yaml);

}  // namespace cstp
