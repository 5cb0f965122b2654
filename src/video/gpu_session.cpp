// Launcher-only: nothing here runs without a GPU. Decoding itself is VideoReader's, whichever side it is on.
#include "gpu_session.h"

#include <algorithm>
#include <condition_variable>
#include <mutex>
#include <type_traits>
#include <utility>
#include <vector>

#include "cstp/core/error.h"
#include "cstp/core/text.h"
#include "plane_copy.h"

#ifdef CSTP_CUDA
#include <cuda_runtime_api.h>
extern "C" {
#include <libavutil/hwcontext.h>
#include <libavutil/hwcontext_cuda.h>
}
#endif

namespace cstp {

/// Which sessions there are: idle ones, the one used last at the back, and how many are made in all.
struct GpuDecoders::Impl {
  int device = 0;
  void* used_on = nullptr;
  std::mutex mutex;
  std::condition_variable returned;
  std::vector<std::unique_ptr<GpuSession>> idle;
  int64_t made = 0;
};

GpuDecoders::GpuDecoders(int device, void* used_on) : impl_(new Impl{}) {
  impl_->device = device;
  impl_->used_on = used_on;
  impl_->idle.push_back(std::make_unique<GpuSession>(device, used_on));  // what cannot be done is said at once
  impl_->made = 1;
}
GpuDecoders::~GpuDecoders() = default;

GpuDecoders::Lease::Lease(GpuDecoders& home, const StreamHeader& header, bool wait) : home_(home) {
  Impl& pool = *home_.impl_;
  {
    std::unique_lock lock(pool.mutex);
    const auto free = [&pool] { return !pool.idle.empty() || pool.made < kMost; };
    if (wait) pool.returned.wait(lock, free);
    if (!free()) return;
    auto found = std::ranges::find_if(pool.idle, [&](const auto& session) { return session->is_for(header); });
    if (found == pool.idle.end() && pool.made == kMost) found = pool.idle.begin();  // the one unused for longest
    if (found != pool.idle.end()) {
      session_ = std::move(*found);
      pool.idle.erase(found);
      return;
    }
    ++pool.made;
  }
  try {
    session_ = std::make_unique<GpuSession>(pool.device, pool.used_on);
  } catch (...) {
    const std::lock_guard lock(pool.mutex);
    --pool.made;
    throw;
  }
}

GpuDecoders::Lease::~Lease() {
  if (!session_) return;
  Impl& pool = *home_.impl_;
  if (spoilt_) session_.reset();
  {
    const std::lock_guard lock(pool.mutex);
    if (session_) {
      pool.idle.push_back(std::move(session_));
    } else {
      --pool.made;
    }
  }
  pool.returned.notify_one();
}

#ifdef CSTP_CUDA

namespace {

void must(cudaError_t code, const char* what) {
  if (code == cudaSuccess) return;
  throw DeviceError(cat("decoding on the GPU: ", what, ": ", cudaGetErrorString(code),
                        "; loader.decode=cpu does without the GPU's decoder"));
}

constexpr int64_t kRowBytes = 16;  // rows begin where the renderer's words do

}  // namespace

struct GpuSession::Gpu {
  struct Release {
    void operator()(cudaStream_t stream) const { cudaStreamDestroy(stream); }
    void operator()(AVBufferRef* reference) const { av_buffer_unref(&reference); }
  };
  int device;
  void* used_on;
  std::unique_ptr<std::remove_pointer_t<cudaStream_t>, Release> own;
  std::unique_ptr<AVBufferRef, Release> context;  ///< libavcodec's idea of the GPU

  Gpu(int d, void* used) : device(d), used_on(used) {
    must(cudaSetDevice(device), "choosing it");
    cudaStream_t made = nullptr;
    must(cudaStreamCreateWithFlags(&made, cudaStreamNonBlocking), "making a stream");
    own.reset(made);
    AVBufferRef* reference = nullptr;
    const int code = av_hwdevice_ctx_create(&reference, AV_HWDEVICE_TYPE_CUDA, cat(device).c_str(), nullptr,
                                            AV_CUDA_USE_PRIMARY_CONTEXT);
    context.reset(reference);
    if (code < 0) {
      throw DeviceError(cat("decoding on the GPU: this FFmpeg cannot use it (", ffmpeg_error(code),
                            "); loader.decode=cpu does without the GPU's decoder"));
    }
    // Pictures are handed over in the order of this stream, in which they are also copied.
    auto* const all = reinterpret_cast<AVHWDeviceContext*>(reference->data);
    static_cast<AVCUDADeviceContext*>(all->hwctx)->stream = stream();
    cudaMemPool_t pool = nullptr;
    must(cudaDeviceGetDefaultMemPool(&pool, device), "finding its memory");
    uint64_t keep = UINT64_MAX;  // memory that was given back serves the next clips
    must(cudaMemPoolSetAttribute(pool, cudaMemPoolAttrReleaseThreshold, &keep), "keeping its memory");
  }
  cudaStream_t stream() const { return own.get(); }
};

GpuSession::GpuSession(int device, void* used_on) : gpu_(std::make_unique<Gpu>(device, used_on)) {}
GpuSession::~GpuSession() = default;

StreamDecoder& GpuSession::decoder_for(const std::string& path, const std::shared_ptr<const StreamHeader>& header) {
  must(cudaSetDevice(gpu_->device), "choosing it");  // of this thread, which need not be that of the last read
  if (decoder_ && is_for(*header)) {
    decoder_->flush();
  } else {
    decoder_.reset();  // its memory first
    decoder_ = std::make_unique<StreamDecoder>(path, *header->parameters, 1, gpu_->context.get());
    header_ = header;
  }
  return *decoder_;
}

bool GpuSession::copy(const AVFrame& picture, Frame& frame, std::shared_ptr<uint8_t[]>& memory) {
  if (picture.format != AV_PIX_FMT_CUDA || picture.hw_frames_ctx == nullptr) return false;
  const auto format = reinterpret_cast<const AVHWFramesContext*>(picture.hw_frames_ctx->data)->sw_format;
  // libavcodec cuts nothing off the left and the top of such a picture.
  if (format != AV_PIX_FMT_NV12 || picture.crop_left != 0 || picture.crop_top != 0) return false;
  frame.width = picture.width;
  frame.height = picture.height;
  set_color(picture, format, frame);
  const int64_t pitch = (2 * frame.chroma_width() + kRowBytes - 1) / kRowBytes * kRowBytes;
  const auto bytes = static_cast<size_t>(pitch * (frame.height + frame.chroma_height()));
  void* place = nullptr;
  must(cudaMallocAsync(&place, bytes, gpu_->stream()), "memory for a frame");
  memory = std::shared_ptr<uint8_t[]>(static_cast<uint8_t*>(place), [stream = gpu_->used_on](uint8_t* p) {
    cudaFreeAsync(p, static_cast<cudaStream_t>(stream));
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
  return true;
}

void GpuSession::finish() { must(cudaStreamSynchronize(gpu_->stream()), "waiting for it"); }

#else

struct GpuSession::Gpu {};

GpuSession::GpuSession(int, void*) {
  throw DeviceError("decoding on the GPU: this build has no CUDA; loader.decode=cpu does without the GPU's decoder");
}
GpuSession::~GpuSession() = default;
StreamDecoder& GpuSession::decoder_for(const std::string&, const std::shared_ptr<const StreamHeader>&) {
  return *decoder_;
}
bool GpuSession::copy(const AVFrame&, Frame&, std::shared_ptr<uint8_t[]>&) { return false; }
void GpuSession::finish() {}

#endif

}  // namespace cstp
