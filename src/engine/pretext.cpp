#include "cstp/engine/pretext.h"

#include <torch/torch.h>

#include <algorithm>

#include "cstp/augment/view_stream.h"
#include "cstp/core/error.h"
#include "cstp/core/log.h"
#include "cstp/core/text.h"
#include "cstp/engine/checkpoint.h"
#include "cstp/engine/device.h"
#include "cstp/engine/features.h"
#include "cstp/engine/health.h"
#include "cstp/engine/trainer.h"
#include "cstp/sampling/label_histogram.h"
#include "training_samples.h"

namespace cstp {
namespace {

/// Keeps the plans of evaluation apart from those of training, whatever the run's seed.
constexpr uint64_t kPretextSeed = 0x5eedfade;

double commonest_share(const LabelHistogram& histogram) {
  const std::vector<int64_t> counts = histogram.counts();
  return static_cast<double>(*std::max_element(counts.begin(), counts.end())) /
         static_cast<double>(std::max<int64_t>(1, histogram.total()));
}

}  // namespace

PretextResult score_pretext(const RunConfig& config, const Dataset& dataset, Objective& objective, int64_t draws) {
  const torch::NoGradGuard no_grad;
  objective.eval();
  PretextResult result;
  result.total = static_cast<int64_t>(dataset.videos.size());
  const c10::Device device = select_device(config.train.device);
  ClipLoader::Setup loading;
  loading.dataset = &dataset;
  loading.plan = [&](const VideoInfo& video, Rng& rng) { return objective.plan(as_seen(video, config.clip), rng); };
  loading.place = [&](int64_t n) {
    return StreamPlace{
        .epoch = static_cast<uint64_t>(n / result.total), .position = n % result.total, .record = n % result.total};
  };
  loading.seed = kPretextSeed;
  loading.last = result.total * draws;
  loading.batch = config.train.batch;
  loading.options = config.loader;
  const ViewOutput output = view_output(config, device);
  if (objective.target_width() > 0) loading.finish = [&](Sample& sample) { objective.annotate(sample); };
  ClipLoader loader(with_rendering(std::move(loading), output));

  OverlapHistogram histogram;
  HealthWindow window;
  for (int64_t done = 0; done < result.total * draws;) {
    const Batch samples = loader.next();
    for (const Sample& sample : samples) {
      const bool first_pass = done++ < result.total;
      if (!sample.error.empty() && first_pass) log::warning(sample.error, "; the video is left out of the result");
      result.decoded += first_pass && sample.error.empty() ? 1 : 0;
    }
    const ViewBatch batch = gather_views(samples, output);
    if (batch.videos() == 0) continue;
    LossTerms terms;
    with_precision(config.train.precision == "bf16", device, [&] { terms = objective.loss(batch); });
    if (result.parts.empty()) {
      result.parts.emplace_back("loss", 0);
      for (const auto& [name, value] : terms.parts) result.parts.emplace_back(name, 0);
      for (const auto& [name, value] : terms.constants) result.constants.emplace_back(name, 0);
    }
    window.add(terms.embeddings, batch.videos());
    const auto weight = static_cast<double>(batch.videos());
    result.parts[0].second += weight * terms.total.item<double>();
    for (size_t i = 0; i < terms.parts.size(); ++i)
      result.parts[i + 1].second += weight * terms.parts[i].second.item<double>();
    for (size_t i = 0; i < terms.constants.size(); ++i)
      result.constants[i].second += weight * terms.constants[i].second.item<double>();
    result.samples += batch.videos();
    for (const SamplePlan& plan : batch.plans) {
      if (plan.overlap) histogram.add(*plan.overlap);
    }
  }
  const auto samples = static_cast<double>(std::max<int64_t>(1, result.samples));
  for (auto& [name, value] : result.parts) value /= samples;
  for (auto& [name, value] : result.constants) value /= samples;
  if (!window.empty()) {
    const Health health = window.measure();
    result.parts.emplace_back("embedding_std", health.std);
    result.parts.emplace_back("effective_rank", health.rank);
  }
  if (histogram.spatial.total() > 0) {
    result.labels = histogram.text();
    for (const LabelHistogram* labels : {&histogram.spatial, &histogram.temporal, &histogram.rate, &histogram.turns})
      result.constants.emplace_back(labels->name(), commonest_share(*labels));
  }
  if (const std::vector<std::string> lines = objective.annotated_labels(); !lines.empty()) {
    result.labels = join(lines, "; ");
  }
  return result;
}

std::shared_ptr<Objective> load_objective(const RunConfig& config, const std::string& checkpoint) {
  auto objective = build_objective(config, std::ssize(open_dataset(config.data, Split::train).classes));
  if (!checkpoint.empty()) load_model(checkpoint, *objective);
  objective->to(select_device(config.train.device));
  return objective;
}

}  // namespace cstp
