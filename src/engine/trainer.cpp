#include "cstp/engine/trainer.h"

#include <torch/torch.h>

#include <algorithm>
#include <atomic>
#include <chrono>
#include <cmath>
#include <filesystem>
#include <optional>

#include "cstp/augment/view_stream.h"
#include "cstp/core/error.h"
#include "cstp/core/log.h"
#include "cstp/core/text.h"
#include "cstp/distributed/collectives.h"
#include "cstp/engine/checkpoint.h"
#include "cstp/engine/device.h"
#include "cstp/engine/features.h"
#include "cstp/engine/health.h"
#include "cstp/engine/metrics.h"
#include "cstp/engine/online_knn.h"
#include "cstp/engine/stage_times.h"
#include "cstp/sampling/label_histogram.h"
#include "run_start.h"
#include "training_samples.h"
#include "training_step.h"

namespace cstp {
namespace fs = std::filesystem;
namespace {

using Clock = std::chrono::steady_clock;

std::atomic<bool> stop_requested{false};
static_assert(std::atomic<bool>::is_always_lock_free, "a signal handler sets it");

/// At the first report at or after every `knn_every` steps, and at the end: a function of the step, so that a resumed
/// run scores where the whole one does.
bool knn_is_due(const TrainOptions& train, int64_t step, int64_t last_step) {
  const int64_t report_before = (step - 1) / train.log_every * train.log_every;
  return step == last_step || step / train.knn_every > report_before / train.knn_every;
}

/// The progress bar: what a person wants at a glance. The full numbers are in metrics.jsonl.
void draw_bar(const std::string& name, int64_t step, int64_t first_step, int64_t last_step, int64_t clips,
              Clock::time_point start, double loss) {
  const double seconds = std::chrono::duration<double>(Clock::now() - start).count();
  const double per_step = seconds / static_cast<double>(std::max<int64_t>(1, step - first_step));
  log::status_line(cat(name, " ", bar_text(step, last_step), "  ", step, "/", last_step, "  loss ",
                       loss > 0 ? cat(loss) : "...", "  ",
                       std::llround(static_cast<double>(clips) / std::max(seconds, 1e-9)), " clips/s  ETA ",
                       duration_text(per_step * static_cast<double>(last_step - step))));
}

/// Refuses what cannot be trained, before anything is made.
TrainLength required_length(const RunConfig& config, const Dataset& dataset, const World& world) {
  if (dataset.videos.empty()) throw DataError(cat(dataset.name, ": holds no videos; nothing to train on"));
  const auto videos = std::ssize(dataset.videos);
  if (videos < config.train.batch) {
    log::common_warning(dataset.name, ": ", videos, " videos for a batch of ", config.train.batch,
                        ": videos repeat within a step");
  }
  if (config.train.batch % world.size != 0) {
    throw ConfigError(cat("train.batch: ", config.train.batch, " videos a step cannot be shared by ", world.size,
                          " ranks in equal parts; give a multiple of ", world.size, ", or another number of ranks"));
  }
  if (config.train.sync_norm != "auto" && config.train.batch / world.size < 2) {
    throw ConfigError(
        "train.sync_norm: off leaves every rank's batch norms its own videos, and train.batch gives each "
        "rank one alone; raise train.batch, or let sync_norm be auto");
  }
  return train_length(config, videos);
}

/// A training run from where it stands to its end. Members are made in the order in which ranks tell each other things.
class Run {
 public:
  Run(const RunConfig& config, const Dataset& dataset, Objective& objective, const TrainSetup& setup)
      : config_(config),
        dataset_(dataset),
        objective_(objective),
        setup_(setup),
        length_(required_length(config, dataset, setup.world)),
        device_(select_device(config.train.device, setup.world.local_rank)),
        data_hash_(dataset.data_hash(config.data.root)),
        optimizer_(prepared(objective, device_, config, setup.world), config.optimizer),
        now_(started()),
        first_step_(now_.step),
        order_(training_order(config.data, dataset, static_cast<uint64_t>(config.seed), config.train.batch)),
        bad_(open_journals(config, dataset, setup)),
        stream_(loading(), view_output(config, device_)),
        metrics_(writes() ? (fs::path(config.output) / "metrics.jsonl").string() : "", now_.step, length_.last_step,
                 setup.world),
        window_(setup.world),
        guard_(config.train.collapse_std, config.train.collapse_rank,
               objective.can_collapse() ? config.train.collapse_reports : 0,
               config.train.collapse_reports * config.train.log_every),
        step_(config, device_, setup.world, objective, optimizer_),
        stop_(setup.world),
        clock_(stream_) {
    if (config.train.knn_every > 0) knn_.emplace(config, dataset, device_, setup.world);
  }

