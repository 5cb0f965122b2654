#include <torch/torch.h>

#include <cmath>
#include <map>

#include "commands.h"
#include "cstp/core/error.h"
#include "cstp/core/text.h"
#include "cstp/engine/device.h"
#include "cstp/engine/memory_meter.h"
#include "cstp/engine/trainer.h"

namespace cstp {
namespace {

/// Classes that the official annotation of a format has, for a dry run where the data is absent.
int64_t official_classes(const DataOptions& data) {
  static const std::map<std::string, int64_t> known = {{"ucf101", 101}, {"hmdb51", 51}, {"kinetics", 400}};
  const auto found = known.find(data.format);
  return found == known.end() ? 10 : found->second;
}

/// One video's plan, rendered as noise: shapes and labels are what a real batch has.
ViewBatch noise_batch(const RunConfig& config, const Objective& objective, int64_t videos, int64_t classes) {
  ViewBatch batch;
  const VideoInfo video{.frames = 300, .fps = 30, .width = 340, .height = 256, .seconds = 10};
  for (int64_t b = 0; b < videos; ++b) {
    Rng rng(static_cast<uint64_t>(config.seed), 0, static_cast<uint64_t>(b));
    batch.plans.push_back(objective.plan(video, rng));
    batch.records.push_back(b);
  }
  const auto views = static_cast<int64_t>(batch.plans[0].views.size());
  const auto frames = static_cast<int64_t>(batch.plans[0].views[0].frames.size());
  batch.views = torch::randn({views * videos, frames, config.clip.size, config.clip.size, 3}).permute({0, 4, 1, 2, 3});
  if (objective.target_width() > 0) {
    batch.targets = torch::randint(1, 5, {views * videos, objective.target_width()}).to(torch::kFloat32);
  }
  batch.labels = torch::arange(videos, torch::kInt64).remainder(std::max<int64_t>(1, classes));
  return batch;
}

/// Peak bytes of one forward and backward pass over `videos` videos.
double step_bytes(const RunConfig& config, Objective& objective, int64_t videos, int64_t classes) {
  const MemoryMeter meter;
  const ViewBatch batch = noise_batch(config, objective, videos, classes);
  LossTerms terms;
  with_precision(config.train.precision == "bf16", c10::kCPU, [&] { terms = objective.loss(batch); });
  terms.total.backward();
  return static_cast<double>(meter.peak_bytes());
}

}  // namespace

std::string dry_run_text(const RunConfig& config, const std::string& command) {
  std::string data_line;
  int64_t videos = config.data.videos;
  int64_t classes = official_classes(config.data);
  try {
    const Dataset dataset = open_dataset(config.data, Split::train);
    videos = static_cast<int64_t>(dataset.videos.size());
    classes = static_cast<int64_t>(dataset.classes.size());
    data_line = cat(dataset.name, ": ", count_text(videos), " videos, ", classes, " classes");
  } catch (const DataError& error) {
    if (videos == 0) {
      throw DataError(
          cat(error.what(), "; for a dry run without the data, say how many videos it has: --set data.videos=N"));
    }
    videos = std::max<int64_t>(1, std::llround(config.data.share * static_cast<double>(videos)));
    data_line = cat("absent (", error.what(), "); counted as ", count_text(videos), " videos (data.videos",
                    config.data.share < 1 ? " and data.share)" : ")");
  }

  torch::manual_seed(static_cast<uint64_t>(config.seed));
  ObjectiveParts parts;
  parts.clip = config.clip;
  parts.classes = classes;
  parts.make_backbone = [&] { return make_backbone(config.model); };
  const auto objective = make_objective(config.objective, parts);
  int64_t trainable = 0;
  for (const auto& [name, parameter] : objective->trainable()) trainable += parameter.numel();
  int64_t all = 0;
  for (const at::Tensor& parameter : objective->parameters()) all += parameter.numel();

  objective->set_train_mode();
  // Fixed part: parameters, their gradients, momentum. The rest grows with the batch: measured at two sizes.
  const double fixed = 4.0 * static_cast<double>(all + 2 * trainable);
  const double two = step_bytes(config, *objective, 2, classes);
  for (auto& parameter : objective->parameters()) parameter.mutable_grad().reset();
  const double four = step_bytes(config, *objective, 4, classes);
  const double per_video = (four - two) / 2;
  const double whole = fixed + std::max(0.0, two - 2 * per_video) + per_video * static_cast<double>(config.train.batch);

  const TrainLength length = train_length(config, videos);
  return cat("command     ", command, "\nconfig      ", config.file, "\noutput      ", config.output, "\ndata        ",
             data_line, "\nbackbone    ", config.model.name, ", ", count_text(parameter_count(*objective->backbone())),
             " parameters", "\nparameters  ", count_text(trainable), " trained, ", count_text(all),
             " in all (with momentum targets)", "\nmemory      about ", bytes_text(whole), " for a step of ",
             config.train.batch, " videos on one device in ", config.train.precision, " (", bytes_text(fixed),
             " weights, gradients and momentum; ", bytes_text(per_video), " a video, measured on the CPU)",
             "\nsteps       ", count_text(length.total_steps), " (", count_text(length.steps_per_epoch), " an epoch, ",
             number_text(config.train.epochs), " epochs)",
             length.last_step < length.total_steps ? cat(", stopping at ", count_text(length.last_step)) : "",
             "\nlearning    lr ", number_text(learning_rate(config.schedule, 0, config.train.epochs)),
             " at the start, ", number_text(config.schedule.lr), " at the peak\n\n# the whole recipe\n", config.yaml());
}

}  // namespace cstp
