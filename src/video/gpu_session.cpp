// Nothing here runs without a GPU. Decoding itself is VideoReader's, whichever side it is on.
#include "gpu_session.h"

#include <algorithm>
#include <type_traits>
#include <utility>

#include "cstp/core/error.h"
#include "cstp/core/text.h"
#include "plane_copy.h"

#ifdef CSTP_CUDA
#include <cuda_runtime_api.h>
#include <dlfcn.h>
extern "C" {
#include <libavutil/hwcontext.h>
#include <libavutil/hwcontext_cuda.h>
}
#endif

namespace cstp {

#ifdef CSTP_CUDA

namespace {

constexpr const char* kWayOut = "; loader.decode=cpu does without the GPU's decoder";

void must(cudaError_t code, const char* what) {
  if (code != cudaSuccess)
    throw DeviceError(cat("decoding on the GPU: ", what, ": ", cudaGetErrorString(code), kWayOut));
}

/// The context that CUDA's runtime, and so LibTorch, works in. libavcodec would find it "incompatible" if it looked for
/// it itself: it wants to be the first.
CUcontext runtime_context() {
  void* entry = nullptr;
  constexpr unsigned kVersion = 12000;
  must(cudaGetDriverEntryPointByVersion("cuCtxGetCurrent", &entry, kVersion, cudaEnableDefault, nullptr),
       "finding the driver");
  CUcontext context = nullptr;
  const auto get = reinterpret_cast<CUresult (*)(CUcontext*)>(entry);
  if (get == nullptr || get(&context) != CUDA_SUCCESS || context == nullptr) {
    throw DeviceError(cat("decoding on the GPU: the driver names no context", kWayOut));
  }
  return context;
}

constexpr int64_t kRowBytes = 16;  // rows begin where the renderer's words do

}  // namespace

GpuOutput gpu_output(int device, void* used_on) {
  must(cudaSetDevice(device), "choosing it");
  void* const library = ::dlopen("libnvcuvid.so.1", RTLD_LAZY);
  if (library == nullptr) {
    throw DeviceError(
        cat("decoding on the GPU: the driver's decoder libnvcuvid.so.1 is not here (a container wants the "
            "driver's capability 'video')",
            kWayOut));
  }
  ::dlclose(library);
  size_t free = 0, all = 0;
  must(cudaMemGetInfo(&free, &all), "asking for its memory");
  cudaMemPool_t pool = nullptr;
  must(cudaDeviceGetDefaultMemPool(&pool, device), "finding its memory");
  const size_t budget = std::min(free / 2, all / 4);
  uint64_t keep = budget;  // memory that was given back serves the next clips
  must(cudaMemPoolSetAttribute(pool, cudaMemPoolAttrReleaseThreshold, &keep), "keeping its memory");
  return {.device = device,
          .used_on = used_on,
          .budget = static_cast<int64_t>(budget),
          .taken = std::make_shared<std::atomic<int64_t>>(0)};
}

struct GpuSession::Gpu {
  struct Release {
    void operator()(cudaStream_t stream) const { cudaStreamDestroy(stream); }
    void operator()(AVBufferRef* reference) const { av_buffer_unref(&reference); }
  };
  GpuOutput output;
  std::unique_ptr<std::remove_pointer_t<cudaStream_t>, Release> own;
  std::unique_ptr<AVBufferRef, Release> context;  ///< libavcodec's idea of the GPU

