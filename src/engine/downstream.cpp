#include "cstp/engine/downstream.h"

#include <torch/torch.h>

#include <filesystem>

#include "cstp/core/error.h"
#include "cstp/core/log.h"
#include "cstp/core/text.h"
#include "cstp/engine/checkpoint.h"
#include "cstp/engine/device.h"
#include "cstp/engine/trainer.h"
#include "cstp/objectives/supervised.h"

namespace cstp {
namespace {

/// The objective's backbone as training would start from it: the untrained baseline has the same initialisation.
std::shared_ptr<Backbone> untrained_backbone(const RunConfig& config) {
  ObjectiveParts parts;
  parts.clip = config.clip;
  parts.classes = 1;  // no head is used here
  parts.make_backbone = [&] { return make_backbone(config.model); };
  return make_objective(config.objective, parts)->backbone();
}

FeatureOptions feature_options(const LoadedBackbone& backbone, int64_t clips, const std::string& what) {
  FeatureOptions options;
  options.eval = backbone.config.eval;
  options.clips = clips;
  options.clip = backbone.config.clip;
  options.input = backbone.config.input;
  options.loader = backbone.config.loader;
  options.device = backbone.device;
  options.bf16 = backbone.config.train.precision == "bf16";
  options.channels_last = backbone.config.train.channels_last;
  options.what = what;
  return options;
}

/// Training set and test set of a protocol, with the same classes in the same order.
struct LabelledPair {
  Dataset train, test;
  int64_t classes = 0;
};

LabelledPair open_labelled(const RunConfig& config) {
  LabelledPair pair{open_dataset(config.data, Split::train), open_dataset(config.data, Split::test), 0};
  pair.classes = static_cast<int64_t>(pair.train.classes.size());
  for (const Dataset* dataset : {&pair.train, &pair.test}) {
    log::info(dataset->name, ": ", count_text(static_cast<int64_t>(dataset->videos.size())), " videos, ",
              dataset->classes.size(), " classes");
    if (dataset->videos.empty()) throw DataError(cat(dataset->name, ": holds no videos"));
    for (const VideoRecord& video : dataset->videos) {
      if (video.label < 0 || video.label >= pair.classes) {
        throw DataError(cat(dataset->name, ": ", video.path, " has ",
                            video.label < 0 ? std::string("no label")
                                            : cat("label ", video.label, " of ", pair.classes, " training classes"),
                            "; this protocol needs a class for every video"));
      }
    }
  }
  if (pair.test.classes != pair.train.classes) {
    throw DataError(cat(pair.test.name, ": its classes differ from those of ", pair.train.name,
                        "; both must have the same, in one order"));
  }
  return pair;
}

/// The configuration of a training run of the supervised objective.
RunConfig supervised_config(const RunConfig& config, const DownstreamOptions& options, bool freeze, double lr,
                            const std::string& folder) {
  RunConfig run = config;
  run.output = folder;
  run.clip.frames = config.eval.frames;
  run.objective = ConfigNode::map();
  const auto set = [&](const std::string& key, const std::string& value) {
    run.objective[key] = ConfigNode::scalar(value);
  };
  set("name", "supervised");
  set("freeze", freeze ? "true" : "false");
  set("normalize", options.normalize ? "true" : "false");
  set("norm", options.norm ? "true" : "false");
  set("norm_affine", freeze ? "false" : "true");
  set("dropout", number_text(options.dropout));
  set("stride", std::to_string(config.eval.stride));
  set("augment", options.augment ? "true" : "false");
  run.objective = resolve_objective(run.objective);
  run.optimizer = OptimizerOptions{};
  run.optimizer.momentum = options.momentum;
  run.optimizer.weight_decay = options.weight_decay;
  run.optimizer.clip_norm = options.clip_norm;
  run.schedule = ScheduleOptions{};
  run.schedule.lr = lr;
  run.schedule.min_lr = std::min(options.min_lr, lr);
  run.schedule.warmup = options.warmup;
  run.train.epochs = static_cast<double>(options.epochs);
  run.train.batch = options.batch;
  return run;
}

class DownstreamTraining {
 public:
  DownstreamTraining(const LoadedBackbone& backbone, const LabelledPair& data, const DownstreamOptions& options,
                     bool freeze, bool fresh)
      : backbone_(backbone), data_(data), options_(options), freeze_(freeze), fresh_(fresh) {}

  /// Trains on all of train with the best rate and scores the test set.
  FeatureSet test_logits(double& lr) {
    lr = best_rate();
    const auto classifier = trained(data_.train, lr, "");
    return scores(*classifier, data_.test, "test scores");
  }

 private:
  double best_rate() {
    if (options_.lr.size() == 1) return options_.lr.front();
    std::vector<int64_t> labels;
    for (const VideoRecord& video : data_.train.videos) labels.push_back(video.label);
    const HeldOut parts = hold_out_a_tenth(torch::tensor(labels), static_cast<uint64_t>(backbone_.config.seed));
    const Dataset fit = subset(parts.fit, "nine tenths of ");
    const Dataset held_out = subset(parts.held_out, "a tenth of ");
    double best = -1;
    double best_lr = options_.lr.front();
    for (const double lr : options_.lr) {
      const FeatureSet result = scores(*trained(fit, lr, cat("-lr", number_text(lr))), held_out, "held-out scores");
      if (result.decoded() == 0) continue;
      const double accuracy = *score_videos(result.values, result.labels, backbone_.config.eval.average).top1;
      log::info("lr ", lr, " gives ", accuracy, " on the held-out tenth of train (", result.decoded(), " videos)");
      if (accuracy > best) {
        best = accuracy;
        best_lr = lr;
      }
    }
    return best_lr;
  }

