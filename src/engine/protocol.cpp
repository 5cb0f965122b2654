#include "cstp/engine/protocol.h"

#include <algorithm>
#include <array>
#include <map>

#include "cstp/core/error.h"
#include "cstp/core/text.h"
#include "cstp/objectives/supervised.h"
#include "cstp/sampling/draw.h"

namespace cstp {
namespace {

// Views of a video: T frames, `stride` apart, at S pixels; clips and crops.
constexpr const char* kViews112 =
    "clip.size=112 clip.square=false eval.frames=16 eval.stride=4 eval.clips=10 eval.crops=1 eval.crop=center";
constexpr const char* kViews40 =
    "clip.size=40 clip.square=false eval.frames=8 eval.stride=4 eval.clips=10 eval.crops=1 eval.crop=square";
constexpr const char* kViews64 =
    "clip.size=64 clip.square=true eval.frames=8 eval.stride=4 eval.clips=10 eval.crops=1 eval.crop=square";

constexpr const char* kLinear =
    "eval.average=softmax eval.linear.epochs=100 eval.linear.lr=[0.1,0.01] eval.linear.min_lr=0 eval.linear.warmup=0 "
    "eval.linear.momentum=0.9 eval.linear.weight_decay=0 eval.linear.clip_norm=0 eval.linear.normalize=true "
    "eval.linear.norm=true eval.linear.dropout=0";
constexpr const char* kOnTheFly = "eval.linear.features=on_the_fly eval.linear.batch=60 eval.linear.augment=true";
constexpr const char* kCached = "eval.linear.features=cached eval.linear.batch=64 eval.linear.train_clips=10";
constexpr const char* kFinetune =
    "eval.average=logits eval.finetune.epochs=100 eval.finetune.batch=60 eval.finetune.lr=[0.025] "
    "eval.finetune.min_lr=0 eval.finetune.warmup=0 eval.finetune.momentum=0.9 eval.finetune.weight_decay=5.0e-4 "
    "eval.finetune.clip_norm=0 eval.finetune.normalize=true eval.finetune.norm=true eval.finetune.dropout=0 "
    "eval.finetune.augment=true";
constexpr const char* kKnn20 = "eval.knn=20 eval.temperature=0.07";
constexpr const char* kKnn1 = "eval.knn=1 eval.temperature=0.07";

// CVRL (Qian et al., CVPR 2021), the released experiment file of its linear evaluation: trained on views of 224 pixels,
// tested on 30 of 256.
constexpr const char* kViewsCvrl =
    "clip.size=224 clip.square=false eval.frames=32 eval.stride=2 eval.clips=10 eval.crops=3 eval.crop=center "
    "eval.size=256 eval.views=cvrl eval.average=softmax";
constexpr const char* kLinearCvrl =
    "eval.linear.epochs=100 eval.linear.batch=1024 eval.linear.lr=[32] eval.linear.min_lr=0 eval.linear.warmup=0.05 "
    "eval.linear.momentum=0.9 eval.linear.weight_decay=0 eval.linear.clip_norm=0 eval.linear.normalize=true "
    "eval.linear.norm=false eval.linear.dropout=0 eval.linear.features=on_the_fly eval.linear.augment=true "
    "eval.linear.views=cvrl eval.linear.schedule=full_cosine";
// Its fine-tuning recipes are not published: that of PySlowFast's contrastive code, in its released file for UCF101, on
// the same 30 views.
constexpr const char* kFinetuneCvrl =
    "eval.finetune.epochs=200 eval.finetune.batch=64 eval.finetune.lr=[0.01] eval.finetune.min_lr=0 "
    "eval.finetune.warmup=0 eval.finetune.momentum=0.9 eval.finetune.weight_decay=0 eval.finetune.clip_norm=0 "
    "eval.finetune.normalize=false eval.finetune.norm=false eval.finetune.dropout=0.8 eval.finetune.augment=true "
    "eval.finetune.views=cvrl";

// STS leaves its downstream settings open; its literature has them from VCOP's released code (Xu et al., CVPR 2019):
// frames squeezed to 171 x 128, crops of 112, logits averaged. Its best epoch of a held-out set is not followed.
constexpr const char* kViewsSts =
    "clip.size=112 clip.square=false eval.frames=16 eval.stride=1 eval.clips=10 eval.crops=1 eval.crop=center "
    "eval.views=sts";
constexpr const char* kFinetuneSts =
    "eval.average=logits eval.finetune.epochs=150 eval.finetune.batch=8 eval.finetune.lr=[0.001] "
    "eval.finetune.min_lr=0.001 eval.finetune.warmup=0 eval.finetune.momentum=0.9 eval.finetune.weight_decay=5.0e-4 "
    "eval.finetune.clip_norm=0 eval.finetune.normalize=false eval.finetune.norm=false eval.finetune.dropout=0 "
    "eval.finetune.augment=true eval.finetune.views=sts";

constexpr std::array<ProtocolRow, 23> kProtocols = {{
    {"ucf101-linear-v1", "linear", "ucf101", {kViews112, kLinear, kOnTheFly}, "linear probe on UCF101"},
    {"ucf101-finetune-v1", "finetune", "ucf101", {kViews112, kFinetune}, "fine-tuning on UCF101"},
    {"hmdb51-linear-v1", "linear", "hmdb51", {kViews112, kLinear, kOnTheFly}, "linear probe on HMDB51"},
    {"hmdb51-finetune-v1", "finetune", "hmdb51", {kViews112, kFinetune}, "fine-tuning on HMDB51"},
    {"kinetics-linear-cvrl-v1", "linear", "kinetics", {kViewsCvrl, kLinearCvrl}, "CVRL's linear evaluation, 30 views"},
    {"ucf101-finetune-cvrl-v1", "finetune", "ucf101", {kViewsCvrl, kFinetuneCvrl}, "fine-tuning on UCF101, 30 views"},
    {"hmdb51-finetune-cvrl-v1", "finetune", "hmdb51", {kViewsCvrl, kFinetuneCvrl}, "fine-tuning on HMDB51, 30 views"},
    {"kinetics-semi1-cvrl-v1",
     "finetune",
     "kinetics",
     {kViewsCvrl, kFinetuneCvrl, "data.share=0.01"},
     "fine-tuning on 1 % of the labels, 30 views; our recipe"},
    {"kinetics-semi10-cvrl-v1",
     "finetune",
     "kinetics",
     {kViewsCvrl, kFinetuneCvrl, "data.share=0.1"},
     "fine-tuning on 10 % of the labels, 30 views; our recipe"},
    {"ucf101-finetune-sts-v1",
     "finetune",
     "ucf101",
     {kViewsSts, kFinetuneSts},
     "fine-tuning on UCF101 as VCOP and STS"},
    {"hmdb51-finetune-sts-v1",
     "finetune",
     "hmdb51",
     {kViewsSts, kFinetuneSts},
     "fine-tuning on HMDB51 as VCOP and STS"},
    {"knn-sts-v1", "knn", "", {kViewsSts, kKnn20}, "weighted vote of 20 neighbours, on clips as VCOP and STS cut them"},
    {"retrieval-sts-v1", "retrieve", "", {kViewsSts}, "test videos query training videos as VCOP and STS"},
    {"linear-cached-v1", "linear", "", {kViews112, kLinear, kCached}, "linear probe on features extracted once"},
    {"knn-v1", "knn", "", {kViews112, kKnn20}, "weighted vote of 20 neighbours"},
    {"retrieval-v1", "retrieve", "", {kViews112}, "test videos query training videos"},
    {"synthetic-linear-v1", "linear", "", {kViews40, kLinear, kCached}, "linear probe of the quick start"},
    {"synthetic-knn-v1", "knn", "", {kViews40, kKnn20}, "vote of 20 neighbours in the quick start"},
    {"synthetic-retrieval-v1", "retrieve", "", {kViews40}, "retrieval in the quick start"},
    {"ut-interaction-linear-v1", "linear", "", {kViews64, kLinear, kCached}, "linear probe on UT-Interaction"},
    {"ut-interaction-knn-v1", "knn", "", {kViews64, kKnn1}, "nearest neighbour on UT-Interaction"},
    {"ut-interaction-retrieval-v1", "retrieve", "", {kViews64}, "retrieval on UT-Interaction"},
    {"pretext-v1", "pretext", "", {"eval.draws=10"}, "the objective's own task on test videos, 10 plans each"},
}};

/// Moves `key` from the flat configuration to the settings.
void take(const std::map<std::string, std::string>& flat, const std::string& key, Settings& settings) {
  const auto found = flat.find(key);
  check(found != flat.end(), cat("protocol_settings: there is no key ", key));
  settings.emplace_back(key, found->second);
}

/// Keys that came later than the first names are settings only away from their defaults: a name keeps its hash.
void take_unless(const std::map<std::string, std::string>& flat, const std::string& key, const char* usual,
                 Settings& settings) {
  if (flat.at(key) != usual) take(flat, key, settings);
}

void take_views(const std::map<std::string, std::string>& flat, Settings& settings) {
  for (const char* key :
       {"clip.size", "clip.square", "eval.frames", "eval.stride", "eval.clips", "eval.crops", "eval.crop"}) {
    take(flat, key, settings);
  }
  take_unless(flat, "eval.size", "0", settings);
  take_unless(flat, "eval.views", "cstp", settings);
  const GridOptions grid = grid_of(flat.at("eval.views"));
  settings.emplace_back("rule.windows", grid.floored ? "floor(i * max(0, N - T*stride) / (clips-1))"
                                                     : "evenly spread from the first frame to the last");
  if (flat.at("eval.crop") == "center") settings.emplace_back("rule.crop_share", number_text(grid.crop_share));
  if (grid.squeeze) settings.emplace_back("rule.squeeze", "171x128");
  settings.emplace_back("rule.resize", grid.filter == Filter::bicubic ? "bicubic" : "bilinear, no antialiasing");
  if (flat.at("eval.probe") == "none") return;
  take(flat, "eval.probe", settings);
  settings.emplace_back("rule.probe", flat.at("eval.probe") == "shuffle"
                                          ? "frames of each test clip in an order drawn by seed and video"
                                          : "middle frame of each test clip in every place");
}

/// How the classifier is trained, by `eval.KIND.*`; keys without effect are left out.
void take_training(const std::map<std::string, std::string>& flat, const std::string& kind,
                   const DownstreamOptions& options, Settings& settings) {
  take(flat, "eval.average", settings);
  const bool cached = kind == "linear" && options.features == "cached";
  std::vector<std::string> keys = {"epochs",       "batch",     "lr",        "min_lr", "warmup", "momentum",
                                   "weight_decay", "clip_norm", "normalize", "norm",   "dropout"};
  if (kind == "linear") keys.emplace_back("features");
  keys.emplace_back(cached ? "train_clips" : "augment");
  for (const std::string& key : keys) take(flat, cat("eval.", kind, ".", key), settings);
  take_unless(flat, cat("eval.", kind, ".schedule"), "cosine", settings);
  settings.emplace_back("rule.schedule", options.schedule == "cosine"
                                             ? "SGD, cosine per epoch; the last epoch counts"
                                             : "SGD, cosine over the whole run per step; the last epoch counts");
  if (options.lr.size() > 1) {
    settings.emplace_back("rule.selection", "clip top-1 on a held-out tenth of train by whole groups; first of equals");
  }
  settings.emplace_back("rule.classifier", cached               ? "linear, uniform start, exact feature statistics"
                                           : kind == "finetune" ? "linear, Xavier start, norm with affine"
                                                                : "linear, Xavier start, norm without affine");
  if (cached) return;
  take_unless(flat, cat("eval.", kind, ".views"), "cstp", settings);
  settings.emplace_back("rule.train_window", "one clip a video at a uniform start");
  const SupervisedOptions supervised = training_views(options.views);
  if (supervised.filter != SupervisedOptions{}.filter) settings.emplace_back("rule.train_resize", supervised.filter);
  if (supervised.squeeze) settings.emplace_back("rule.train_squeeze", "171x128");
  if (!options.augment) return;
  for (const auto& [key, value] : flattened(to_config(supervised.crop))) {
    if (key == "sampler" && value == CropOptions{}.sampler) continue;  // as in take_unless()
    settings.emplace_back(cat("rule.augment.crop.", key), value);
  }
  for (const auto& [key, value] : flattened(to_config(supervised.color))) {
    settings.emplace_back(cat("rule.augment.color.", key), value);
  }
}

/// Whether a name fixes this key; the task of a pretext is the objective's, and a name leaves it open.
bool fixed_by_name(const std::string& key, const std::string& kind) {
  return kind != "pretext" || key.starts_with("eval.");
}

/// What of `config` departs from a row, as KEY=VALUE.
std::vector<std::string> departures(const RunConfig& config, const ProtocolRow& row) {
  ConfigNode tree = ConfigNode::map();
  tree.set("objective.name=supervised");
  for (const std::string& assignment : protocol_assignments(row)) tree.set(assignment);
  const Settings named = protocol_settings(parse_run_config(tree.yaml(), row.name), row.kind);
  const std::map<std::string, std::string> wanted(named.begin(), named.end());
  std::vector<std::string> found;
  if (*row.format != '\0' && config.data.format != row.format) {
    found.push_back(cat("data.format=", config.data.format));
  }
  for (const auto& [key, value] : protocol_settings(config, row.kind)) {
    if (key.starts_with("rule.") || !fixed_by_name(key, row.kind)) continue;
    const auto same = wanted.find(key);
    if (same == wanted.end() || same->second != value) found.push_back(cat(key, "=", value));
  }
  // What the name fixes and this configuration has at a default that is no setting of its own.
  const Settings mine = protocol_settings(config, row.kind);
  const std::map<std::string, std::string> have(mine.begin(), mine.end());
  const std::map<std::string, std::string> flat = flattened(to_config(config));
  for (const auto& [key, value] : named) {
    const auto now = flat.find(key);
    if (have.contains(key) || now == flat.end() || !fixed_by_name(key, row.kind)) continue;
    if (now->second != value) found.push_back(cat(key, "=", now->second));
  }
  return found;
}

}  // namespace

Settings protocol_settings(const RunConfig& config, const std::string& kind) {
  const std::map<std::string, std::string> flat = flattened(to_config(config));
  Settings settings;
  if (kind == "pretext") {
    take(flat, "eval.draws", settings);
    for (const auto& [key, value] : flat) {
      if (key.starts_with("clip.") || key.starts_with("objective.")) settings.emplace_back(key, value);
    }
    settings.emplace_back("rule.plans", "drawn from a seed of their own");
    return settings;
  }
  take_views(flat, settings);
  take_unless(flat, "data.share", "1", settings);
  if (kind == "linear" || kind == "finetune") {
    take_training(flat, kind, kind == "linear" ? config.eval.linear : config.eval.finetune, settings);
    return settings;
  }
  check(kind == "knn" || kind == "retrieve", cat("protocol_settings: '", kind, "' is no kind of protocol"));
  settings.emplace_back("rule.embedding", "mean over clips, L2-normalised; cosine");
  if (kind == "knn") {
    take(flat, "eval.knn", settings);
    take(flat, "eval.temperature", settings);
  }
  return settings;
}

std::string settings_hash(const Settings& settings) {
  uint64_t hash = fingerprint("");
  for (const auto& [key, value] : settings) hash = fingerprint(cat(key, "=", value, "\n"), hash);
  return hex_text(hash);
}

std::span<const ProtocolRow> protocols() { return kProtocols; }

const ProtocolRow* find_protocol(const std::string& name) {
  const auto row = std::find_if(kProtocols.begin(), kProtocols.end(),
                                [&name](const ProtocolRow& protocol) { return protocol.name == name; });
  return row == kProtocols.end() ? nullptr : &*row;
}

std::vector<std::string> protocol_assignments(const ProtocolRow& row) {
  std::vector<std::string> assignments = {cat("eval.protocol_name=", row.name)};
  if (std::string_view(row.kind) != "retrieve") assignments.push_back(cat("eval.protocol=", row.kind));
  for (const char* part : row.settings) {
    if (part == nullptr) break;
    for (const std::string& assignment : split(part, ' ')) assignments.push_back(assignment);
  }
  return assignments;
}

std::string name_protocol(const RunConfig& config, const std::string& kind) {
  const ProtocolRow* claimed = find_protocol(config.eval.protocol_name);
  if (claimed != nullptr && claimed->kind == kind) {
    const std::vector<std::string> changes = departures(config, *claimed);
    return changes.empty() ? claimed->name : cat(claimed->name, " + {", join(changes, ", "), "}");
  }
  for (const ProtocolRow& row : kProtocols) {
    if (row.kind == kind && departures(config, row).empty()) return row.name;
  }
  return cat("custom-", kind);
}

}  // namespace cstp
