#include "cstp/engine/run_config.h"

#include <algorithm>
#include <cstdlib>
#include <filesystem>

#include "cstp/core/error.h"
#include "cstp/core/text.h"
#include "cstp/engine/protocol.h"
#include "cstp/sampling/draw.h"

namespace cstp {
namespace fs = std::filesystem;

void TrainOptions::bind(Fields& f) {
  f.number("epochs", epochs, {.min = 0}, "passes over the data");
  f.integer("batch", batch, {.min = 1, .max = 1 << 20}, "videos a step, over all ranks");
  f.choice("precision", precision, {"f32", "bf16"}, "compute type; losses are f32");
  f.choice("device", device, {"auto", "cpu", "cuda"}, "auto takes a GPU where there is one");
  f.flag("channels_last", channels_last, "channels-last memory order");
  f.integer("threads", threads, {.min = 0, .max = 1024},
            "compute threads a rank, 0 = OMP_NUM_THREADS if that is set, else cores (shared by its machine's)");
  f.choice("cuda_graph", cuda_graph, {"auto", "on", "off"},
           "record a step as a CUDA graph and replay it; auto: one GPU, and an objective that allows it");
  f.choice("sync_norm", sync_norm, {"auto", "off"}, "auto: batch norms see the batches of all ranks; off: their own");
  f.integer("max_steps", max_steps, {.min = 0}, "stop after this step, 0 = at the end");
  f.integer("log_every", log_every, {.min = 1}, "steps between metric lines");
  f.integer("checkpoint_every", checkpoint_every, {.min = 1}, "steps between checkpoints");
  f.integer("keep", keep, {.min = 0}, "newest checkpoints kept, 0 = all");
  f.integer("knn_every", knn_every, {.min = 0}, "steps between k-NN scores of the backbone, 0 = none; wants labels");
  f.integer("knn_videos", knn_videos, {.min = 2}, "videos of its gallery, and of its queries, at most");
  f.number("collapse_std", collapse_std, {.min = 0, .max = 1},
           "self-supervised training stops where the embedding std stays below, 0 = never");
  f.number("collapse_rank", collapse_rank, {.min = 0},
           "self-supervised training stops where the effective rank stays below, 0 = never");
  f.integer("collapse_reports", collapse_reports, {.min = 0},
            "metric lines in a row that make a collapse, after as many of warm-up; 0 = no stop");
}

void DownstreamOptions::bind(Fields& f) {
  f.integer("epochs", epochs, {.min = 1}, "passes over the training videos");
  f.integer("batch", batch, {.min = 1}, "videos (cached: feature rows) a step");
  f.numbers("lr", lr, {.min = 0}, "peak rate; of several, the best on a held-out tenth of train is used");
  f.number("min_lr", min_lr, {.min = 0}, "rate at the end of the cosine");
  f.number("warmup", warmup, {.min = 0, .max = 1}, "fraction of the epochs");
  f.number("momentum", momentum, {.min = 0, .max = 0.99999}, "of SGD");
  f.number("weight_decay", weight_decay, {.min = 0}, "L2");
  f.number("clip_norm", clip_norm, {.min = 0}, "largest gradient norm, 0 = no clipping");
  f.flag("normalize", normalize, "L2-normalise the feature");
  f.flag("norm", norm, "batch norm before the classifier");
  f.number("dropout", dropout, {.min = 0, .max = 0.99}, "before the classifier");
  f.flag("augment", augment, "random crops and colours in training (not with cached features)");
  f.choice("views", views, grid_methods(), "whose released code says how training clips are cut and coloured");
  f.choice("schedule", schedule, {"cosine", "full_cosine"},
           "cosine after the warm-up, per epoch; or over the whole run, per step");
  f.choice("features", features, {"cached", "on_the_fly"}, "linear: extract once, or decode anew every epoch");
  f.integer("train_clips", train_clips, {.min = 1}, "cached: clips a training video");
}

EvalOptions::EvalOptions() {
  finetune.features = "on_the_fly";
  finetune.lr = {0.025};
  finetune.weight_decay = 5e-4;
}

void EvalOptions::bind(Fields& f) {
  f.choice("protocol", protocol, {"linear", "finetune", "knn", "pretext"}, "what `cstp eval` does");
  f.text("protocol_name", protocol_name, "the named protocol that these settings are (cstp eval --list-protocols)");
  f.integer("frames", frames, {.min = 0}, "frames a clip, 0 = clip.frames");
  f.integer("stride", stride, {.min = 1}, "source frames between them");
  f.integer("size", size, {.min = 0, .max = 1024}, "pixels of a test view's side, 0 = clip.size");
  f.choice("views", views, grid_methods(), "whose released code says where test clips and crops lie");
  f.integer("clips", clips, {.min = 1, .max = 1000}, "clips a video, evenly spread");
  f.integer("crops", crops, {.min = 1, .max = 3}, "1 or 3 crops a clip");
  f.choice("crop", crop, {"center", "square"}, "center crop of the short side, or the whole frame squeezed");
  f.choice("average", average, {"softmax", "logits"}, "averaged over the clips of a video");
  f.integer("batch", batch, {.min = 1}, "videos a forward pass");
  f.integer("knn", knn, {.min = 1}, "neighbours of the k-NN vote");
  f.number("temperature", temperature, {.min = 1e-3, .max = 100}, "of the k-NN vote");
  f.choice("probe", probe, {"none", "shuffle", "repeat"},
           "test clips (not training clips) with their frames shuffled, or with one frame repeated");
  f.text("feature_cache", feature_cache, "folder in which features are kept and found again, '' = none");
  f.integer("draws", draws, {.min = 1}, "pretext: plans drawn a test video");
  f.integers("topk", topk, {.min = 1}, "k of retrieval's R@k");
  f.section("linear", linear, "linear probe: frozen backbone");
  f.section("finetune", finetune, "fine-tuning: all layers");
}

void RunConfig::bind(Fields& f) {
  f.integer("seed", seed, {.min = 0}, "of everything random");
  f.text("output", output, "run folder; default runs/<config name>");
  f.section("data", data, "data set");
  f.section("loader", loader, "decoding threads");
  f.section("input", input, "numbers the network sees");
  f.section("clip", clip, "clip geometry");
  f.section("model", model, "backbone");
  f.node("objective", objective, "what is learnt; `name` and its own keys");
  f.section("optimizer", optimizer, "optimizer");
  f.section("schedule", schedule, "learning rate");
  f.section("train", train, "the run");
  f.section("eval", eval, "downstream evaluation");
}

void RunConfig::validate() const {
  const auto refuse = [&](const std::string& text) { throw ConfigError(cat(file, ": ", text)); };
  if (eval.probe != "none" && eval.protocol == "pretext") {
    refuse(cat("eval.probe: ", eval.probe,
               " changes clips of the evaluation grid, and pretext draws its own plans; "
               "choose another eval.protocol, or eval.probe: none"));
  }
  if (eval.crops == 2) refuse("eval.crops: wanted 1 or 3, found 2");
  if (clip.size < 16) refuse(cat("clip.size: ", clip.size, " pixels do not survive the network; wanted at least 16"));
  if (eval.size > 0 && eval.size < 16) {
    refuse(cat("eval.size: ", eval.size, " pixels do not survive the network; wanted 0 (clip.size) or at least 16"));
  }
  if (train.batch < 2) refuse("train.batch: batch norm over the heads needs at least 2 videos a step");
  if (schedule.min_lr > schedule.lr) refuse("schedule.min_lr is above schedule.lr");
  for (const auto& [name, options] : {std::pair{"linear", &eval.linear}, std::pair{"finetune", &eval.finetune}}) {
    if (options->lr.empty()) refuse(cat("eval.", name, ".lr: the list is empty; wanted at least one learning rate"));
  }
  if (!eval.protocol_name.empty() && find_protocol(eval.protocol_name) == nullptr) {
    std::vector<std::string> names;
    for (const ProtocolRow& row : protocols()) names.emplace_back(row.name);
    const std::string near = closest(eval.protocol_name, names);
    refuse(cat("eval.protocol_name: there is no protocol '", eval.protocol_name, "'; ",
               near.empty() ? cat("known: ", join(names, ", ")) : cat("did you mean '", near, "'?")));
  }
}

std::string RunConfig::yaml() const { return to_config(*this).yaml(); }

namespace {

RunConfig from_tree(const ConfigNode& tree, const std::string& file) {
  RunConfig config = tree.read<RunConfig>();
  config.file = file;
  if (config.objective.is_null()) {
    throw ConfigError(cat(file, ": the section 'objective' is missing; wanted at least {name: cstp}"));
  }
  config.objective = resolve_objective(config.objective);
  if (config.eval.frames == 0) config.eval.frames = config.clip.frames;
  if (config.output.empty()) config.output = cat("runs/", fs::path(file).stem().string());
  config.validate();
  return config;
}

}  // namespace

std::string shipped_config_folder() {
  if (const char* folder = std::getenv("CSTP_CONFIGS")) return folder;
  // Installed: ../share/cstp/configs beside the program; in a checkout: ../configs; else where it was built.
  std::error_code error;
  const fs::path program = fs::read_symlink("/proc/self/exe", error);
  if (!error) {
    for (const char* relative : {"../share/cstp/configs", "../configs", "../../configs"}) {
      const fs::path folder = program.parent_path() / relative;
      if (fs::is_directory(folder, error)) return fs::weakly_canonical(folder).string();
    }
  }
  return CSTP_CONFIG_FOLDER;
}

std::vector<std::string> shipped_configs() {
  std::vector<std::string> names;
  std::error_code error;
  for (const auto& entry : fs::directory_iterator(shipped_config_folder(), error)) {
    if (entry.path().extension() == ".yaml") names.push_back(entry.path().filename().string());
  }
  std::sort(names.begin(), names.end());
  return names;
}

RunConfig load_run_config(const std::string& path_or_name, const std::vector<std::string>& assignments) {
  std::string path = path_or_name;
  if (!fs::exists(path)) {
    const std::string shipped = cat(shipped_config_folder(), "/", path_or_name);
    const bool bare = path_or_name.find('/') == std::string::npos;
    if (bare && fs::exists(shipped)) {
      path = shipped;
    } else if (bare && fs::exists(shipped + ".yaml")) {
      path = shipped + ".yaml";
    } else {
      const std::vector<std::string> names = shipped_configs();
      const std::string near = closest(path_or_name, names);
      throw ConfigError(cat(path_or_name, ": no such file, and no shipped config of that name; ",
                            near.empty() ? cat("shipped: ", join(names, ", ")) : cat("did you mean '", near, "'?")));
    }
  }
  ConfigNode tree = ConfigNode::load(path);
  for (const std::string& assignment : assignments) tree.set(assignment);
  return from_tree(tree, path);
}

RunConfig parse_run_config(const std::string& yaml, const std::string& origin) {
  return from_tree(ConfigNode::parse(yaml, origin), origin);
}

namespace {

void flatten(const ConfigNode& node, const std::string& path, std::map<std::string, std::string>& out) {
  if (node.kind() == ConfigNode::Kind::map) {
    for (const auto& [key, value] : node.entries()) flatten(value, path.empty() ? key : cat(path, ".", key), out);
  } else if (node.kind() == ConfigNode::Kind::list) {
    std::vector<std::string> texts;
    for (size_t i = 0; i < node.items().size(); ++i) {
      if (node.items()[i].kind() == ConfigNode::Kind::scalar) {
        texts.push_back(node.items()[i].text());
      } else {
        flatten(node.items()[i], cat(path, ".", i), out);
      }
    }
    out[path] = cat("[", join(texts, ", "), "]");
  } else {
    out[path] = node.text();
  }
}

/// Neither the batches nor the updates depend on these.
bool may_change(const std::string& key) {
  static const std::vector<std::string> exact = {"output",
                                                 "train.log_every",
                                                 "train.max_steps",
                                                 "train.checkpoint_every",
                                                 "train.keep",
                                                 "train.cuda_graph",
                                                 "train.knn_every",
                                                 "train.knn_videos",
                                                 "train.collapse_std",
                                                 "train.collapse_rank",
                                                 "train.collapse_reports"};
  const bool rounding_alone = key == "model.pad_channels" || key == "model.conv2d_views";
  return rounding_alone || key.starts_with("loader.") || key.starts_with("eval.") ||
         std::find(exact.begin(), exact.end(), key) != exact.end();
}

/// Keys that came later, at the value that runs without them had: a run from before them is the same run.
bool as_before_its_time(const std::string& key, const std::string& value) {
  return (key == "train.sync_norm" && value == "auto") || (key == "optimizer.bias_lr" && value == "1") ||
         (key == "optimizer.trust" && value == "0.001") || (key == "objective.squeeze" && value == "false") ||
         (key == "data.shuffle_buffer" && value == "0");
}

}  // namespace

std::map<std::string, std::string> flattened(const ConfigNode& tree) {
  std::map<std::string, std::string> leaves;
  flatten(tree, "", leaves);
  return leaves;
}

std::string recipe_hash(const RunConfig& config) {
  uint64_t hash = fingerprint("");
  for (const auto& [key, value] : flattened(to_config(config))) {
    if (key != "seed" && !may_change(key) && !as_before_its_time(key, value))
      hash = fingerprint(cat(key, "=", value, "\n"), hash);
  }
  return hex_text(hash);
}

std::vector<ConfigChange> forbidden_changes(const std::string& previous_yaml, const std::string& next_yaml) {
  const auto before = flattened(ConfigNode::parse(previous_yaml, "checkpoint"));
  const auto now = flattened(ConfigNode::parse(next_yaml, "run"));
  std::vector<ConfigChange> changes;
  for (const auto& [key, value] : now) {
    const auto old = before.find(key);
    if (old == before.end() && as_before_its_time(key, value)) continue;
    const std::string was = old == before.end() ? "(absent)" : old->second;
    if (was != value && !may_change(key)) changes.push_back({key, was, value});
  }
  for (const auto& [key, value] : before) {
    if (!now.contains(key) && !may_change(key)) changes.push_back({key, value, "(absent)"});
  }
  return changes;
}

}  // namespace cstp
