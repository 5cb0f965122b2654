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
#include "cstp/distributed/gradient_sync.h"
#include "cstp/distributed/sync_norm.h"
#include "cstp/engine/checkpoint.h"
#include "cstp/engine/device.h"
#include "cstp/engine/features.h"
#include "cstp/engine/graphed_step.h"
#include "cstp/engine/health.h"
#include "cstp/engine/metrics.h"
#include "cstp/engine/online_knn.h"
#include "cstp/engine/stage_times.h"
#include "cstp/sampling/label_histogram.h"
#include "rank_start.h"
#include "training_samples.h"

namespace cstp {
namespace fs = std::filesystem;
namespace {

using Clock = std::chrono::steady_clock;

std::atomic<bool> stop_requested{false};
static_assert(std::atomic<bool>::is_always_lock_free, "a signal handler sets it");

/// Moves the results of an earlier run of this folder aside; nothing is deleted.
void move_aside(const fs::path& output) {
  if (!fs::exists(output / "checkpoints") && !fs::exists(output / "metrics.jsonl")) return;
  int64_t number = 1;
  while (fs::exists(output / cat("previous-", number))) ++number;
  const fs::path aside = output / cat("previous-", number);
  fs::create_directories(aside);
  for (const char* name : {"checkpoints", "metrics.jsonl", "config.yaml", "videos.txt"}) {
    if (fs::exists(output / name)) fs::rename(output / name, aside / name);
  }
  for (const fs::path& journal : journals(output)) fs::rename(journal, aside / journal.filename());
  log::info("--fresh: the earlier run was moved to ", aside.string());
}

/// Refuses to continue a run under another recipe.
void require_same_run(const std::string& path, const CheckpointNote& note, const RunConfig& config,
                      const std::string& data_hash) {
  std::vector<std::string> lines;
  for (const ConfigChange& change : forbidden_changes(note.config_yaml, config.yaml())) {
    lines.push_back(cat(change.key, ": was ", change.before, ", now ", change.now));
  }
  if (!lines.empty()) {
    throw CheckpointError(cat(path, ": this run folder was trained with another configuration (", join(lines, "; "),
                              "); give the old values, another --output, or --fresh to start over"));
  }
  if (note.data_hash != data_hash) {
    throw CheckpointError(
        cat(path, ": the training videos or their labels changed since this checkpoint (fingerprint was ",
            note.data_hash, ", now ", data_hash, "); give another --output, or --fresh to start over"));
  }
}

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

/// A batch at addresses that stay, for a recorded step.
class FixedBatch {
 public:
  const ViewBatch& take(const ViewBatch& batch, const at::Tensor& plan_labels) {
    const c10::Device device = batch.views.device();
    keep(fixed_.views, batch.views, device);
    keep(fixed_.labels, batch.labels, device);
    keep(fixed_.targets, batch.targets, device);
    keep(fixed_.plan_labels, plan_labels, device);
    fixed_.plans = batch.plans;
    fixed_.records = batch.records;
    return fixed_;
  }

 private:
  static void keep(at::Tensor& home, const at::Tensor& now, c10::Device device) {
    if (!now.defined()) return;
    if (!home.defined()) {
      home = now.to(device, /*non_blocking=*/true, /*copy=*/true);
    } else {
      check(home.sizes() == now.sizes(), "FixedBatch: batches of one run differ in shape");
      home.copy_(now, /*non_blocking=*/true);
    }
  }
  ViewBatch fixed_;
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
  const auto start = Clock::now();
  if (dataset.videos.empty()) throw DataError(cat(dataset.name, ": holds no videos; nothing to train on"));
  const auto videos = static_cast<int64_t>(dataset.videos.size());
  const TrainLength length = train_length(config, videos);
  if (videos < config.train.batch) {
    log::common_warning(dataset.name, ": ", videos, " videos for a batch of ", config.train.batch,
                        ": videos repeat within a step");
  }
  const World& world = setup.world;
  if (config.train.batch % world.size != 0) {
    throw ConfigError(cat("train.batch: ", config.train.batch, " videos a step cannot be shared by ", world.size,
                          " ranks in equal parts; give a multiple of ", world.size, ", or another number of ranks"));
  }
  const int64_t batch_of_rank = config.train.batch / world.size;
  const bool synchronized = config.train.sync_norm == "auto";
  if (!synchronized && batch_of_rank < 2) {
    throw ConfigError(
        "train.sync_norm: off leaves every rank's batch norms its own videos, and train.batch gives each "
        "rank one alone; raise train.batch, or let sync_norm be auto");
  }
  const c10::Device device = select_device(config.train.device, world.local_rank);
  const bool bf16 = config.train.precision == "bf16";
  const std::string data_hash = dataset.data_hash(config.data.root);
  const fs::path output = config.output;

