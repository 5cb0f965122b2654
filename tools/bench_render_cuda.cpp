// bench_render_cuda [--videos N] [--rounds N] [--case TEXT] [--plans FILE]: the renderer's CUDA body on a GPU, beside a
// copy of memory within the device that is timed in the same run, in turn.
//
// A case is a batch of videos of made frames, two views of 16 frames each, drawn by a method's own law. Planes and
// tables lie on the device before the clock runs; the clock is the device's own (events around all passes of a batch).
// Bytes are the fewest that a view must move: what it reads of its frames' planes, once, and its pixels, once. The
// pixels of a video are compared with the CPU body's. Prints a JSON document a line: one a case and type. --plans
// writes the plans that CVRL's case drew for tools/peers/render_cuda.py.
//
// Needs no files, no FFmpeg and no OpenCV.
#include <cuda_runtime_api.h>

#include <CLI/CLI.hpp>
#include <algorithm>
#include <cmath>
#include <functional>
#include <iostream>
#include <memory>
#include <nlohmann/json.hpp>
#include <string>
#include <vector>

#include "cstp/augment/render.h"
#include "cstp/core/error.h"
#include "cstp/core/text.h"
#include "render_cuda.h"
#include "render_cuda_cases.h"
#include "run_tool.h"
#include "timing.h"
#include "view_table.h"

namespace {

using namespace cstp;
using Json = nlohmann::json;

void must(cudaError_t error, const char* what) {
  if (error != cudaSuccess) throw DeviceError(cat(what, ": ", cudaGetErrorString(error)));
}

/// Memory on the device.
class DeviceBytes {
 public:
  explicit DeviceBytes(size_t bytes) { must(cudaMalloc(&data_, std::max<size_t>(bytes, 1)), "taking device memory"); }
  ~DeviceBytes() { cudaFree(data_); }
  DeviceBytes(const DeviceBytes&) = delete;
  DeviceBytes& operator=(const DeviceBytes&) = delete;
  uint8_t* data() const { return static_cast<uint8_t*>(data_); }
  Address at() const { return reinterpret_cast<Address>(data_); }

 private:
  void* data_ = nullptr;
};

class HostViews final : public PackedViews {
 public:
  uint8_t* allocate(size_t wanted) override {
    memory_.resize(wanted + 16);
    return data();
  }
  uint8_t* data() {
    const auto past = reinterpret_cast<uintptr_t>(memory_.data()) % 16;
    return memory_.data() + (past == 0 ? 0 : 16 - past);
  }

 private:
  std::vector<uint8_t> memory_;
};

/// Bytes of planes that a view reads.
double bytes_read(const Sample& sample, const ViewPlan& view, int64_t size) {
  const ViewGeometry g = make_geometry(sample.frames.front(), view, size);
  const auto part = [](const Taps& across, const Taps& down) {
    return static_cast<double>((across.end - across.begin) * (down.end - down.begin));
  };
  return static_cast<double>(kRenderFrames) *
         (part(g.luma_across, g.luma_down) + 2 * part(g.chroma_across, g.chroma_down));
}

/// A batch on the device, and its launch.
class DeviceBatch {
 public:
  DeviceBatch(const std::vector<Sample>& batch, int64_t size) : size_(size) {
    std::vector<HostViews> packed(batch.size());
    std::vector<ViewTable::Part> parts;
    for (size_t b = 0; b < batch.size(); ++b) {
      pack_views(batch[b], size, {}, packed[b]);
      pieces_.push_back(std::make_unique<DeviceBytes>(packed[b].bytes));
      must(cudaMemcpy(pieces_.back()->data(), packed[b].data(), packed[b].bytes, cudaMemcpyHostToDevice), "copying");
      parts.push_back({&packed[b], pieces_.back()->at()});
      for (const ViewPlan& view : batch[b].plan.views) read_ += bytes_read(batch[b], view, size);
    }
    const ViewTable table(parts);
    std::vector<uint64_t> records(table.bytes() / 8 + 1);
    table_ = std::make_unique<DeviceBytes>(table.bytes());
    launch_ = table.write(reinterpret_cast<uint8_t*>(records.data()), table_->at());
    must(cudaMemcpy(table_->data(), records.data(), table.bytes(), cudaMemcpyHostToDevice), "copying");
    space_ = std::make_unique<DeviceBytes>(work_space(launch_));
    set_work_space(launch_, space_->data());
    out_ = std::make_unique<DeviceBytes>(elements() * sizeof(float));
  }
  void render(ViewType type, cudaStream_t stream) const {
    const char* error = render_cuda(launch_, type, out_->data(), stream);
    if (error != nullptr) throw DeviceError(cat("rendering: ", error));
  }
  size_t elements() const {
    return static_cast<size_t>(launch_.view_count) * static_cast<size_t>(kRenderFrames * size_ * size_ * 3);
  }
  double bytes(ViewType type) const {
    return read_ + static_cast<double>(elements()) * (type == ViewType::bf16 ? 2 : 4);
  }
  const RenderLaunch& launch() const { return launch_; }
  const DeviceBytes& out() const { return *out_; }

 private:
  int64_t size_;
  double read_ = 0;
  std::vector<std::unique_ptr<DeviceBytes>> pieces_;
  std::unique_ptr<DeviceBytes> table_, space_, out_;
  RenderLaunch launch_{};
};

/// Seconds of device time of some work.
class DeviceClock {
 public:
  DeviceClock() {
    must(cudaEventCreate(&begin_), "an event");
    must(cudaEventCreate(&end_), "an event");
  }
  ~DeviceClock() {
    cudaEventDestroy(begin_);
    cudaEventDestroy(end_);
  }
  DeviceClock(const DeviceClock&) = delete;
  DeviceClock& operator=(const DeviceClock&) = delete;

