#include "memory_mp4.h"

#include <algorithm>
#include <cstring>
#include <new>
#include <utility>

#include "cstp/core/error.h"
#include "cstp/core/text.h"
#include "ffmpeg.h"

extern "C" {
#include <libavutil/opt.h>
}

namespace cstp {
namespace {

constexpr int kBuffer = 1 << 15;

/// Bytes that libav writes, seeks in and reads back.
struct MemoryFile {
  std::string bytes;
};

/// One place in a MemoryFile from which libav goes on.
struct MemoryIo {
  MemoryFile* file = nullptr;
  size_t position = 0;

  static int read(void* self, uint8_t* to, int size) {
    auto& io = *static_cast<MemoryIo*>(self);
    const std::string& bytes = io.file->bytes;
    const size_t count = std::min(static_cast<size_t>(size), bytes.size() - std::min(bytes.size(), io.position));
    if (count == 0) return AVERROR_EOF;
    std::memcpy(to, bytes.data() + io.position, count);
    io.position += count;
    return static_cast<int>(count);
  }
  static int write(void* self, uint8_t* from, int size) {
    auto& io = *static_cast<MemoryIo*>(self);
    std::string& bytes = io.file->bytes;
    bytes.resize(std::max(bytes.size(), io.position + static_cast<size_t>(size)));
    std::memcpy(bytes.data() + io.position, from, static_cast<size_t>(size));
    io.position += static_cast<size_t>(size);
    return size;
  }
  static int64_t seek(void* self, int64_t to, int whence) {
    auto& io = *static_cast<MemoryIo*>(self);
    const auto size = static_cast<int64_t>(io.file->bytes.size());
    if ((whence & AVSEEK_SIZE) != 0) return size;
    if (whence == SEEK_CUR) to += static_cast<int64_t>(io.position);
    if (whence == SEEK_END) to += size;
    if (to < 0) return AVERROR(EINVAL);
    io.position = static_cast<size_t>(to);
    return to;
  }
};

AVIOContext* open_io(MemoryFile& file, bool writes) {
  auto io = std::make_unique<MemoryIo>(MemoryIo{.file = &file});
  auto* buffer = static_cast<uint8_t*>(av_malloc(kBuffer));
  AVIOContext* context = buffer == nullptr ? nullptr
                                           : avio_alloc_context(buffer, kBuffer, writes, io.get(), MemoryIo::read,
                                                                MemoryIo::write, MemoryIo::seek);
  if (context == nullptr) {
    av_free(buffer);
    throw std::bad_alloc();
  }
  io.release();  // close_io() frees it
  return context;
}

void close_io(AVIOContext*& context) {
  if (context == nullptr) return;
  delete static_cast<MemoryIo*>(context->opaque);
  av_freep(&context->buffer);
  avio_context_free(&context);
}

/// The muxer opens what it has written a second time, to move it behind the index.
int open_again(AVFormatContext* format, AVIOContext** io, const char*, int flags, AVDictionary**) {
  try {
    *io = open_io(*static_cast<MemoryFile*>(format->opaque), (flags & AVIO_FLAG_WRITE) != 0);
  } catch (const std::bad_alloc&) {
    return AVERROR(ENOMEM);
  }
  return 0;
}
int close_again(AVFormatContext*, AVIOContext* io) {
  close_io(io);
  return 0;
}

/// Of a muxer: closed before FfmpegDelete would take it for a file on the disk.
struct OwnIo {
  AVFormatContext* format = nullptr;
  ~OwnIo() {
    if (format == nullptr) return;
    AVIOContext* io = std::exchange(format->pb, nullptr);
    close_io(io);
  }
};

AVColorSpace space_of(ColorMatrix matrix) {
  switch (matrix) {
    case ColorMatrix::bt709: return AVCOL_SPC_BT709;
    case ColorMatrix::bt2020: return AVCOL_SPC_BT2020_NCL;
    case ColorMatrix::fcc: return AVCOL_SPC_FCC;
    case ColorMatrix::smpte240m: return AVCOL_SPC_SMPTE240M;
    default: return AVCOL_SPC_SMPTE170M;
  }
}

}  // namespace

struct MemoryMp4::Impl {
  Impl(std::string path_, const MemoryMp4Options& options) : path(std::move(path_)) {
    silence_ffmpeg();
    open_encoder(options);
    open_file();
  }

  /// Stops at libav's negative codes.
  void must(int code, const char* step) const {
    if (code < 0) throw DecodeError(cat(path, ": could not be packed: ", step, ": ", ffmpeg_error(code)));
  }
  void open_encoder(const MemoryMp4Options& options);
  void open_file();
  void drain();

