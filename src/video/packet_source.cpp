#include "packet_source.h"

#include <algorithm>
#include <new>
#include <tuple>
#include <utility>
#include <vector>

#include "cstp/core/error.h"
#include "cstp/core/text.h"

namespace cstp {

StreamHeader::StreamHeader(const AVCodecParameters& found) : parameters(avcodec_parameters_alloc()) {
  if (!parameters || avcodec_parameters_copy(parameters.get(), &found) < 0) throw std::bad_alloc();
}

bool StreamHeader::operator==(const StreamHeader& other) const {
  const auto fields = [](const AVCodecParameters& p) {
    return std::tuple(p.codec_id, p.codec_tag, p.format, p.width, p.height, p.video_delay, p.profile, p.level,
                      p.field_order, p.bits_per_coded_sample, p.bits_per_raw_sample, p.color_range, p.color_primaries,
                      p.color_trc, p.color_space, p.chroma_location, p.sample_aspect_ratio.num,
                      p.sample_aspect_ratio.den, p.extradata_size);
  };
  return fields(*parameters) == fields(*other.parameters) &&
         std::equal(parameters->extradata, parameters->extradata + parameters->extradata_size,
                    other.parameters->extradata);
}

PacketSource::PacketSource(std::string path, Deadline& deadline, std::shared_ptr<const StreamHeader> known)
    : path_(std::move(path)), deadline_(deadline), known_(std::move(known)) {
  silence_ffmpeg();
  open();
}

void PacketSource::reopen() {
  known_.reset();
  filter_.reset();
  format_.reset();
  open();
}

void PacketSource::open() {
  AVFormatContext* context = avformat_alloc_context();
  if (context == nullptr) throw std::bad_alloc();
  context->interrupt_callback = deadline_.interrupt();
  std::string url;
  try {
    url = open_input(*context);
  } catch (...) {
    avformat_free_context(context);
    throw;
  }
  AVDictionary* options = nullptr;  // a playlist must not reach the network
  av_dict_set(&options, "protocol_whitelist", "file", 0);
  int code = avformat_open_input(&context, url.c_str(), nullptr, &options);
  av_dict_free(&options);
  format_.reset(context);  // null where opening failed
  if (code >= 0 && known_) {
    choose_stream();
    if (!is_known()) known_.reset();
  }
  if (code >= 0 && !known_) code = avformat_find_stream_info(context, nullptr);
  deadline_.check(path_);
  if (code < 0) throw DecodeError(cat(path_, ": cannot be read as a video (", ffmpeg_error(code), ")"));
  if (!known_) choose_stream();
  if (stream_ == nullptr) throw DecodeError(cat(path_, ": has no video stream"));
  if (stream_->codecpar->codec_id == AV_CODEC_ID_MPEG4) open_filter();
}

void PacketSource::choose_stream() {
  stream_ = nullptr;
  for (unsigned i = 0; i < format_->nb_streams; ++i) {
    AVStream* stream = format_->streams[i];
    const bool picture = (stream->disposition & AV_DISPOSITION_ATTACHED_PIC) != 0;
    if (stream_ == nullptr && stream->codecpar->codec_type == AVMEDIA_TYPE_VIDEO && !picture) {
      stream_ = stream;
    } else {
      stream->discard = AVDISCARD_ALL;
    }
  }
}

/// Whether the container's header alone agrees with what is known, so that no more need be asked.
bool PacketSource::is_known() const {
  if (stream_ == nullptr || (format_->ctx_flags & AVFMTCTX_NOHEADER) != 0) return false;
  const AVCodecParameters &now = *stream_->codecpar, &known = *known_->parameters;
  return now.codec_id == known.codec_id && now.width == known.width && now.height == known.height &&
         now.extradata_size == known.extradata_size &&
         std::equal(now.extradata, now.extradata + now.extradata_size, known.extradata);
}

/// @return the address for libav; a packed video is read through input_, and the address only names it
std::string PacketSource::open_input(AVFormatContext& context) {
  // "file:" keeps names such as "a:b.mp4" or "-clip.mp4" from being read as protocols or options.
  const auto packed = parse_packed_path(path_);
  if (!packed) return "file:" + path_;
  input_ = std::make_unique<RangeInput>(*packed, deadline_);
  context.pb = input_->io();
  return "packed.mp4";
}

void PacketSource::open_filter() {
  AVBSFContext* filter = nullptr;
  int code = av_bsf_alloc(av_bsf_get_by_name("mpeg4_unpack_bframes"), &filter);
  filter_.reset(filter);
  if (code >= 0) code = avcodec_parameters_copy(filter->par_in, stream_->codecpar);
  if (code >= 0) {
    filter->time_base_in = stream_->time_base;
    code = av_bsf_init(filter);
  }
  if (code < 0) throw DecodeError(cat(path_, ": its MPEG-4 stream cannot be unpacked (", ffmpeg_error(code), ")"));
  filter_ended_ = false;
}

bool PacketSource::has_format(const char* name) const {
  const std::vector<std::string> names = split(format_->iformat->name, ',');
  return std::find(names.begin(), names.end(), name) != names.end();
}

bool PacketSource::read(AVPacket& packet) {
  for (;;) {
    deadline_.check(path_);
    av_packet_unref(&packet);
    const int code = av_read_frame(format_.get(), &packet);
    if (code == AVERROR(EAGAIN)) continue;
    deadline_.check(path_);
    if (code < 0) return false;
    // A packet without bytes would tell the decoder that the stream ends.
    if (packet.stream_index == stream_->index && packet.size > 0) return true;
  }
}

bool PacketSource::next(AVPacket& packet) {
  if (!filter_) return read(packet);
  for (;;) {
    av_packet_unref(&packet);
    const int code = av_bsf_receive_packet(filter_.get(), &packet);
    if (code >= 0 && packet.size > 0) return true;
    if (code == AVERROR_EOF || (code < 0 && filter_ended_)) return false;
    if (code >= 0) continue;
    filter_ended_ = !read(packet);
    av_bsf_send_packet(filter_.get(), filter_ended_ ? nullptr : &packet);
  }
}

bool PacketSource::seek(int64_t time) {
  if (av_seek_frame(format_.get(), stream_->index, time, AVSEEK_FLAG_BACKWARD) < 0) return false;
  if (filter_) av_bsf_flush(filter_.get());
  filter_ended_ = false;
  return true;
}

StreamDecoder::StreamDecoder(const PacketSource& source, int64_t threads)
    : StreamDecoder(source.path(), source.parameters(), threads) {}

namespace {

/// On the GPU where that is offered. Where setting it up fails, libavcodec asks again without it.
AVPixelFormat on_gpu_first(AVCodecContext* context, const AVPixelFormat* offered) {
  for (const AVPixelFormat* format = offered; *format != AV_PIX_FMT_NONE; ++format) {
    if (*format == AV_PIX_FMT_CUDA) return *format;
  }
  return avcodec_default_get_format(context, offered);
}

}  // namespace

StreamDecoder::StreamDecoder(const std::string& path, const AVCodecParameters& parameters, int64_t threads,
                             AVBufferRef* gpu) {
  const AVCodec* codec = avcodec_find_decoder(parameters.codec_id);
  if (codec == nullptr) {
    throw DecodeError(
        cat(path, ": this FFmpeg has no decoder for its video (codec '", avcodec_get_name(parameters.codec_id), "')"));
  }
  context_.reset(avcodec_alloc_context3(codec));
  if (!context_) throw std::bad_alloc();
  int code = avcodec_parameters_to_context(context_.get(), &parameters);
  constexpr int64_t kMostPixels = int64_t{1} << 27;  // 16k x 8k: a header that asks for more is damaged
  context_->thread_count = static_cast<int>(std::clamp<int64_t>(threads, 1, 64));
  context_->max_pixels = kMostPixels;
  if (gpu != nullptr) {
    context_->hw_device_ctx = av_buffer_ref(gpu);
    if (context_->hw_device_ctx == nullptr) throw std::bad_alloc();
    context_->get_format = on_gpu_first;
  }
  if (code >= 0) code = avcodec_open2(context_.get(), codec, nullptr);
  if (code < 0) {
    throw DecodeError(cat(path, ": its video decoder '", codec->name, "' cannot start (", ffmpeg_error(code), ")"));
  }
}

bool StreamDecoder::feed(const AVPacket* packet) { return avcodec_send_packet(context_.get(), packet) >= 0; }

bool StreamDecoder::fetch(bool draining, bool& well) {
  constexpr int kMostErrors = 64;  // while draining an error concerns one picture; the next may be good
  for (int errors = 0; errors < kMostErrors; ++errors) {
    const int code = avcodec_receive_frame(context_.get(), frame_.get());
    if (code >= 0) return true;
    if (code == AVERROR(EAGAIN) || code == AVERROR_EOF) return false;
    well = false;
    if (!draining) return false;
  }
  return false;
}

namespace {

/// Decoders that the thread has no use for just now, the last one used at the back.
struct IdleDecoder {
  std::shared_ptr<const StreamHeader> header;
  std::unique_ptr<StreamDecoder> decoder;
};
thread_local std::vector<IdleDecoder> idle_decoders;
constexpr size_t kMostIdle = 2;  // each holds the frame memory of its last stream

}  // namespace

KeptDecoder::KeptDecoder(const std::string& path, std::shared_ptr<const StreamHeader> header)
    : header_(std::move(header)) {
  const auto found = std::find_if(idle_decoders.begin(), idle_decoders.end(), [this](const IdleDecoder& idle) {
    return idle.header == header_ || *idle.header == *header_;
  });
  if (found == idle_decoders.end()) {
    decoder_ = std::make_unique<StreamDecoder>(path, *header_->parameters, 1);
    return;
  }
  decoder_ = std::move(found->decoder);
  idle_decoders.erase(found);
  decoder_->flush();
}

KeptDecoder::~KeptDecoder() {
  if (spoilt_) return;
  decoder_->flush();  // gives the pictures back
  if (idle_decoders.size() == kMostIdle) idle_decoders.erase(idle_decoders.begin());
  idle_decoders.push_back({std::move(header_), std::move(decoder_)});
}

}  // namespace cstp