  TrainResult finish() {
    objective_.set_train_mode();
    bool stopping = false;  // read once a step: a signal must not fall between the save and the loop's end
    while (now_.step < length_.last_step && !stopping) {
      const double lr = learning_rate(config_.schedule, epoch(), config_.train.epochs);
      learn(lr);
      stopping = stop_.ask(stop_requested.load());
      const bool end = now_.step == length_.last_step || stopping;
      if (now_.step % config_.train.log_every == 0 || end) report(lr, stopping);
      if (log::has_terminal() && world().is_first()) {
        draw_bar(setup_.name, now_.step, first_step_, length_.last_step, clips_, start_, result_.loss);
      }
      if (setup_.write && (now_.step % config_.train.checkpoint_every == 0 || end)) save(end);
    }
    result_.stopped = stopping && now_.step < length_.last_step;
    summarize();
    return result_;
  }

 private:
  const World& world() const { return setup_.world; }
  bool writes() const { return setup_.write && world().is_first(); }
  double epoch() const { return static_cast<double>(now_.step) / static_cast<double>(length_.steps_per_epoch); }

  Standing started() {
    require_same_on_all(world(), config_, data_hash_);
    return open_run(config_, dataset_, data_hash_, setup_, length_, objective_, optimizer_);
  }

  ClipLoader::Setup loading() {
    meet(world());  // nobody adds to a journal before all have read it
    ClipLoader::Setup loading = training_samples(config_, dataset_, objective_, order_, bad_, world());
    const int64_t own_batch = config_.train.batch / world().size;
    loading.first = now_.step * own_batch;
    loading.last = std::max(loading.first, length_.last_step * own_batch);
    return loading;
  }

  void learn(double lr) {
    clock_.enter(&StageTimes::gather);
    const ViewBatch batch = stream_.next();
    if (world().size > 1) seed_step(config_.seed, now_.step, world().rank);
    const LossTerms terms = step_.run(batch, lr, clock_);
    metrics_.add(terms, step_.gradient_norm(), batch.views.size(0));
    window_.add(terms.embeddings, batch.videos());
    clips_ += batch.views.size(0) * world().size;
    for (const SamplePlan& plan : batch.plans) {
      if (plan.overlap) histogram_.add(*plan.overlap);
    }
    ++now_.step;
  }

  void report(double lr, bool stopping) {
    const StageTimes times = clock_.now();
    const Health health = window_.measure();
    if (world().size > 1) bad_.learn(join_texts(bad_.newly_bad(), world()));
    std::string extra =
        cat(health.json(), ",\"stages\":", times.since(reported_).json(), ",\"bad_videos\":", bad_.count());
    if (device_.is_cuda()) extra += cat(",", gpu_memory(device_).json());
    reported_ = times;
    std::string note = health.line();
    if (knn_ && !stopping && knn_is_due(config_.train, now_.step, length_.last_step)) {
      metrics_.require_finite(now_.step, now_.checkpoint);
      const auto begin = Clock::now();
      const OnlineKnn::Score score = knn_->score(objective_);
      metrics_.leave_out(Clock::now() - begin);
      extra += cat(",", score.json());
      note += cat("  ", score.line());
    }
    const Metrics::Report report = metrics_.report(now_.step, epoch(), lr, extra, note, now_.checkpoint);
    result_.loss = report.loss;
    if (!log::has_terminal()) log::info(setup_.name, "  ", report.line);
    guard_.observe(health, now_.step, now_.checkpoint);
  }

