#include "device_views.h"

#include <c10/core/DeviceGuard.h>
#include <c10/core/impl/DeviceGuardImplInterface.h>
#include <torch/types.h>

#include "cstp/core/error.h"
#include "cstp/core/log.h"
#include "cstp/core/text.h"
#include "view_table.h"
#ifdef CSTP_CUDA
#include "render_cuda.h"
#endif

namespace cstp {
namespace {

at::Tensor pinned_bytes(size_t bytes) {
  return torch::empty({static_cast<int64_t>(bytes)}, torch::TensorOptions().dtype(torch::kUInt8).pinned_memory(true));
}

class PinnedViews final : public PackedViews {
 public:
  uint8_t* allocate(size_t wanted) override {
    memory_ = pinned_bytes(wanted);
    return memory_.data_ptr<uint8_t>();
  }
  const at::Tensor& memory() const { return memory_; }

 private:
  at::Tensor memory_;
};

/// What keeps the kernels from running on the current GPU; "" if nothing does.
std::string obstacle() {
#ifdef CSTP_CUDA
  const char* error = render_cuda_obstacle();
  return error == nullptr ? "" : cat("this GPU does not run the kernels of this build (", error, ")");
#else
  return "this build has no CUDA kernels, as no CUDA compiler was found (scripts/install_dependencies.sh brings one)";
#endif
}

}  // namespace

bool cuda_renders(const std::string& wanted, c10::Device device) {
  if (wanted == "cpu" || (wanted == "auto" && !device.is_cuda())) return false;
  check(wanted == "auto" || wanted == "cuda", "unknown renderer");
  const std::string found =
      device.is_cuda() ? obstacle() : std::string("the network computes on the CPU (train.device)");
  if (found.empty()) return true;
  if (wanted == "auto") return false;
  throw DeviceError(cat("loader.render: cuda was asked for, but ", found, "; take auto or cpu"));
}

GpuDecoding gpu_decoding(const LoaderOptions& options, const ViewOutput& output, bool reads_pixels, void* used_on) {
  if (options.decode == "cpu") return {};
  const bool must = options.decode == "cuda";
  std::string why;
  if (!output.cuda_renders) {
    why = "the CPU renders (loader.render, train.device)";
  } else if (reads_pixels) {
    why = "the objective measures its labels from the pixels, on the CPU";
  } else if (options.cache_mb > 0) {
    why = "decoded videos are kept in the CPU's memory (loader.cache_mb)";
  } else {
    constexpr int64_t kLines = 720;  // not measured here: others found the CPU ahead on small, prepared videos
    const int number = output.device.has_index() ? output.device.index() : 0;
    try {
      return {
          .decoders = std::make_shared<GpuDecoders>(number, used_on), .short_side = must ? 0 : kLines, .wait = must};
    } catch (const DeviceError& error) {
      if (must) throw;
      why = error.what();
    }
  }
  if (must) throw DeviceError(cat("loader.decode: cuda was asked for, but ", why, "; take auto or cpu"));
  if (output.cuda_renders) log::info("the CPU decodes: ", why);
  return {};
}

void pack_for_device(Sample& sample, int64_t size, const InputOptions& input) {
  if (!sample.error.empty()) return;
  const auto packed = std::make_shared<PinnedViews>();
  pack_views(sample, size, input, *packed);
  sample.packed = packed;
  if (sample.on_gpu) return;  // they are read where they lie
  sample.frames.clear();
  sample.memory.clear();
}

at::Tensor render_on_device(const std::vector<const Sample*>& samples, const ViewOutput& output) {
#ifdef CSTP_CUDA
  const c10::DeviceGuard guard(output.device);
  const auto bytes_there = [&output](size_t bytes) {
    return torch::empty({static_cast<int64_t>(bytes)},
                        torch::TensorOptions().dtype(torch::kUInt8).device(output.device));
  };
  const auto address = [](const at::Tensor& tensor) { return reinterpret_cast<Address>(tensor.const_data_ptr()); };
  constexpr size_t kApart = 256;  // pieces begin where whole lines of memory do
  std::vector<const PinnedViews*> packed;
  std::vector<size_t> places;
  size_t total = 0;
  for (const Sample* sample : samples) {
    packed.push_back(static_cast<const PinnedViews*>(sample->packed.get()));
    check(packed.back() != nullptr, "render_on_device: the sample was not packed");
    places.push_back(total);
    total += (packed.back()->bytes + kApart - 1) / kApart * kApart;
  }
  const at::Tensor pieces = bytes_there(total);
  std::vector<ViewTable::Part> parts;
  for (size_t b = 0; b < packed.size(); ++b) {
    const auto bytes = static_cast<int64_t>(packed[b]->bytes);
    pieces.narrow(0, static_cast<int64_t>(places[b]), bytes).copy_(packed[b]->memory(), /*non_blocking=*/true);
    parts.push_back({packed[b], address(pieces) + places[b]});
  }
  const ViewTable table(parts);
  const at::Tensor records = pinned_bytes(table.bytes());
  const at::Tensor records_there = bytes_there(table.bytes());
  RenderLaunch launch = table.write(records.data_ptr<uint8_t>(), address(records_there));
  records_there.copy_(records, /*non_blocking=*/true);
  const at::Tensor space = bytes_there(work_space(launch));
  set_work_space(launch, static_cast<uint8_t*>(space.data_ptr()));
  const int64_t side = output.size;
  at::Tensor views = torch::empty(
      {launch.view_count, launch.clip_frames, side, side, 3},
      torch::TensorOptions().dtype(output.bf16 ? torch::kBFloat16 : torch::kFloat32).device(output.device));
  const c10::Stream stream = c10::impl::getDeviceGuardImpl(c10::kCUDA)->getStream(output.device);
  const char* error =
      render_cuda(launch, output.bf16 ? ViewType::bf16 : ViewType::f32, views.data_ptr(), stream.native_handle());
  if (error != nullptr) {
    throw DeviceError(cat("rendering ", launch.view_count, " views on ", output.device.str(), " failed (", error,
                          "); a smaller train.batch needs less memory, and loader.render=cpu does without"));
  }
  return views;
#else
  throw DeviceError(cat("rendering ", samples.size(), " samples on ", output.device.str(), ": ", obstacle()));
#endif
}

}  // namespace cstp
