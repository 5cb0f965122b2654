#include "cstp/engine/bench.h"

#include <torch/torch.h>

#include <algorithm>
#include <cmath>

#include "cstp/core/text.h"
#include "cstp/engine/device.h"
#include "cstp/engine/features.h"
#include "cstp/engine/optimizer.h"
#include "training_samples.h"
#include "training_step.h"

namespace cstp {
namespace {

constexpr int64_t kWarmUp = 4;  // steps: first use of kernels and memory, first videos, the recording of a CUDA graph

/// A training run without an end, which nobody keeps.
class Bench {
 public:
  Bench(const RunConfig& config, const Dataset& dataset, Objective& objective)
      : config_(config),
        objective_(objective),
        device_(select_device(config.train.device)),
        optimizer_(prepared(objective, device_, config, {}), config.optimizer),
        order_(training_order(config.data, dataset, static_cast<uint64_t>(config.seed), config.train.batch)),
        bad_("", std::ssize(dataset.videos), config.data.max_bad),
        stream_(loading(dataset), view_output(config, device_)),
        step_(config, device_, {}, objective, optimizer_) {
    set_compute_threads(config.train.threads);
    objective.set_train_mode();
  }

  struct Measured {
    double clips_per_second = 0;
    StageTimes times;
  };

  Measured load(double seconds) {
    return measure(seconds, [this](StageClock& clock) {
      clock.enter(&StageTimes::gather);
      batch_ = stream_.next();
      clock.enter(&StageTimes::rest);
    });
  }
  Measured step(double seconds) {
    return measure(seconds, [this](StageClock& clock) { take_step(clock); });
  }
  Measured both(double seconds) {
    return measure(seconds, [this](StageClock& clock) {
      clock.enter(&StageTimes::gather);
      batch_ = stream_.next();
      take_step(clock);
    });
  }
  int64_t views() const { return batch_.views.size(0) / batch_.videos(); }

 private:
  ClipLoader::Setup loading(const Dataset& dataset) {
    ClipLoader::Setup loading = training_samples(config_, dataset, objective_, order_, bad_, {});
    constexpr int64_t kEndless = int64_t{1} << 40;
    loading.last = kEndless;
    return loading;
  }
  void take_step(StageClock& clock) {
    step_.run(batch_, learning_rate(config_.schedule, 0, config_.train.epochs), clock);
  }

  template <class Do>
  Measured measure(double seconds, const Do& do_once) {
    StageClock clock(stream_);
    StageTimes start;
    int64_t clips = 0;
    for (int64_t n = 0;; ++n) {
      do_once(clock);
      const StageTimes now = clock.now();
      if (n < kWarmUp) {
        start = now;
        continue;
      }
      clips += batch_.views.size(0);
      const double spent = now.since(start).wall();
      if (spent >= seconds) {
        if (device_.is_cuda()) torch::cuda::synchronize();
        const StageTimes times = clock.now().since(start);
        return {static_cast<double>(clips) / times.wall(), times};
      }
    }
  }

  const RunConfig& config_;
  Objective& objective_;
  c10::Device device_;
  Optimizer optimizer_;
  EpochOrder order_;
  BadVideos bad_;
  ViewStream stream_;
  TrainingStep step_;
  ViewBatch batch_;
};

}  // namespace

BenchResult bench(const RunConfig& config, const Dataset& dataset, Objective& objective, double seconds) {
  Bench run(config, dataset, objective);
  BenchResult result;
  const Bench::Measured loading = run.load(seconds), step = run.step(seconds), both = run.both(seconds);
  result.loading = loading.clips_per_second;
  result.step = step.clips_per_second;
  result.together = both.clips_per_second;
  result.loader_alone = loading.times;
  result.step_alone = step.times;
  result.both = both.times;
  result.views = run.views();
  result.advice = stage_advice(both.times, cores_of_rank({}));
  return result;
}

std::string bench_text(const BenchResult& result) {
  const auto share = [](double part, double whole) {
    return cat(std::llround(100 * part / std::max(whole, 1e-9)), " %");
  };
  const StageTimes& loader = result.loader_alone;
  const StageTimes& step = result.step_alone;
  const double work = step.forward + step.backward + step.update;
  return cat("clips/s     loading alone ", std::llround(result.loading), ", step alone ", std::llround(result.step),
             ", together ", std::llround(result.together), " (", result.views, " clips a video)\nloading     ",
             loader.threads, loader.threads == 1 ? " thread: open " : " threads: open ",
             share(loader.open, loader.loading()), ", plan ", share(loader.plan, loader.loading()), ", decode ",
             share(loader.decode, loader.loading()), ", render ", share(loader.render, loader.loading()),
             "\nstep        forward ", share(step.forward, work), ", backward ", share(step.backward, work),
             ", update ", share(step.update, work), "\ntogether    ", stage_text(result.both), "\nadvice      ",
             result.advice, '\n');
}

}  // namespace cstp