  double time(cudaStream_t stream, const std::function<void()>& work) const {
    must(cudaEventRecord(begin_, stream), "an event");
    work();
    must(cudaEventRecord(end_, stream), "an event");
    must(cudaEventSynchronize(end_), "waiting for the device");
    float milliseconds = 0;
    must(cudaEventElapsedTime(&milliseconds, begin_, end_), "reading an event");
    return 1e-3 * static_cast<double>(milliseconds);
  }

 private:
  cudaEvent_t begin_ = nullptr, end_ = nullptr;
};

/// Largest difference to the CPU body over the views of the first video, as a share of the range [-1,1].
double difference(const std::vector<Sample>& batch, const DeviceBatch& device, int64_t size) {
  const auto view_values = static_cast<size_t>(kRenderFrames * size * size * 3);
  std::vector<float> expected(view_values), found(view_values);
  double largest = 0;
  for (size_t v = 0; v < 2; ++v) {
    render_cpu(batch.front(), batch.front().plan.views[v], size, {}, expected);
    const uint8_t* from = device.out().data() + v * batch.size() * view_values * sizeof(float);
    must(cudaMemcpy(found.data(), from, view_values * sizeof(float), cudaMemcpyDeviceToHost), "copying");
    for (size_t i = 0; i < view_values; ++i)
      largest = std::max(largest, std::abs(static_cast<double>(expected[i] - found[i])) / 2);
  }
  return largest;
}

struct Options {
  int64_t videos = 0;  ///< of a batch; 0: 64 at 112 pixels, 32 at 224
  int rounds = 21;
  std::string only, plans;
};

void run(const Options& options) {
  if (!options.plans.empty()) write_plans(options.plans, options.videos);
  int devices = 0;
  if (const cudaError_t error = cudaGetDeviceCount(&devices); error != cudaSuccess || devices == 0) {
    throw DeviceError(cat("no GPU is usable here (", cudaGetErrorString(error), "): nothing was measured"));
  }
  cudaDeviceProp properties{};
  must(cudaGetDeviceProperties(&properties, 0), "asking for the GPU's name");
  cudaStream_t stream = nullptr;
  must(cudaStreamCreate(&stream), "a stream");
  const DeviceClock clock;
  constexpr size_t kCopied = size_t{1} << 30;
  const DeviceBytes from(kCopied), to(kCopied);
  must(cudaMemset(from.data(), 90, kCopied), "filling memory");
  const auto copy = [&] {
    must(cudaMemcpyAsync(to.data(), from.data(), kCopied, cudaMemcpyDeviceToDevice, stream), "copying");
  };
  for (const RenderCase& one : render_cases()) {
    const std::string name = one.title();
    if (name.find(options.only) == std::string::npos) continue;
    const std::vector<Sample> batch = drawn_batch(one, options.videos);
    const DeviceBatch device(batch, one.size);
    for (const ViewType type : {ViewType::f32, ViewType::bf16}) {
      const auto render = [&] { device.render(type, stream); };
      for (int warm = 0; warm < 3; ++warm) {
        clock.time(stream, render);
        clock.time(stream, copy);
      }
      std::vector<double> copies, renders;
      for (int round = 0; round < options.rounds; ++round) {  // in turn; the copy also empties the caches
        copies.push_back(clock.time(stream, copy));
        renders.push_back(clock.time(stream, render));
      }
      const double copy_rate = 2.0 * static_cast<double>(kCopied) / median(copies);
      const double seconds = median(renders);
      const double rate = device.bytes(type) / seconds;
      Json row = {{"bench", "render_cuda"},
                  {"gpu", properties.name},
                  {"case", name},
                  {"type", type == ViewType::bf16 ? "bf16" : "f32"},
                  {"views", device.launch().view_count},
                  {"frames", kRenderFrames},
                  {"with_contrast", device.launch().contrast_count},
                  {"blurred", device.launch().blurred_count},
                  {"seconds", seconds},
                  {"best_seconds", *std::ranges::min_element(renders)},
                  {"views_per_second", device.launch().view_count / seconds},
                  {"bytes", device.bytes(type)},
                  {"bytes_per_second", rate},
                  {"copy_bytes_per_second", copy_rate},
                  {"share_of_copy", rate / copy_rate}};
      if (type == ViewType::f32) row["largest_difference"] = difference(batch, device, one.size);
      std::cout << row.dump() << std::endl;
    }
  }
  cudaStreamDestroy(stream);
}

}  // namespace

int main(int argc, char** argv) {
  CLI::App app("bench_render_cuda: the renderer on a GPU beside a copy within its memory");
  Options options;
  app.add_option("--videos", options.videos, "of a batch; 0: 64 at 112 pixels, 32 at 224")
      ->check(CLI::NonNegativeNumber);
  app.add_option("--rounds", options.rounds)->check(CLI::PositiveNumber);
  app.add_option("--case", options.only, "cases whose name holds this");
  app.add_option("--plans", options.plans, "write the plans that CVRL's case drew here");
  CLI11_PARSE(app, argc, argv);
  return run_tool("bench_render_cuda", [&] { run(options); });
}