  explicit Gpu(const GpuOutput& where) : output(where) {
    must(cudaSetDevice(output.device), "choosing it");
    cudaStream_t made = nullptr;
    must(cudaStreamCreateWithFlags(&made, cudaStreamNonBlocking), "making a stream");
    own.reset(made);
    context.reset(av_hwdevice_ctx_alloc(AV_HWDEVICE_TYPE_CUDA));
    int code = AVERROR(ENOSYS);
    if (context) {
      auto* const all = reinterpret_cast<AVHWDeviceContext*>(context->data);
      auto* const cuda = static_cast<AVCUDADeviceContext*>(all->hwctx);
      cuda->cuda_ctx = runtime_context();
      cuda->stream = stream();  // pictures are handed over in its order, in which they are also copied
      code = av_hwdevice_ctx_init(context.get());
    }
    if (code < 0) {
      throw DeviceError(cat("decoding on the GPU: this FFmpeg cannot use it (", ffmpeg_error(code), ")", kWayOut));
    }
  }
  cudaStream_t stream() const { return own.get(); }
};

GpuSession::GpuSession(const GpuOutput& output) : gpu_(std::make_unique<Gpu>(output)) {}
GpuSession::~GpuSession() = default;

StreamDecoder& GpuSession::decoder_for(const std::string& path, const std::shared_ptr<const StreamHeader>& header) {
  must(cudaSetDevice(gpu_->output.device), "choosing it");  // of this thread, which need not be that of the last read
  if (decoder_ && is_for(*header)) {
    decoder_->flush();
  } else {
    decoder_.reset();  // its memory first
    decoder_ = std::make_unique<StreamDecoder>(path, *header->parameters, 1, gpu_->context.get());
    header_ = header;
  }
  return *decoder_;
}

GpuSession::Copied GpuSession::copy(const AVFrame& picture, Frame& frame, std::shared_ptr<uint8_t[]>& memory) {
  if (picture.format != AV_PIX_FMT_CUDA || picture.hw_frames_ctx == nullptr) return Copied::not_taken;
  const auto format = reinterpret_cast<const AVHWFramesContext*>(picture.hw_frames_ctx->data)->sw_format;
  // libavcodec cuts nothing off the left and the top of such a picture.
  if (format != AV_PIX_FMT_NV12 || picture.crop_left != 0 || picture.crop_top != 0) return Copied::not_taken;
  frame.width = picture.width;
  frame.height = picture.height;
  set_color(picture, format, frame);
  const int64_t pitch = (2 * frame.chroma_width() + kRowBytes - 1) / kRowBytes * kRowBytes;
  const int64_t bytes = pitch * (frame.height + frame.chroma_height());
  const auto taken = gpu_->output.taken;
  void* place = nullptr;
  if ((*taken += bytes) > gpu_->output.budget ||
      cudaMallocAsync(&place, static_cast<size_t>(bytes), gpu_->stream()) != cudaSuccess) {
    *taken -= bytes;
    cudaGetLastError();  // it is dealt with
    return Copied::no_room;
  }
  memory = std::shared_ptr<uint8_t[]>(static_cast<uint8_t*>(place),
                                      [stream = gpu_->output.used_on, taken, bytes](uint8_t* p) {
                                        cudaFreeAsync(p, static_cast<cudaStream_t>(stream));
                                        *taken -= bytes;
                                      });
  uint8_t* const chroma = memory.get() + pitch * frame.height;
  const auto copy_plane = [&](uint8_t* to, int plane, int64_t width, int64_t rows) {
    must(cudaMemcpy2DAsync(to, static_cast<size_t>(pitch), picture.data[plane],
                           static_cast<size_t>(picture.linesize[plane]), static_cast<size_t>(width),
                           static_cast<size_t>(rows), cudaMemcpyDeviceToDevice, gpu_->stream()),
         "copying a frame");
  };
  copy_plane(memory.get(), 0, frame.width, frame.height);
  copy_plane(chroma, 1, 2 * frame.chroma_width(), frame.chroma_height());
  frame.y = memory.get();
  frame.u = chroma;
  frame.v = chroma + 1;
  frame.y_stride = frame.uv_stride = pitch;
  frame.uv_step = 2;
  return Copied::done;
}

void GpuSession::finish() { must(cudaStreamSynchronize(gpu_->stream()), "waiting for it"); }

#else

GpuOutput gpu_output(int, void*) {
  throw DeviceError("decoding on the GPU: this build has no CUDA; loader.decode=cpu does without the GPU's decoder");
}

struct GpuSession::Gpu {};

GpuSession::GpuSession(const GpuOutput&) {}
GpuSession::~GpuSession() = default;
StreamDecoder& GpuSession::decoder_for(const std::string&, const std::shared_ptr<const StreamHeader>&) {
  return *decoder_;
}
GpuSession::Copied GpuSession::copy(const AVFrame&, Frame&, std::shared_ptr<uint8_t[]>&) { return Copied::not_taken; }
void GpuSession::finish() {}

#endif

}  // namespace cstp
