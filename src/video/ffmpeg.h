/// FFmpeg's C objects with owners, its error codes as text, and a clock that stops blocking I/O.
#pragma once
#include <chrono>
#include <memory>
#include <string>
#include <utility>

extern "C" {
#include <libavcodec/avcodec.h>
#include <libavcodec/bsf.h>
#include <libavformat/avformat.h>
#include <libswscale/swscale.h>
}

namespace cstp {

struct FfmpegDelete {
  void operator()(AVFormatContext* p) const;  ///< an input or an output, whichever it is
  void operator()(AVCodecContext* p) const { avcodec_free_context(&p); }
  void operator()(AVCodecParameters* p) const { avcodec_parameters_free(&p); }
  void operator()(AVBSFContext* p) const { av_bsf_free(&p); }
  void operator()(AVFrame* p) const { av_frame_free(&p); }
  void operator()(AVPacket* p) const { av_packet_free(&p); }
  void operator()(SwsContext* p) const { sws_freeContext(p); }
  void operator()(AVDictionary* p) const { av_dict_free(&p); }
};
using FormatPtr = std::unique_ptr<AVFormatContext, FfmpegDelete>;
using CodecPtr = std::unique_ptr<AVCodecContext, FfmpegDelete>;
using FilterPtr = std::unique_ptr<AVBSFContext, FfmpegDelete>;
using FramePtr = std::unique_ptr<AVFrame, FfmpegDelete>;
using PacketPtr = std::unique_ptr<AVPacket, FfmpegDelete>;
using ScalerPtr = std::unique_ptr<SwsContext, FfmpegDelete>;

/// Empty ones; std::bad_alloc where memory ran out.
FramePtr new_frame();
PacketPtr new_packet();

/// "Invalid data found when processing input" for AVERROR_INVALIDDATA.
std::string ffmpeg_error(int code);

/// Errors reach the user as our own sentences, so libav's log is off. Call before the first use of libav; idempotent
/// and thread-safe.
void silence_ffmpeg();

/// Keeps libx264 from its AVX-512 code, whose output depends on what else lies in memory: with build 164, up to a third
/// of the videos of a process had other bytes than those of the next process. Without it they are the same.
/// Call before avcodec_open2(). @return libav's code
int keep_x264_reproducible(AVCodecContext& encoder);

/// Moves what an encoder has ready into a file's only stream.
/// @return libav's code, below 0 for a failure, and the step that it is of
std::pair<int, const char*> write_ready_packets(AVCodecContext& encoder, AVFormatContext& file, AVPacket& packet);

/// A point in time after which work on one file stops. Give interrupt() to AVFormatContext::interrupt_callback: it
/// stops I/O only, so loops that decode ask passed() between packets too.
class Deadline {
 public:
  /// The clock starts now; without a call it never passes.
  void start(double seconds);
  bool passed() const { return Clock::now() >= end_; }
  /// @throws DecodeError naming the path if it has passed
  void check(const std::string& path) const;
  /// Refers to this object, which must stay where it is while in use.
  AVIOInterruptCB interrupt();

 private:
  using Clock = std::chrono::steady_clock;
  Clock::time_point end_ = Clock::time_point::max();
  double seconds_ = 0;
};

}  // namespace cstp
