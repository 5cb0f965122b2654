#include "cstp/video/video_writer.h"

#include <algorithm>
#include <array>
#include <cmath>
#include <filesystem>
#include <system_error>
#include <vector>

#include "cstp/core/error.h"
#include "cstp/core/text.h"
#include "ffmpeg.h"

extern "C" {
#include <libavutil/opt.h>
}

namespace cstp {
namespace {

/// The name of a file until it is complete; gone with this object.
struct UnfinishedFile {
  std::string path;
  bool exists = false;
  ~UnfinishedFile() {
    std::error_code ignored;
    if (exists) std::filesystem::remove(path, ignored);
  }
};

}  // namespace

struct VideoWriter::Impl {
  Impl(const std::string& path_, const WriterOptions& options_)
      : path(path_), options(options_), unfinished{path_ + ".part"} {
    silence_ffmpeg();
    check_options();
    open_encoder();
    open_file();
  }

  [[noreturn]] void fail(const std::string& why) const {
    throw DataError(cat("the video ", path, " could not be written: ", why));
  }
  /// Stops at libav's negative codes.
  void must(int code, const char* step) const {
    if (code < 0) fail(cat(step, ": ", ffmpeg_error(code)));
  }

  void check_options() const;
  void open_encoder();
  void open_file();
  void drain();
  void finish();

