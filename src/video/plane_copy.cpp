#include "plane_copy.h"

#include <cstring>
#include <new>

extern "C" {
#include <libavutil/pixdesc.h>
}

namespace cstp {
namespace {

ColorMatrix matrix_of(AVColorSpace space) {
  switch (space) {
    case AVCOL_SPC_BT709: return ColorMatrix::bt709;
    case AVCOL_SPC_FCC: return ColorMatrix::fcc;
    case AVCOL_SPC_SMPTE240M: return ColorMatrix::smpte240m;
    case AVCOL_SPC_BT2020_NCL:
    case AVCOL_SPC_BT2020_CL: return ColorMatrix::bt2020;
    default: return ColorMatrix::bt601;  // unspecified too, as swscale assumes
  }
}

int swscale_space(ColorMatrix matrix) {
  switch (matrix) {
    case ColorMatrix::bt709: return SWS_CS_ITU709;
    case ColorMatrix::fcc: return SWS_CS_FCC;
    case ColorMatrix::smpte240m: return SWS_CS_SMPTE240M;
    case ColorMatrix::bt2020: return SWS_CS_BT2020;
    default: return SWS_CS_ITU601;
  }
}

bool is_rgb(AVPixelFormat format) {
  const AVPixFmtDescriptor* d = av_pix_fmt_desc_get(format);
  return d != nullptr && ((d->flags & (AV_PIX_FMT_FLAG_RGB | AV_PIX_FMT_FLAG_PAL | AV_PIX_FMT_FLAG_BAYER)) != 0);
}

bool is_full_range(const AVFrame& source, AVPixelFormat format) {
  switch (format) {
    case AV_PIX_FMT_YUVJ420P:
    case AV_PIX_FMT_YUVJ422P:
    case AV_PIX_FMT_YUVJ444P:
    case AV_PIX_FMT_YUVJ440P:
    case AV_PIX_FMT_YUVJ411P: return true;
    default: break;
  }
  const AVPixFmtDescriptor* d = av_pix_fmt_desc_get(format);
  const bool grey = d != nullptr && d->nb_components <= 2;  // swscale takes grey as full range
  return grey || source.color_range == AVCOL_RANGE_JPEG;
}

void copy_plane(uint8_t* to, const uint8_t* from, int64_t stride, int64_t width, int64_t height) {
  for (int64_t row = 0; row < height; ++row) {
    std::memcpy(to + row * width, from + row * stride, static_cast<size_t>(width));
  }
}

}  // namespace

void set_color(const AVFrame& source, AVPixelFormat format, Frame& frame) {
  frame.matrix = is_rgb(format) ? ColorMatrix::bt601 : matrix_of(source.colorspace);
  frame.range = !is_rgb(format) && is_full_range(source, format) ? ColorRange::full : ColorRange::limited;
}

bool PlaneCopier::copy(const AVFrame& source, const FrameMemory& memory, Frame& frame) {
  const auto format = static_cast<AVPixelFormat>(source.format);
  frame.width = source.width;
  frame.height = source.height;
  set_color(source, format, frame);
  const AVFrame* planes = &source;
  if (format != AV_PIX_FMT_YUV420P && format != AV_PIX_FMT_YUVJ420P) planes = convert(source, frame);
  if (planes == nullptr) return false;

  const int64_t luma = frame.width * frame.height;
  const int64_t chroma = frame.chroma_width() * frame.chroma_height();
  uint8_t* y = memory(static_cast<size_t>(luma + 2 * chroma));
  frame.y = y;
  frame.u = y + luma;
  frame.v = y + luma + chroma;
  frame.y_stride = frame.width;
  frame.uv_stride = frame.chroma_width();
  frame.uv_step = 1;
  copy_plane(y, planes->data[0], planes->linesize[0], frame.width, frame.height);
  copy_plane(y + luma, planes->data[1], planes->linesize[1], frame.chroma_width(), frame.chroma_height());
  copy_plane(y + luma + chroma, planes->data[2], planes->linesize[2], frame.chroma_width(), frame.chroma_height());
  return true;
}

/// Into padded memory of libav's: swscale may write past the end of a row.
const AVFrame* PlaneCopier::convert(const AVFrame& source, const Frame& frame) {
  const Shape shape{source.width, source.height, source.format, frame.matrix, frame.range};
  if (!scaler_ || shape != shape_) {
    const auto format = static_cast<AVPixelFormat>(source.format);
    scaler_.reset(sws_getContext(source.width, source.height, format, source.width, source.height, AV_PIX_FMT_YUV420P,
                                 SWS_BILINEAR | SWS_ACCURATE_RND, nullptr, nullptr, nullptr));
    if (!scaler_) return nullptr;
    const int* coefficients = sws_getCoefficients(swscale_space(frame.matrix));
    const int full = frame.range == ColorRange::full;
    constexpr int kOne = 1 << 16;
    sws_setColorspaceDetails(scaler_.get(), coefficients, is_rgb(format) ? 1 : full, coefficients, full, 0, kOne, kOne);
    converted_ = new_frame();
    converted_->format = AV_PIX_FMT_YUV420P;
    converted_->width = source.width;
    converted_->height = source.height;
    if (av_frame_get_buffer(converted_.get(), 0) < 0) throw std::bad_alloc();
    shape_ = shape;
  }
  const int rows =
      sws_scale(scaler_.get(), source.data, source.linesize, 0, source.height, converted_->data, converted_->linesize);
  return rows == source.height ? converted_.get() : nullptr;
}

}  // namespace cstp