  std::string path;
  MemoryFile memory;
  FormatPtr file;
  OwnIo io;
  CodecPtr encoder;
  FramePtr picture = new_frame();
  PacketPtr packet = new_packet();
  int64_t frames = 0;
};

void MemoryMp4::Impl::open_encoder(const MemoryMp4Options& options) {
  const AVCodec* codec = avcodec_find_encoder_by_name("libx264");
  if (codec == nullptr) {
    throw DataError("videos are packed with libx264, which this FFmpeg was built without; install one that has it");
  }
  encoder.reset(avcodec_alloc_context3(codec));
  if (!encoder) throw std::bad_alloc();
  const AVRational rate = av_d2q(options.fps, 60'000);
  encoder->width = static_cast<int>(options.width);
  encoder->height = static_cast<int>(options.height);
  encoder->pix_fmt = AV_PIX_FMT_YUV420P;
  encoder->colorspace = space_of(options.matrix);
  encoder->color_range = options.range == ColorRange::full ? AVCOL_RANGE_JPEG : AVCOL_RANGE_MPEG;
  encoder->framerate = rate;
  encoder->time_base = av_inv_q(rate);
  encoder->gop_size = static_cast<int>(options.gop);
  encoder->max_b_frames = 0;
  encoder->thread_count = 1;  // the same bytes on every run; several videos are packed at once instead
  encoder->flags |= AV_CODEC_FLAG_GLOBAL_HEADER | AV_CODEC_FLAG_BITEXACT;
  must(av_opt_set(encoder->priv_data, "preset", "medium", 0), "choosing x264's preset");
  must(av_opt_set(encoder->priv_data, "tune", "fastdecode", 0), "choosing x264's tune");
  must(av_opt_set_double(encoder->priv_data, "crf", static_cast<double>(options.quality), 0), "setting x264's crf");
  must(av_opt_set_int(encoder->priv_data, "sc_threshold", 0, 0), "setting x264's scene cuts");
  must(keep_x264_reproducible(*encoder), "choosing x264's code");
  must(avcodec_open2(encoder.get(), codec, nullptr), "opening the encoder");

  picture->format = AV_PIX_FMT_YUV420P;
  picture->width = encoder->width;
  picture->height = encoder->height;
  must(av_frame_get_buffer(picture.get(), 0), "getting memory for a frame");
}

void MemoryMp4::Impl::open_file() {
  AVFormatContext* context = nullptr;
  must(avformat_alloc_output_context2(&context, nullptr, "mp4", "packed.mp4"), "setting up MP4");
  file.reset(context);
  file->pb = open_io(memory, true);
  io.format = file.get();
  file->opaque = &memory;
  file->io_open = open_again;
  file->io_close2 = close_again;
  file->flags |= AVFMT_FLAG_BITEXACT | AVFMT_FLAG_CUSTOM_IO;
  AVStream* stream = avformat_new_stream(file.get(), nullptr);
  if (stream == nullptr) throw std::bad_alloc();
  must(avcodec_parameters_from_context(stream->codecpar, encoder.get()), "describing the stream");
  stream->time_base = encoder->time_base;
  stream->avg_frame_rate = encoder->framerate;
  AVDictionary* options = nullptr;
  av_dict_set(&options, "movflags", "+faststart", 0);
  const int code = avformat_write_header(file.get(), &options);
  av_dict_free(&options);
  must(code, "writing the header");
}

void MemoryMp4::Impl::drain() {
  const auto [code, step] = write_ready_packets(*encoder, *file, *packet);
  must(code, step);
}

MemoryMp4::MemoryMp4(std::string path, const MemoryMp4Options& options)
    : impl_(std::make_unique<Impl>(std::move(path), options)) {}
MemoryMp4::~MemoryMp4() = default;

PlaneTargets MemoryMp4::picture() {
  AVFrame& picture = *impl_->picture;
  impl_->must(av_frame_make_writable(&picture), "getting memory for a frame");  // the encoder may still hold it
  return {.planes = {picture.data[0], picture.data[1], picture.data[2]},
          .strides = {picture.linesize[0], picture.linesize[1], picture.linesize[2]}};
}

void MemoryMp4::write() {
  Impl& mp4 = *impl_;
  mp4.picture->pts = mp4.frames++;
  mp4.must(avcodec_send_frame(mp4.encoder.get(), mp4.picture.get()), "encoding");
  mp4.drain();
}

std::string MemoryMp4::finish() {
  Impl& mp4 = *impl_;
  check(mp4.frames > 0, "MemoryMp4::finish: no frames");
  mp4.must(avcodec_send_frame(mp4.encoder.get(), nullptr), "ending the stream");
  mp4.drain();
  mp4.must(av_write_trailer(mp4.file.get()), "writing the index");
  avio_flush(mp4.file->pb);
  return std::move(mp4.memory.bytes);
}

}  // namespace cstp
