#include "cstp/engine/online_knn.h"

#include <torch/torch.h>

#include <algorithm>
#include <array>
#include <cstdio>
#include <map>
#include <span>
#include <utility>

#include "cstp/core/error.h"
#include "cstp/core/log.h"
#include "cstp/core/random.h"
#include "cstp/core/text.h"
#include "cstp/data/source_group.h"
#include "cstp/engine/evaluate.h"
#include "cstp/engine/features.h"
#include "cstp/engine/selection.h"

namespace cstp {
namespace {

constexpr uint64_t kDraw = 0x6b4e4e;  // keeps these draws apart from those of training

Dataset rows_of(const Dataset& dataset, const std::vector<int64_t>& rows) {
  Dataset part = dataset;
  part.videos.clear();
  for (const int64_t row : rows) part.videos.push_back(dataset.videos[static_cast<size_t>(row)]);
  return part;
}

Dataset labelled(const Dataset& dataset) {
  Dataset part = dataset;
  std::erase_if(part.videos, [](const VideoRecord& video) { return video.label < 0; });
  return part;
}

}  // namespace

Dataset stratified(const Dataset& dataset, int64_t count, uint64_t seed) {
  std::map<int64_t, std::vector<int64_t>> by_class;
  for (int64_t i = 0; i < std::ssize(dataset.videos); ++i) {
    const int64_t label = dataset.videos[static_cast<size_t>(i)].label;
    if (label >= 0) by_class[label].push_back(i);
  }
  for (auto& [label, rows] : by_class) {
    Rng(seed, kDraw, static_cast<uint64_t>(label)).shuffle(std::span(rows));
  }
  std::vector<int64_t> taken;
  for (size_t turn = 0; std::ssize(taken) < count; ++turn) {  // one of every class a turn
    const size_t before = taken.size();
    for (const auto& [label, rows] : by_class) {
      if (turn < rows.size() && std::ssize(taken) < count) taken.push_back(rows[turn]);
    }
    if (taken.size() == before) break;
  }
  std::sort(taken.begin(), taken.end());
  return rows_of(dataset, taken);
}

OnlineKnn::OnlineKnn(const RunConfig& config, const Dataset& train, c10::Device device, World world)
    : config_(config), device_(device), world_(std::move(world)) {
  const Dataset known = labelled(train);
  if (known.videos.empty()) {
    throw ConfigError(cat("train.knn_every: the k-NN needs class labels, and ", train.name,
                          " has none; set it to 0, or give the data's classes"));
  }
  const auto seed = static_cast<uint64_t>(config.seed);
  std::string cause;
  try {
    queries_ = labelled(open_dataset(config.data, Split::test));
    if (queries_.classes != train.classes) {
      cause = "its test split has other classes";
    } else if (queries_.videos.empty()) {
      cause = "its test split has no labels";
    }
  } catch (const Error& error) {
    cause = error.what();
  }
  if (cause.empty()) {
    gallery_ = known;
  } else {
    std::vector<int64_t> labels;
    std::vector<std::string> groups;  // clips of one source on both sides would make the queries too easy
    for (const VideoRecord& video : known.videos) {
      labels.push_back(video.label);
      groups.push_back(source_group(video.path));
    }
    const HeldOut parts = hold_out_a_tenth(torch::tensor(labels), groups, seed);
    if (parts.held_out.empty()) {
      throw ConfigError(cat("train.knn_every: there is no test split to score (", cause, "), and ", train.name,
                            " has too few videos a class to leave some out; set it to 0"));
    }
    log::info("k-NN: its queries are a tenth of ", train.name, ", left out of the gallery but not of training (", cause,
              ")");
    gallery_ = rows_of(known, parts.fit);
    queries_ = rows_of(known, parts.held_out);
  }
  gallery_ = stratified(gallery_, config.train.knn_videos, seed);
  queries_ = stratified(queries_, config.train.knn_videos, seed);
  log::info("k-NN every ", config.train.knn_every, " steps: ", count_text(std::ssize(queries_.videos)), " videos of ",
            queries_.name, " against ", count_text(std::ssize(gallery_.videos)), " of ", train.name);
}

OnlineKnn::Score OnlineKnn::score(Objective& objective) const {
  const auto backbone = objective.backbone();
  FeatureOptions options;
  options.eval = config_.eval;
  options.eval.crops = 1;
  options.clips = 1;
  options.clip = config_.clip;
  if (options.eval.size > 0) options.clip.size = options.eval.size;
  options.input = config_.input;
  options.loader = config_.loader;
  options.device = device_;
  options.world = world_;
  options.bf16 = config_.train.precision == "bf16";
  options.channels_last = config_.train.channels_last;
  const auto embed = [&](const Dataset& dataset, const char* what) {
    options.what = what;
    return extract_features(dataset, options, [&](const at::Tensor& views) { return backbone->embed(views); });
  };
  backbone->eval();
  const FeatureSet gallery = embed(gallery_, "k-NN gallery");
  const FeatureSet queries = embed(queries_, "k-NN queries");
  objective.set_train_mode();
  Score score{.top1 = std::nullopt, .queries = queries.decoded(), .gallery = gallery.decoded()};
  if (score.queries == 0 || score.gallery == 0) return score;
  score.top1 =
      knn_accuracy(video_embeddings(gallery.values, false), gallery.labels, video_embeddings(queries.values, false),
                   queries.labels, std::ssize(gallery_.classes), config_.eval.knn, config_.eval.temperature)
          .top1;
  return score;
}

std::string OnlineKnn::Score::json() const {
  return cat("\"knn_top1\":", top1 ? number_text(*top1) : "null", ",\"knn_queries\":", queries,
             ",\"knn_gallery\":", gallery);
}

std::string OnlineKnn::Score::line() const {
  std::array<char, 32> text{};
  if (top1) std::snprintf(text.data(), text.size(), "knn %.1f %%", 100 * *top1);
  return top1 ? text.data() : "knn -";
}

}  // namespace cstp