  Dataset subset(const std::vector<int64_t>& rows, const std::string& name) const {
    Dataset part = data_.train;
    part.name = name + data_.train.name;
    part.videos.clear();
    for (const int64_t row : rows) part.videos.push_back(data_.train.videos[static_cast<size_t>(row)]);
    return part;
  }

  std::shared_ptr<Classifier> trained(const Dataset& dataset, double lr, const std::string& suffix) const {
    const RunConfig& base = backbone_.config;
    const RunConfig run =
        supervised_config(base, options_, freeze_, lr, cat(base.output, "/", freeze_ ? "linear" : "finetune", suffix));
    torch::manual_seed(static_cast<uint64_t>(base.seed));
    ObjectiveParts parts;
    parts.clip = run.clip;
    parts.classes = data_.classes;
    parts.make_backbone = [&] {  // every rate starts from the loaded weights
      auto copy = make_backbone(base.model);
      const torch::NoGradGuard no_grad;
      const auto from = backbone_.network->named_parameters();
      for (auto& item : copy->named_parameters()) item.value().copy_(from[item.key()]);
      const auto buffers = backbone_.network->named_buffers();
      for (auto& item : copy->named_buffers()) item.value().copy_(buffers[item.key()]);
      return copy;
    };
    const auto classifier = std::dynamic_pointer_cast<Classifier>(make_objective(run.objective, parts));
    check(classifier != nullptr, "the supervised objective is no Classifier");
    const TrainResult result =
        train(run, dataset, *classifier, {.write = true, .fresh = fresh_, .name = freeze_ ? "linear" : "finetune"});
    if (result.stopped)
      throw Error(ExitCode::stopped, "stopped by a signal after a save; resume with the same command");
    return classifier;
  }

  FeatureSet scores(Classifier& classifier, const Dataset& dataset, const std::string& what) const {
    classifier.eval();
    return extract_features(dataset, feature_options(backbone_, backbone_.config.eval.clips, what),
                            [&](const at::Tensor& views) { return classifier.logits(views); });
  }

  const LoadedBackbone& backbone_;
  const LabelledPair& data_;
  const DownstreamOptions& options_;
  bool freeze_, fresh_;
};

}  // namespace

LoadedBackbone load_backbone_for(const RunConfig& config, const std::string& checkpoint, bool allow_partial) {
  LoadedBackbone loaded;
  loaded.config = config;
  loaded.device = select_device(config.train.device);
  set_compute_threads(config.train.threads);
  torch::manual_seed(static_cast<uint64_t>(config.seed));
  if (checkpoint.empty()) {
    loaded.network = untrained_backbone(config);
    loaded.weights = "untrained";
    log::warning("no --checkpoint was given: the weights are untrained (the baseline)");
  } else {
    const BackboneFile file = read_backbone_file(checkpoint);
    if (file.config) {
      loaded.config.model = file.config->model;
      loaded.config.input = file.config->input;
    }
    loaded.network = make_backbone(loaded.config.model);
    log::info(file.path, ": ", loaded.config.model.name, ", ",
              load_backbone(file, *loaded.network, allow_partial).text());
    loaded.weights = file.path;
  }
  loaded.network->to(loaded.device);
  if (loaded.config.train.channels_last) to_channels_last(*loaded.network);
  loaded.network->eval();
  return loaded;
}

FeatureSet backbone_features(const LoadedBackbone& backbone, const Dataset& dataset, int64_t clips,
                             const std::string& what) {
  backbone.network->eval();
  return extract_features(dataset, feature_options(backbone, clips, what),
                          [&](const at::Tensor& views) { return backbone.network->embed(views); });
}

ProtocolResult run_protocol(const LoadedBackbone& backbone, const std::string& protocol, bool fresh) {
  const RunConfig& config = backbone.config;
  const LabelledPair data = open_labelled(config);
  ProtocolResult result;
  result.protocol = protocol;
  result.classes = data.classes;
  result.total = static_cast<int64_t>(data.test.videos.size());
  result.train_total = static_cast<int64_t>(data.train.videos.size());
  const auto seed = static_cast<uint64_t>(config.seed);
  const DownstreamOptions& options = protocol == "finetune" ? config.eval.finetune : config.eval.linear;

  if (protocol == "knn" || (protocol == "linear" && options.features == "cached")) {
    const int64_t train_clips = protocol == "knn" ? config.eval.clips : options.train_clips;
    const FeatureSet test = backbone_features(backbone, data.test, config.eval.clips, "test features");
    result.decoded = test.decoded();
    if (result.decoded == 0) return result;
    const FeatureSet train = backbone_features(backbone, data.train, train_clips, "train features");
    result.train_decoded = train.decoded();
    if (result.train_decoded == 0) throw DataError(cat(data.train.name, ": no training video could be decoded"));
    if (protocol == "knn") {
      result.accuracy =
          knn_accuracy(video_embeddings(train.values, false), train.labels, video_embeddings(test.values, false),
                       test.labels, data.classes, config.eval.knn, config.eval.temperature);
    } else {
      const ProbeResult probe = linear_probe(train, test, data.classes, options, seed);
      result.lr = probe.lr;
      result.accuracy = score_videos(probe.logits, test.labels, config.eval.average);
      log::info("linear probe: lr ", probe.lr, ", training clips top-1 ", probe.train_top1);
    }
    return result;
  }
  result.train_decoded = result.train_total;
  DownstreamTraining training(backbone, data, options, protocol == "linear", fresh);
  const FeatureSet logits = training.test_logits(result.lr);
  result.decoded = logits.decoded();
  if (result.decoded > 0) result.accuracy = score_videos(logits.values, logits.labels, config.eval.average);
  return result;
}

}  // namespace cstp
