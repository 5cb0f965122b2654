/// A training step recorded once as a CUDA graph and replayed: hundreds of kernel launches become one.
///
/// What is recorded is the work on the device alone. So a step may be recorded only if nothing in it depends on values
/// that the host reads or that change from step to step on the host: inputs stand at fixed addresses, the learning rate
/// and the number of the step are read from device memory (Optimizer::begin_step), autocast's copies of weights live
/// within the pass (with_precision), shapes never change.
#pragma once
#include <c10/core/Device.h>

#include <cstdint>
#include <functional>
#include <memory>
#include <string>

namespace cstp {

/// What decides whether a run's steps are recorded.
struct GraphCase {
  std::string wanted = "auto";  ///< auto | on | off
  bool on_gpu = false;
  int64_t ranks = 1;
  bool capturable = false;  ///< the objective says so
  std::string objective;    ///< its name, for messages
};
/// "" if steps are to be recorded, else why they are not, in a few words.
/// @throws ConfigError if train.cuda_graph is on and they cannot be
std::string why_eager(const GraphCase& run);

class GraphedStep {
 public:
  /// @param must an error is thrown where recording fails; else it is said once, and steps go on one launch at a time
  GraphedStep(c10::Device device, bool must);
  ~GraphedStep();

  static constexpr int64_t kEager = 3;  ///< steps before the recording: libraries choose algorithms and take memory

  /// Runs `body` for the first steps; then records it, and from then on replays it instead of calling it. What it
  /// wrote into tensors that it made stays there until the next run. On a stream of its own, ordered with the current
  /// one before and after.
  /// @throws DeviceError if the body cannot be recorded and `must`
  void run(const std::function<void()>& body);
  bool recorded() const;

 private:
  struct Impl;
  std::unique_ptr<Impl> impl_;
};

}  // namespace cstp