  std::string path;
  WriterOptions options;
  UnfinishedFile unfinished;  // stands before `file`, which closes it first
  FormatPtr file;
  CodecPtr encoder;
  ScalerPtr scaler;
  FramePtr picture;
  PacketPtr packet;
  std::vector<uint8_t> rgb;  ///< the frame at hand, with room behind it: libswscale's vector code reads past its end
  int64_t frames = 0;
  bool finished = false;
};

void VideoWriter::Impl::check_options() const {
  if (options.width <= 0 || options.height <= 0 || options.width % 2 != 0 || options.height % 2 != 0) {
    fail(cat("its size is ", options.width, "x", options.height, ", and both sides must be even and positive"));
  }
  if (!(options.fps > 0) || !std::isfinite(options.fps)) fail(cat("its rate is ", options.fps, " frames per second"));
  if (options.quality < 0 || options.quality > 51) fail(cat("its quality is ", options.quality, ", not 0 to 51"));
  if (options.gop < 1 || options.b_frames < 0 || options.b_frames > 16) {
    fail(cat("key frames every ", options.gop, " frames and ", options.b_frames,
             " B-frames were asked for; wanted at least 1, and 0 to 16"));
  }
}

void VideoWriter::Impl::open_encoder() {
  const AVCodec* codec = avcodec_find_encoder_by_name("libx264");
  const bool x264 = codec != nullptr;
  if (!x264) codec = avcodec_find_encoder(AV_CODEC_ID_MPEG4);
  if (codec == nullptr) fail("this FFmpeg has neither libx264 nor an MPEG-4 encoder");
  encoder.reset(avcodec_alloc_context3(codec));
  if (!encoder) throw std::bad_alloc();

  const AVRational rate = av_d2q(options.fps, 60'000);  // MPEG-4 allows 16 bits
  encoder->width = static_cast<int>(options.width);
  encoder->height = static_cast<int>(options.height);
  encoder->pix_fmt = AV_PIX_FMT_YUV420P;
  encoder->colorspace = AVCOL_SPC_SMPTE170M;  // bt601
  encoder->color_range = AVCOL_RANGE_MPEG;
  encoder->framerate = rate;
  encoder->time_base = av_inv_q(rate);
  encoder->gop_size = static_cast<int>(options.gop);
  encoder->max_b_frames = static_cast<int>(options.b_frames);
  encoder->thread_count = static_cast<int>(options.threads);
  encoder->flags |= AV_CODEC_FLAG_GLOBAL_HEADER | AV_CODEC_FLAG_BITEXACT;  // MP4 keeps the headers apart
  if (x264) {
    must(av_opt_set(encoder->priv_data, "preset", "fast", 0), "choosing x264's preset");
    must(av_opt_set_double(encoder->priv_data, "crf", static_cast<double>(options.quality), 0), "setting x264's crf");
    must(keep_x264_reproducible(*encoder), "choosing x264's code");
  } else {
    encoder->flags |= AV_CODEC_FLAG_QSCALE;
    encoder->global_quality = FF_QP2LAMBDA * static_cast<int>(1 + options.quality / 4);  // crf 18 looks like q 5
  }
  must(avcodec_open2(encoder.get(), codec, nullptr), "opening the encoder");

  scaler.reset(sws_getContext(encoder->width, encoder->height, AV_PIX_FMT_RGB24, encoder->width, encoder->height,
                              AV_PIX_FMT_YUV420P, SWS_BILINEAR | SWS_ACCURATE_RND | SWS_BITEXACT, nullptr, nullptr,
                              nullptr));
  if (!scaler) fail("FFmpeg cannot convert RGB of this size");
  const int* bt601 = sws_getCoefficients(SWS_CS_ITU601);
  must(sws_setColorspaceDetails(scaler.get(), bt601, 1, bt601, 0, 0, 1 << 16, 1 << 16), "setting the colours");

  picture = new_frame();
  picture->format = AV_PIX_FMT_YUV420P;
  picture->width = encoder->width;
  picture->height = encoder->height;
  must(av_frame_get_buffer(picture.get(), 0), "getting memory for a frame");
  packet = new_packet();
}

void VideoWriter::Impl::open_file() {
  AVFormatContext* context = nullptr;
  must(avformat_alloc_output_context2(&context, nullptr, "mp4", path.c_str()), "setting up MP4");
  file.reset(context);
  file->flags |= AVFMT_FLAG_BITEXACT;
  AVStream* stream = avformat_new_stream(file.get(), nullptr);
  if (stream == nullptr) throw std::bad_alloc();
  must(avcodec_parameters_from_context(stream->codecpar, encoder.get()), "describing the stream");
  stream->time_base = encoder->time_base;
  stream->avg_frame_rate = encoder->framerate;
  const int code = avio_open(&file->pb, unfinished.path.c_str(), AVIO_FLAG_WRITE);
  if (code < 0) {
    const bool no_folder = code == AVERROR(ENOENT);
    fail(no_folder ? "its folder does not exist" : ffmpeg_error(code));
  }
  unfinished.exists = true;
  must(avformat_write_header(file.get(), nullptr), "writing the header");
}

void VideoWriter::Impl::drain() {
  const auto [code, step] = write_ready_packets(*encoder, *file, *packet);
  must(code, step);
}

void VideoWriter::Impl::finish() {
  check(!finished, "VideoWriter::finish: called twice");
  if (frames == 0) fail("it has no frames");
  must(avcodec_send_frame(encoder.get(), nullptr), "ending the stream");
  drain();
  must(av_write_trailer(file.get()), "writing the index");
  avio_flush(file->pb);
  must(file->pb->error, "writing");
  must(avio_closep(&file->pb), "closing");
  std::error_code error;
  std::filesystem::rename(unfinished.path, path, error);
  if (error) fail(error.message());
  unfinished.exists = false;
  finished = true;
}

VideoWriter::VideoWriter(const std::string& path, const WriterOptions& options)
    : impl_(std::make_unique<Impl>(path, options)) {}
VideoWriter::~VideoWriter() = default;

void VideoWriter::write(std::span<const uint8_t> rgb) {
  Impl& w = *impl_;
  check(std::ssize(rgb) == w.options.width * w.options.height * 3, "VideoWriter::write: bytes and size disagree");
  check(!w.finished, "VideoWriter::write: the file is finished");
  w.must(av_frame_make_writable(w.picture.get()), "getting memory for a frame");  // the encoder may still hold it
  w.rgb.resize(rgb.size() + AV_INPUT_BUFFER_PADDING_SIZE);
  std::ranges::copy(rgb, w.rgb.begin());
  const std::array<const uint8_t*, 4> source = {w.rgb.data(), nullptr, nullptr, nullptr};
  const std::array<int, 4> stride = {static_cast<int>(w.options.width * 3), 0, 0, 0};
  w.must(sws_scale(w.scaler.get(), source.data(), stride.data(), 0, w.encoder->height, w.picture->data,
                   w.picture->linesize),
         "converting colours");
  w.picture->pts = w.frames++;
  w.must(avcodec_send_frame(w.encoder.get(), w.picture.get()), "encoding");
  w.drain();
}

void VideoWriter::finish() { impl_->finish(); }

}  // namespace cstp
