/// Where the time of a training run goes, stage by stage, and what to do where it goes to waste.
#pragma once
#include <chrono>
#include <cstdint>
#include <string>

#include "cstp/augment/view_stream.h"

namespace cstp {

/// Seconds. On a GPU, which works behind the training thread's back, the step's stages are what it takes to ask for
/// them; `wait` tells all the same whether data comes in time.
struct StageTimes {
  // of the training thread, one after the other
  double wait = 0;    ///< for the loader
  double gather = 0;  ///< samples into one batch, and on to the device
  double forward = 0, backward = 0;
  double update = 0;  ///< optimizer and momentum twins
  double rest = 0;    ///< reports, checkpoints, online k-NN
  // of the loader's threads, side by side
  double open = 0, plan = 0, decode = 0;
  double render = 0;    ///< and the measuring of labels from pixels and flow
  int64_t threads = 0;  ///< of the loader

  double wall() const { return wait + gather + forward + backward + update + rest; }
  double loading() const { return open + plan + decode + render; }
  /// What came after `earlier`.
  StageTimes since(const StageTimes& earlier) const;
  /// {"wait":0.1,...,"threads":2}
  std::string json() const;
};

/// "step: forward 38 %, backward 52 %, ..., waiting for data 1 %; 2 loader threads busy 44 %: open 1 %, decode 80 %,
/// render 19 %"
std::string stage_text(const StageTimes& times);

/// What holds the run up and what can be tried, in words. @param cores of the machine that this process may use
std::string stage_advice(const StageTimes& times, int64_t cores);

/// Counts the training thread's time to the stage entered last.
class StageClock {
 public:
  explicit StageClock(const ViewStream& stream) : stream_(stream), waited_before_(stream.wait_seconds()) {}
  void enter(double StageTimes::*stage);
  /// Times so far.
  StageTimes now();

 private:
  using Clock = std::chrono::steady_clock;
  const ViewStream& stream_;
  double waited_before_;
  StageTimes times_;  ///< `gather` includes the wait
  double StageTimes::*stage_ = &StageTimes::rest;
  Clock::time_point since_ = Clock::now();
};

}  // namespace cstp