  objective.to(device);
  if (config.train.channels_last) to_channels_last(objective);
  if (synchronized) synchronize_norms(objective, world);
  Optimizer optimizer(objective.trainable(), config.optimizer);
  require_same_on_all(world, config, data_hash);

  int64_t step = 0;
  std::string newest;
  int64_t threads = set_compute_threads(config.train.threads, world.local_size);
  if (setup.write && world.is_first()) {
    if (setup.fresh) move_aside(output);
    if (const auto found = newest_checkpoint(config.output)) {
      const CheckpointNote note = read_checkpoint_note(*found);
      require_same_run(*found, note, config, data_hash);
      if (note.threads > 0 && note.threads != threads) {
        if (config.train.threads != 0) {
          log::common_warning("train.threads differs from the ", note.threads,
                              " of the checkpoint: results will not be the same to the bit");
        } else {
          threads = set_compute_threads(note.threads);
        }
      }
      if (note.world_size != world.size) {
        log::info("the checkpoint is of ", note.world_size, " ranks, now there are ", world.size,
                  ": the same batches, but sums round differently");
      }
      load_checkpoint(*found, objective, optimizer);
      step = note.step;
      newest = *found;
      log::info("resuming ", config.output, " at step ", step, " of ", length.last_step);
    }
    std::error_code error;
    fs::create_directories(output, error);
    if (error) throw DataError(cat(config.output, ": cannot be made (", error.message(), "); choose another --output"));
    write_file_atomically((output / "config.yaml").string(), config.yaml());
    if (config.data.share < 1) write_file_atomically((output / "videos.txt").string(), video_list(dataset));
  }

  if (world.size > 1) {
    std::error_code error;  // a journal that cannot be written says so
    if (setup.write) fs::create_directories(output, error);
    step = take_from_first(step, world);
    newest = take_from_first(newest, world);
    threads = set_compute_threads(take_from_first(threads, world));
    start_as_first(objective, optimizer, world);
  }

  const EpochOrder order = training_order(config.data, dataset, static_cast<uint64_t>(config.seed), config.train.batch);
  const fs::path journal = setup.write ? journal_of(output, world.rank) : fs::path();
  std::vector<std::string> journals_of_others;
  for (const fs::path& other : setup.write ? journals(output) : std::vector<fs::path>()) {
    if (other != journal) journals_of_others.push_back(other.string());
  }
  BadVideos bad(journal.string(), videos, config.data.on_bad_video == "error" ? 0 : config.data.max_bad,
                journals_of_others);
  meet(world);  // nobody adds to a journal before all have read it
  OverlapHistogram histogram;
  ClipLoader::Setup loading = training_samples(config, dataset, objective, order, bad, world);
  loading.first = step * batch_of_rank;
  loading.last = std::max(loading.first, length.last_step * batch_of_rank);
  ViewStream stream(loading, {.device = device,
                              .size = config.clip.size,
                              .input = config.input,
                              .channels_last = config.train.channels_last,
                              .cuda_renders = cuda_renders(config.loader.render, device),
                              .bf16 = bf16});

  const bool writes = setup.write && world.is_first();
  Metrics metrics(writes ? (output / "metrics.jsonl").string() : "", step, length.last_step, world);
  HealthWindow window(world);
  CollapseGuard guard(config.train.collapse_std, config.train.collapse_rank,
                      objective.can_collapse() ? config.train.collapse_reports : 0,
                      config.train.collapse_reports * config.train.log_every);
  std::optional<OnlineKnn> knn;
  if (config.train.knn_every > 0) knn.emplace(config, dataset, device, world);
  TrainResult result;
  const auto epoch_at = [&](int64_t s) { return static_cast<double>(s) / static_cast<double>(length.steps_per_epoch); };
  const auto save = [&](bool last) {
    metrics.require_finite(step, newest);
    const Health health = window.measure();
    const bool low = guard.low(health, step);
    if (low && world.is_first()) {
      log::warning("step ", step, ": the embeddings are nearly all alike (", health.line(), ")",
                   last ? "" : "; no checkpoint is written until they are not");
    }
    if (low && !last) return;  // if this is a collapse, the newest checkpoint is one from before it
    if (writes) {
      newest = save_checkpoint(config.output, {step, config.yaml(), threads, data_hash, world.size}, objective,
                               optimizer, low ? 0 : config.train.keep);
    }
    newest = take_from_first(newest, world);
  };
  int64_t clips = 0;
  const int64_t first_step = step;
  objective.set_train_mode();

