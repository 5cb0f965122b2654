#include "video/reference_decoder.h"

extern "C" {
#include <libavcodec/avcodec.h>
#include <libavformat/avformat.h>
#include <libavutil/imgutils.h>
#include <libavutil/pixdesc.h>
#include <libswscale/swscale.h>
}

namespace cstp::test {
namespace {

/// Sum of products, eight bytes at a time: every byte and its place count.
uint64_t hash_bytes(const uint8_t* data, size_t size, uint64_t hash) {
  size_t i = 0;
  for (; i + 8 <= size; i += 8) {
    uint64_t word = 0;
    __builtin_memcpy(&word, data + i, 8);
    hash = (hash ^ word) * 0x9E3779B97F4A7C15ULL;
    hash ^= hash >> 29;
  }
  for (; i < size; ++i) hash = (hash ^ data[i]) * 0x100000001B3ULL;
  return hash;
}

ReferenceFrame describe(const AVFrame& picture) {
  ReferenceFrame out{.width = picture.width, .height = picture.height};
  const auto format = static_cast<AVPixelFormat>(picture.format);
  out.format = av_get_pix_fmt_name(format);
  const int size = av_image_get_buffer_size(AV_PIX_FMT_YUV420P, picture.width, picture.height, 1);
  std::vector<uint8_t> packed(static_cast<size_t>(size));
  if (format == AV_PIX_FMT_YUV420P || format == AV_PIX_FMT_YUVJ420P) {
    av_image_copy_to_buffer(packed.data(), size, picture.data, picture.linesize, AV_PIX_FMT_YUV420P, picture.width,
                            picture.height, 1);
  } else {
    SwsContext* scaler = sws_getContext(picture.width, picture.height, format, picture.width, picture.height,
                                        AV_PIX_FMT_YUV420P, SWS_BILINEAR | SWS_ACCURATE_RND, nullptr, nullptr, nullptr);
    const int* matrix = sws_getCoefficients(picture.colorspace == AVCOL_SPC_BT709 ? SWS_CS_ITU709 : SWS_CS_ITU601);
    const bool j = out.format.starts_with("yuvj") || picture.color_range == AVCOL_RANGE_JPEG;
    sws_setColorspaceDetails(scaler, matrix, j, matrix, j, 0, 1 << 16, 1 << 16);
    AVFrame* converted = av_frame_alloc();
    converted->format = AV_PIX_FMT_YUV420P;
    converted->width = picture.width;
    converted->height = picture.height;
    av_frame_get_buffer(converted, 0);
    sws_scale(scaler, picture.data, picture.linesize, 0, picture.height, converted->data, converted->linesize);
    av_image_copy_to_buffer(packed.data(), size, converted->data, converted->linesize, AV_PIX_FMT_YUV420P,
                            picture.width, picture.height, 1);
    av_frame_free(&converted);
    sws_freeContext(scaler);
  }
  out.hash = hash_bytes(packed.data(), packed.size(), 0);
  return out;
}

void receive_all(AVCodecContext* decoder, AVFrame* picture, std::vector<ReferenceFrame>& frames) {
  while (avcodec_receive_frame(decoder, picture) >= 0) frames.push_back(describe(*picture));
}

int first_video_stream(const AVFormatContext& input) {
  for (unsigned i = 0; i < input.nb_streams; ++i) {
    const AVStream& stream = *input.streams[i];
    if (stream.codecpar->codec_type == AVMEDIA_TYPE_VIDEO && (stream.disposition & AV_DISPOSITION_ATTACHED_PIC) == 0) {
      return static_cast<int>(i);
    }
  }
  return -1;
}

}  // namespace

std::vector<ReferenceFrame> decode_plainly(const std::string& path) {
  av_log_set_level(AV_LOG_QUIET);
  std::vector<ReferenceFrame> frames;
  AVFormatContext* input = nullptr;
  if (avformat_open_input(&input, ("file:" + path).c_str(), nullptr, nullptr) < 0) return frames;
  avformat_find_stream_info(input, nullptr);
  const int number = first_video_stream(*input);
  AVCodecContext* decoder = nullptr;
  if (number >= 0) {
    const AVCodecParameters* parameters = input->streams[number]->codecpar;
    decoder = avcodec_alloc_context3(avcodec_find_decoder(parameters->codec_id));
    avcodec_parameters_to_context(decoder, parameters);
    decoder->thread_count = 1;
  }
  if (decoder != nullptr && avcodec_open2(decoder, nullptr, nullptr) >= 0) {
    AVPacket* packet = av_packet_alloc();
    AVFrame* picture = av_frame_alloc();
    while (av_read_frame(input, packet) >= 0) {
      const bool ours = packet->stream_index == number && packet->size > 0;
      if (ours && avcodec_send_packet(decoder, packet) >= 0) receive_all(decoder, picture, frames);
      av_packet_unref(packet);
    }
    avcodec_send_packet(decoder, nullptr);
    receive_all(decoder, picture, frames);
    av_frame_free(&picture);
    av_packet_free(&packet);
  }
  avcodec_free_context(&decoder);
  avformat_close_input(&input);
  return frames;
}

uint64_t hash_of(const Frame& frame) {
  const auto size = static_cast<size_t>(frame.width * frame.height + 2 * frame.chroma_width() * frame.chroma_height());
  return hash_bytes(frame.y, size, 0);
}

}  // namespace cstp::test
