#include "downstream_training.h"

#include <torch/torch.h>

#include <numeric>

#include "cstp/core/error.h"
#include "cstp/core/text.h"
#include "cstp/data/source_group.h"
#include "cstp/engine/checkpoint.h"
#include "cstp/engine/trainer.h"
#include "cstp/models/tensor_file.h"

namespace cstp {
namespace {

/// The configuration of a training run of the supervised objective. Only eval.linear or eval.finetune says how long it
/// is: train.max_steps, which cuts `cstp train` short, would cut the classifier short under the protocol's name.
RunConfig supervised_config(const RunConfig& config, const DownstreamOptions& options, bool freeze, double lr,
                            const std::string& folder) {
  RunConfig run = config;
  run.output = folder;
  run.clip.frames = config.eval.frames;
  SupervisedOptions supervised = training_views(options.views);
  supervised.freeze = freeze;
  supervised.normalize = options.normalize;
  supervised.norm = options.norm;
  supervised.norm_affine = !freeze;
  supervised.dropout = options.dropout;
  supervised.stride = config.eval.stride;
  supervised.augment = options.augment;
  run.objective = to_config(supervised);
  run.objective["name"] = ConfigNode::scalar("supervised");
  run.objective = resolve_objective(run.objective);
  run.optimizer = OptimizerOptions{};
  run.optimizer.momentum = options.momentum;
  run.optimizer.weight_decay = options.weight_decay;
  run.optimizer.clip_norm = options.clip_norm;
  run.schedule = ScheduleOptions{};
  run.schedule.lr = lr;
  run.schedule.min_lr = std::min(options.min_lr, lr);
  run.schedule.warmup = options.warmup;
  run.schedule.shape = options.schedule;
  run.schedule.per = options.schedule == "cosine" ? "epoch" : "step";
  run.train.epochs = static_cast<double>(options.epochs);
  run.train.batch = options.batch;
  run.train.max_steps = 0;
  return run;
}

Dataset subset(const Dataset& dataset, const std::vector<int64_t>& rows, const std::string& name) {
  Dataset part = dataset;
  part.name = name + dataset.name;
  part.videos.clear();
  for (const int64_t row : rows) part.videos.push_back(dataset.videos[static_cast<size_t>(row)]);
  return part;
}

}  // namespace

std::vector<std::string> source_groups(const Dataset& dataset, const std::vector<int64_t>& records) {
  std::vector<std::string> groups;
  for (const int64_t record : records) groups.push_back(source_group(dataset.videos[static_cast<size_t>(record)].path));
  return groups;
}

FeatureSet DownstreamTraining::test_logits() {
  rate_ = choose();
  const auto classifier = trained(data_.train, rate_.lr, "train");
  classifier_ = content_hash(module_tensors(*classifier));
  return scores(*classifier, data_.test, "test scores", backbone_.config.eval.probe);
}

RateChoice DownstreamTraining::choose() {
  std::vector<int64_t> all(data_.train.videos.size());
  std::iota(all.begin(), all.end(), int64_t{0});
  std::vector<int64_t> labels;
  for (const VideoRecord& video : data_.train.videos) labels.push_back(video.label);
  const HeldOut parts = hold_out_a_tenth(torch::tensor(labels), source_groups(data_.train, all),
                                         static_cast<uint64_t>(backbone_.config.seed));
  const Dataset fit = subset(data_.train, parts.fit, "nine tenths of ");
  const Dataset held_out = subset(data_.train, parts.held_out, "a tenth of ");
  return choose_rate(options_.lr, [&](double lr) -> std::optional<double> {
    if (held_out.videos.empty()) return std::nullopt;
    const FeatureSet result =
        scores(*trained(fit, lr, cat("train-lr", number_text(lr))), held_out, "held-out scores", "none");
    if (result.decoded() == 0) return std::nullopt;
    return score_videos(result.values, result.labels, backbone_.config.eval.average).clip_top1;
  });
}

std::shared_ptr<Classifier> DownstreamTraining::trained(const Dataset& dataset, double lr, const std::string& name) {
  const RunConfig& base = backbone_.config;
  const RunConfig run = supervised_config(base, options_, freeze_, lr, cat(folder_, "/", name));
  torch::manual_seed(static_cast<uint64_t>(base.seed));
  ObjectiveParts parts;
  parts.clip = run.clip;
  parts.classes = data_.classes;
  parts.world = backbone_.world;
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
      train(run, dataset, *classifier,
            {.write = true, .fresh = fresh_, .name = freeze_ ? "linear" : "finetune", .world = backbone_.world});
  if (result.stopped) {
    throw Error(ExitCode::stopped, "stopped by a signal after a save; resume with the same command");
  }
  bad_videos_ = result.bad_videos;
  return classifier;
}

FeatureSet DownstreamTraining::scores(Classifier& classifier, const Dataset& dataset, const std::string& what,
                                      const std::string& probe) const {
  classifier.eval();
  return extract_features(dataset, feature_options(backbone_, backbone_.config.eval.clips, what, probe),
                          [&](const at::Tensor& views) { return classifier.logits(views); });
}

}  // namespace cstp
