#include "cstp/engine/downstream.h"

#include <ATen/Parallel.h>
#include <torch/torch.h>

#include "cstp/core/build_info.h"
#include "cstp/core/error.h"
#include "cstp/core/log.h"
#include "cstp/core/text.h"
#include "cstp/engine/checkpoint.h"
#include "cstp/engine/device.h"
#include "cstp/engine/feature_cache.h"
#include "cstp/engine/inflate.h"
#include "cstp/engine/linear_probe.h"
#include "cstp/models/tensor_file.h"
#include "downstream_training.h"

namespace cstp {
namespace {

/// The objective's backbone as training would start from it: the untrained baseline has the same initialisation.
std::shared_ptr<Backbone> untrained_backbone(const RunConfig& config) {
  if (!has_weights(config.model.name)) return make_backbone(config.model);
  ObjectiveParts parts;
  parts.clip = config.clip;
  parts.classes = 1;  // no head is used here
  parts.make_backbone = [&] { return make_backbone(config.model); };
  return make_objective(config.objective, parts)->backbone();
}

/// Paths of the videos that a feature set lacks.
std::vector<std::string> left_out(const Dataset& dataset, const FeatureSet& features) {
  std::vector<bool> there(dataset.videos.size());
  for (const int64_t record : features.records) there[static_cast<size_t>(record)] = true;
  std::vector<std::string> paths;
  for (size_t i = 0; i < there.size(); ++i) {
    if (!there[i]) paths.push_back(dataset.videos[i].path);
  }
  return paths;
}

/// Everything but the videos that features depend on.
std::string feature_cause(const LoadedBackbone& backbone, int64_t clips, const std::string& probe) {
  const RunConfig& config = backbone.config;
  const EvalOptions& eval = config.eval;
  return cat("program ", program_hash(), ", weights ", backbone.note.hash, ", ", config.model.name, " x ",
             config.model.width, ", input ", config.input.range, ", size ",
             eval.size > 0 ? eval.size : config.clip.size, " ", config.clip.square, ", frames ", eval.frames,
             " stride ", eval.stride, ", clips ", clips, " crops ", eval.crops, " ", eval.crop, " ", eval.views,
             ", batch ", eval.batch, ", ", config.train.precision, " ", config.train.channels_last, ", ",
             device_name(backbone.device), ", threads ", at::get_num_threads(),
             probe == "none" ? "" : cat(", probe ", probe, " seed ", config.seed));
}

}  // namespace

FeatureOptions feature_options(const LoadedBackbone& backbone, int64_t clips, const std::string& what,
                               const std::string& probe) {
  FeatureOptions options;
  options.eval = backbone.config.eval;
  options.clips = clips;
  options.probe = probe;
  options.seed = backbone.config.seed;
  options.clip = backbone.config.clip;
  if (options.eval.size > 0) options.clip.size = options.eval.size;
  options.input = backbone.config.input;
  options.loader = backbone.config.loader;
  options.device = backbone.device;
  options.bf16 = backbone.config.train.precision == "bf16";
  options.channels_last = backbone.config.train.channels_last;
  options.what = what;
  options.world = backbone.world;
  return options;
}

LoadedBackbone load_backbone_for(const RunConfig& config, const std::string& checkpoint, bool allow_partial,
                                 const World& world, bool inflate) {
  LoadedBackbone loaded;
  loaded.config = config;
  loaded.world = world;
  loaded.config.loader.workers = loader_workers(config.loader, world);
  loaded.device = select_device(config.train.device, world.local_rank);
  set_compute_threads(config.train.threads, world.local_size);
  torch::manual_seed(static_cast<uint64_t>(config.seed));
  if (checkpoint.empty()) {
    loaded.network = untrained_backbone(config);
    loaded.weights = loaded.note.file;
    log::warning("no --checkpoint was given: the weights are untrained (the baseline)");
  } else {
    BackboneFile file = read_backbone_file(checkpoint);
    if (file.config) {
      loaded.config.model = file.config->model;
      loaded.config.input = file.config->input;
    }
    loaded.network = make_backbone(loaded.config.model);
    if (inflate) file = inflated(file, *loaded.network);
    log::info(file.path, ": ", loaded.config.model.name, ", ",
              load_backbone(file, *loaded.network, allow_partial).text());
    loaded.weights = loaded.note.file = file.path;
    if (file.config) describe_training(loaded.note, *file.config, file.step);
  }
  loaded.note.hash = content_hash(module_tensors(*loaded.network));
  loaded.network->to(loaded.device);
  if (loaded.config.train.channels_last) to_channels_last(*loaded.network);
  loaded.network->eval();
  return loaded;
}

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

FeatureSet backbone_features(const LoadedBackbone& backbone, const Dataset& dataset, int64_t clips,
                             const std::string& what, const std::string& probe) {
  const auto compute = [&] {
    backbone.network->eval();
    return extract_features(dataset, feature_options(backbone, clips, what, probe),
                            [&](const at::Tensor& views) { return backbone.network->embed(views); });
  };
  const std::string& folder = backbone.config.eval.feature_cache;
  return cached_features(folder, folder.empty() ? "" : feature_cause(backbone, clips, probe), dataset, compute,
                         backbone.world);
}

ProtocolResult run_protocol(const LoadedBackbone& backbone, const LabelledPair& data, const std::string& protocol,
                            const std::string& folder, bool fresh) {
  const RunConfig& config = backbone.config;
  ProtocolResult result;
  result.total = static_cast<int64_t>(data.test.videos.size());
  result.train_total = static_cast<int64_t>(data.train.videos.size());
  const DownstreamOptions& options = protocol == "finetune" ? config.eval.finetune : config.eval.linear;
  const auto count_test = [&](const FeatureSet& test) {
    result.decoded = test.decoded();
    result.labels = test.labels;
    result.undecoded = left_out(data.test, test);
  };

  if (protocol == "knn" || (protocol == "linear" && options.features == "cached")) {
    const int64_t train_clips = protocol == "knn" ? config.eval.clips : options.train_clips;
    const FeatureSet test =
        backbone_features(backbone, data.test, config.eval.clips, "test features", config.eval.probe);
    count_test(test);
    if (result.decoded == 0) return result;
    const FeatureSet train = backbone_features(backbone, data.train, train_clips, "train features");
    result.train_decoded = train.decoded();
    if (result.train_decoded == 0) throw DataError(cat(data.train.name, ": no training video could be decoded"));
    if (!backbone.world.is_first()) return result;  // all ranks have the features; one is enough for the rest
    if (protocol == "knn") {
      result.accuracy =
          knn_accuracy(video_embeddings(train.values, false), train.labels, video_embeddings(test.values, false),
                       test.labels, data.classes, config.eval.knn, config.eval.temperature);
    } else {
      const ProbeResult probe = linear_probe(train, test, data.classes, options, static_cast<uint64_t>(config.seed),
                                             source_groups(data.train, train.records));
      result.rate = probe.rate;
      result.classifier = probe.classifier;
      result.accuracy = score_videos(probe.logits, test.labels, config.eval.average);
      log::info("linear probe: lr ", probe.rate.lr, ", training clips top-1 ", probe.train_top1);
    }
    return result;
  }
  DownstreamTraining training(backbone, data, options, protocol == "linear", folder, fresh);
  const FeatureSet logits = training.test_logits();
  result.rate = training.rate();
  result.classifier = training.classifier();
  result.train_decoded = result.train_total - training.bad_videos();
  count_test(logits);
  if (result.decoded > 0) result.accuracy = score_videos(logits.values, logits.labels, config.eval.average);
  return result;
}

}  // namespace cstp