  void save(bool last) {
    metrics_.require_finite(now_.step, now_.checkpoint);
    const Health health = window_.measure();
    const bool low = guard_.low(health, now_.step);
    if (low && world().is_first()) {
      log::warning("step ", now_.step, ": the embeddings are nearly all alike (", health.line(), ")",
                   last ? "" : "; no checkpoint is written until they are not");
    }
    if (low && !last) return;  // if this is a collapse, the newest checkpoint is one from before it
    if (writes()) {
      now_.checkpoint =
          save_checkpoint(config_.output, {now_.step, config_.yaml(), now_.threads, data_hash_, world().size},
                          objective_, optimizer_, low ? 0 : config_.train.keep);
    }
    now_.checkpoint = take_from_first(now_.checkpoint, world());
  }

  void summarize() {
    log::status_line("");
    if (world().size > 1) bad_.learn(join_texts(bad_.newly_bad(), world()));
    if (histogram_.spatial.total() > 0)
      log::info(world().size > 1 ? "labels drawn by rank 0: " : "labels drawn: ", histogram_.text());
    if (world().is_first()) {
      for (const std::string& line : objective_.annotated_labels()) log::info("labels measured: ", line);
    }
    if (bad_.count() > 0 && world().is_first())
      log::warning("bad videos: ", bad_.count(), " of ", count_text(std::ssize(dataset_.videos)), ", each replaced");
    if (const ClipLoader::Timing timing = stream_.timing(); timing.on_gpu > 0)
      log::info("the GPU decoded ", count_text(timing.on_gpu), " of ", count_text(timing.samples), " samples");
    if (now_.step > first_step_) {
      const StageTimes times = clock_.now();
      log::info(stage_text(times), "; ", stage_advice(times, cores_of_rank(world())));
    } else {
      log::info("nothing left to do: ", config_.output, " already stands at step ", now_.step);
    }
    result_.steps = now_.step;
    result_.epochs = epoch();
    result_.seconds = std::chrono::duration<double>(Clock::now() - start_).count();
    result_.clips_per_second = static_cast<double>(clips_) / std::max(result_.seconds, 1e-9);
    result_.checkpoint = now_.checkpoint;
    result_.bad_videos = bad_.count();
  }

  const Clock::time_point start_ = Clock::now();
  const RunConfig& config_;
  const Dataset& dataset_;
  Objective& objective_;
  const TrainSetup& setup_;
  const TrainLength length_;
  const c10::Device device_;
  const std::string data_hash_;
  Optimizer optimizer_;
  Standing now_;
  const int64_t first_step_;  ///< of this session
  EpochOrder order_;
  BadVideos bad_;
  ViewStream stream_;
  Metrics metrics_;
  HealthWindow window_;
  CollapseGuard guard_;
  TrainingStep step_;
  AgreedFlag stop_;
  StageClock clock_;
  StageTimes reported_;
  std::optional<OnlineKnn> knn_;
  OverlapHistogram histogram_;
  int64_t clips_ = 0;  ///< of this session, all ranks
  TrainResult result_;
};

}  // namespace

void request_stop() noexcept { stop_requested.store(true); }
bool stop_is_requested() noexcept { return stop_requested.load(); }

TrainLength train_length(const RunConfig& config, int64_t videos) {
  TrainLength length;
  length.steps_per_epoch = std::max<int64_t>(1, videos / config.train.batch);
  length.total_steps = std::llround(config.train.epochs * static_cast<double>(length.steps_per_epoch));
  length.last_step =
      config.train.max_steps > 0 ? std::min(length.total_steps, config.train.max_steps) : length.total_steps;
  return length;
}

std::shared_ptr<Objective> build_objective(const RunConfig& config, int64_t classes, const World& world) {
  torch::manual_seed(static_cast<uint64_t>(config.seed));
  ObjectiveParts parts;
  parts.clip = config.clip;
  parts.classes = classes;
  parts.make_backbone = [&config] { return make_backbone(config.model); };
  parts.world = world;
  parts.data_root = config.data.root;
  return make_objective(config.objective, parts);
}

TrainResult train(const RunConfig& config, const Dataset& dataset, Objective& objective, const TrainSetup& setup) {
  return Run(config, dataset, objective, setup).finish();
}

}  // namespace cstp
