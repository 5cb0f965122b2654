#include "ffmpeg.h"

#include "cstp/core/error.h"
#include "cstp/core/text.h"

#include <algorithm>
#include <mutex>
#include <new>

extern "C" {
#include <libavutil/cpu.h>
#include <libavutil/opt.h>
}

namespace cstp {

void FfmpegDelete::operator()(AVFormatContext* p) const {
  if (p->oformat == nullptr) {
    avformat_close_input(&p);
    return;
  }
  if (p->pb != nullptr && (p->oformat->flags & AVFMT_NOFILE) == 0) avio_closep(&p->pb);
  avformat_free_context(p);
}

FramePtr new_frame() {
  FramePtr frame(av_frame_alloc());
  if (!frame) throw std::bad_alloc();
  return frame;
}

PacketPtr new_packet() {
  PacketPtr packet(av_packet_alloc());
  if (!packet) throw std::bad_alloc();
  return packet;
}

std::string ffmpeg_error(int code) {
  char text[AV_ERROR_MAX_STRING_SIZE] = {};
  av_strerror(code, text, sizeof text);
  return text;
}

void silence_ffmpeg() {
  static std::once_flag once;
  std::call_once(once, [] { av_log_set_level(AV_LOG_QUIET); });
}

int keep_x264_reproducible(AVCodecContext& encoder) {
  if ((av_get_cpu_flags() & AV_CPU_FLAG_AVX512) == 0) return 0;  // who has it has all of these too
  return av_opt_set(encoder.priv_data, "x264-params", "asm=SSE2Fast,LZCNT,FMA3,BMI2,AVX2", 0);
}

std::pair<int, const char*> write_ready_packets(AVCodecContext& encoder, AVFormatContext& file, AVPacket& packet) {
  for (;;) {
    int code = avcodec_receive_packet(&encoder, &packet);
    if (code == AVERROR(EAGAIN) || code == AVERROR_EOF) return {0, ""};
    if (code < 0) return {code, "encoding"};
    packet.stream_index = 0;
    packet.duration = 1;  // else the last frame gets none
    av_packet_rescale_ts(&packet, encoder.time_base, file.streams[0]->time_base);
    code = av_interleaved_write_frame(&file, &packet);
    if (code >= 0) code = file.pb->error;
    if (code < 0) return {code, "writing"};
  }
}

void Deadline::start(double seconds) {
  constexpr double kLongest = 1e8;  // three years: seconds beyond that would overflow the clock's count
  seconds_ = seconds;
  const std::chrono::duration<double> length(std::clamp(seconds, 0.0, kLongest));
  end_ = Clock::now() + std::chrono::duration_cast<Clock::duration>(length);
}

void Deadline::check(const std::string& path) const {
  if (!passed()) return;
  throw DecodeError(cat(path, ": decoding passed the deadline of ", number_text(seconds_),
                        " s; a longer one is loader.decode_deadline"));
}

AVIOInterruptCB Deadline::interrupt() {
  return {[](void* self) { return static_cast<const Deadline*>(self)->passed() ? 1 : 0; }, this};
}

}  // namespace cstp
