#include "cstp/engine/graphed_step.h"

#include "cstp/core/error.h"
#include "cstp/core/log.h"
#include "cstp/core/text.h"

#ifdef CSTP_CUDA
#include <ATen/DeviceAccelerator.h>
#include <ATen/cuda/CUDAEvent.h>
#include <ATen/cuda/CUDAGeneratorImpl.h>
#include <ATen/cuda/CUDAGraph.h>
#include <c10/cuda/CUDAGuard.h>
#include <torch/cuda.h>

#include <optional>
#endif

namespace cstp {

std::string why_eager(const GraphCase& run) {
  std::string why;
  if (run.wanted == "off") {
    why = "train.cuda_graph is off";
  } else if (!run.on_gpu) {
    why = "there is no GPU";
  } else if (run.ranks > 1) {
    why = cat(run.ranks, " ranks exchange gradients");
  } else if (!run.capturable) {
    why = cat("objective ", run.objective, " works on the host within a step");
  } else {
#ifndef CSTP_CUDA
    why = "this build has no CUDA compiler's headers";
#endif
  }
  if (run.wanted == "on" && !why.empty()) {
    throw ConfigError(
        cat("train.cuda_graph: on, but ", why, "; give auto, which records a step where that can be done"));
  }
  return why;
}

#ifdef CSTP_CUDA

struct GraphedStep::Impl {
  Impl(c10::Device d, bool m) : device(d), must(m), stream(c10::cuda::getStreamFromPool(false, d.index())) {}

  c10::Device device;
  bool must;
  c10::cuda::CUDAStream stream;
  at::cuda::CUDAGraph graph;
  int64_t runs = 0;
  bool recorded = false, failed = false;

  /// Of other threads (the loader's, the next batch's) the recording is none of its business: thread-local.
  void record(const std::function<void()>& body) {
    torch::cuda::synchronize(device.index());
    at::accelerator::emptyCache();  // the graph takes memory of its own, as much as the steps before it
    graph.capture_begin({0, 0}, cudaStreamCaptureModeThreadLocal);
    try {
      body();
      graph.capture_end();
      recorded = true;
    } catch (const std::exception& error) {
      try {
        if (!recorded) graph.capture_end();
      } catch (const std::exception&) {  // it is broken off, as it should be
      }
      std::string what = error.what();
      what = what.substr(0, what.find('\n'));
      if (must) {
        throw DeviceError(cat("train.cuda_graph: a step could not be recorded (", what, "); set train.cuda_graph=off"));
      }
      log::warning("the step could not be recorded as a CUDA graph (", what, "); its kernels are launched one by one");
      failed = true;
    }
  }
};

GraphedStep::GraphedStep(c10::Device device, bool must) : impl_(std::make_unique<Impl>(device, must)) {}

void GraphedStep::run(const std::function<void()>& body) {
  Impl& own = *impl_;
  const c10::cuda::CUDAStream outer = c10::cuda::getCurrentCUDAStream(own.device.index());
  at::cuda::CUDAEvent before, after;
  before.record(outer);
  before.block(own.stream);
  {
    const c10::cuda::CUDAStreamGuard guard(own.stream);
    if (own.runs++ == kEager) own.record(body);
    if (own.recorded) {
      own.graph.replay();
    } else {
      body();
    }
  }
  after.record(own.stream);
  after.block(outer);
}

bool GraphedStep::recorded() const { return impl_->recorded; }

#else

struct GraphedStep::Impl {};
GraphedStep::GraphedStep(c10::Device, bool) {}
void GraphedStep::run(const std::function<void()>& body) { body(); }
bool GraphedStep::recorded() const { return false; }

#endif

GraphedStep::~GraphedStep() = default;

}  // namespace cstp