  std::vector<at::Tensor> parameters;
  for (const auto& [name, parameter] : objective.trainable()) parameters.push_back(parameter);
  GradientSync gradients(parameters, world);
  AgreedFlag stop(world);
  StageClock clock(stream);
  StageTimes reported;
  const std::string eager = why_eager({.wanted = config.train.cuda_graph,
                                       .on_gpu = device.is_cuda(),
                                       .ranks = world.size,
                                       .capturable = objective.capturable(),
                                       .objective = find_objective(config.objective).name});
  std::optional<GraphedStep> graph;
  if (eager.empty()) graph.emplace(device, config.train.cuda_graph == "on");
  if (device.is_cuda() && world.is_first()) {
    log::info(graph ? "the step is recorded as a CUDA graph"
                    : cat("the step is not recorded as a CUDA graph: ", eager));
  }
  FixedBatch fixed;
  LossTerms terms;
  at::Tensor norm;
  const auto compute = [&](const ViewBatch& batch) {
    clock.enter(&StageTimes::forward);
    optimizer.zero_grad();
    with_precision(bf16, device, [&] { terms = objective.loss(batch); });
    clock.enter(&StageTimes::backward);
    gradients.expect_backward();
    terms.total.backward();
    clock.enter(&StageTimes::update);
    norm = optimizer.update();
    objective.after_step();
  };
  bool stopping = false;  // read once a step: a signal must not fall between the save and the loop's end
  while (step < length.last_step && !stopping) {
    clock.enter(&StageTimes::gather);
    const ViewBatch batch = stream.next();
    clock.enter(&StageTimes::forward);
    if (world.size > 1) seed_step(config.seed, step, world.rank);
    const double lr = learning_rate(config.schedule, epoch_at(step), config.train.epochs);
    optimizer.begin_step(lr);
    if (graph) {
      const ViewBatch& same = fixed.take(batch, objective.plan_labels(batch));
      graph->run([&] { compute(same); });
    } else {
      compute(batch);
    }
    clock.enter(&StageTimes::rest);
    metrics.add(terms, norm, batch.views.size(0));
    // A replay writes over what the one before it wrote; the window keeps its steps.
    window.add(graph ? terms.embeddings.clone() : terms.embeddings, batch.videos());
    clips += batch.views.size(0) * world.size;
    for (const SamplePlan& plan : batch.plans) {
      if (plan.overlap) histogram.add(*plan.overlap);
    }
    ++step;
    stopping = stop.ask(stop_requested.load());
    const bool end = step == length.last_step || stopping;
    if (step % config.train.log_every == 0 || end) {
      const StageTimes times = clock.now();
      const Health health = window.measure();
      if (world.size > 1) bad.learn(join_texts(bad.newly_bad(), world));
      std::string extra =
          cat(health.json(), ",\"stages\":", times.since(reported).json(), ",\"bad_videos\":", bad.count());
      if (device.is_cuda()) extra += cat(",", gpu_memory(device).json());
      reported = times;
      std::string note = health.line();
      if (knn && !stopping && knn_is_due(config.train, step, length.last_step)) {
        metrics.require_finite(step, newest);
        const auto begin = Clock::now();
        const OnlineKnn::Score score = knn->score(objective);
        metrics.leave_out(Clock::now() - begin);
        extra += cat(",", score.json());
        note += cat("  ", score.line());
      }
      const Metrics::Report report = metrics.report(step, epoch_at(step), lr, extra, note, newest);
      result.loss = report.loss;
      if (!log::has_terminal()) log::info(setup.name, "  ", report.line);
      guard.observe(health, step, newest);
    }
    if (log::has_terminal() && world.is_first())
      draw_bar(setup.name, step, first_step, length.last_step, clips, start, result.loss);
    if (setup.write && (step % config.train.checkpoint_every == 0 || end)) save(end);
  }
  log::status_line("");
  if (world.size > 1) bad.learn(join_texts(bad.newly_bad(), world));
  result.stopped = stopping && step < length.last_step;
  if (histogram.spatial.total() > 0)
    log::info(world.size > 1 ? "labels drawn by rank 0: " : "labels drawn: ", histogram.text());
  if (world.is_first()) {
    for (const std::string& line : objective.annotated_labels()) log::info("labels measured: ", line);
  }
  if (bad.count() > 0 && world.is_first())
    log::warning("bad videos: ", bad.count(), " of ", count_text(videos), ", each replaced");
  if (step > first_step) {
    const StageTimes times = clock.now();
    log::info(stage_text(times), "; ", stage_advice(times, cores_of_rank(world)));
  }
  result.steps = step;
  result.epochs = epoch_at(step);
  result.seconds = std::chrono::duration<double>(Clock::now() - start).count();
  result.clips_per_second = static_cast<double>(clips) / std::max(result.seconds, 1e-9);
  result.checkpoint = newest;
  result.bad_videos = bad.count();
  if (step == first_step) log::info("nothing left to do: ", config.output, " already stands at step ", step);
  return result;
}

}  // namespace cstp
