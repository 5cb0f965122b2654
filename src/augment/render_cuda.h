/// The renderer's CUDA body: uint8 4:2:0 planes on the device -> views, in one pass; a short pass before it where a
/// contrast needs its clip's mean, and one after it for views that are blurred. C++17, as the .cu files are.
#pragma once
#include "view_records.h"

namespace cstp {

enum class ViewType { f32, bf16 };

/// nullptr if the current GPU runs these kernels, or what CUDA says.
const char* render_cuda_obstacle();

/// Enqueues the passes.
/// @param launch with its work space, all of it in the device's memory
/// @param out    [N,T,S,S,3] on the device, that is channels-last memory of [N,3,T,S,S]; begins at a multiple of 16
/// bytes
/// @param stream a cudaStream_t
/// @return nullptr, or what CUDA says went wrong
const char* render_cuda(const RenderLaunch& launch, ViewType type, void* out, void* stream);

}  // namespace cstp
