/// Samples on their way to a GPU that renders: packed into pinned memory by the loader's threads, copied and rendered
/// by the thread that trains. The pinned memory is LibTorch's, which gives a piece again when the copy out of it is
/// done: after a few batches the same pieces go round.
#pragma once
#include <ATen/core/Tensor.h>

#include <cstdint>
#include <vector>

#include "cstp/augment/view_stream.h"
#include "cstp/data/sample.h"

namespace cstp {

/// What the GPU decodes of samples that it renders.
/// @param reads_pixels the CPU reads the frames too
/// @param used_on the stream (cudaStream_t) that renders
/// @throws DeviceError if loader.decode is cuda, and it cannot
GpuDecoding gpu_decoding(const LoaderOptions& options, const ViewOutput& output, bool reads_pixels, void* used_on);

/// Fills sample.packed and releases the decoded frames. A sample with an error stays as it is.
void pack_for_device(Sample& sample, int64_t size, const InputOptions& input);

/// Enqueues copies and kernels on the device's current stream.
/// @param samples B packed ones @return [V*B,T,S,S,3] on the device
/// @throws DeviceError if a launch is refused
at::Tensor render_on_device(const std::vector<const Sample*>& samples, const ViewOutput& output);

}  // namespace cstp
