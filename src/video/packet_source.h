/// The packets of a file's first video stream, in file order, as a plain sequential decode would get them.
#pragma once
#include <cstdint>
#include <memory>
#include <string>

#include "ffmpeg.h"
#include "range_input.h"

namespace cstp {

/// What a look into a stream found out, so that it need not be done again when the file is opened next: it takes one to
/// several milliseconds, and a lock that all threads of the process share.
struct StreamHeader {
  explicit StreamHeader(const AVCodecParameters& found);
  std::unique_ptr<AVCodecParameters, FfmpegDelete> parameters;
  /// Equal headers make equal decoders.
  bool operator==(const StreamHeader& other) const;
};

/// MPEG-4 part 2 with packed B-frames (DivX in AVI, as UCF101 and HMDB51 have it) comes out unpacked: one picture a
/// packet.
class PacketSource {
 public:
  /// @param deadline must outlive this object; it bounds every call
  /// @throws DecodeError if the file cannot be opened or has no video stream (cover art does not count)
  /// @param known of this very file, from header(); empty: it is looked for
  PacketSource(std::string path, Deadline& deadline, std::shared_ptr<const StreamHeader> known = nullptr);

  const std::string& path() const { return path_; }
  const AVStream& stream() const { return *stream_; }
  const AVCodecParameters& parameters() const {
    if (known_) return *known_->parameters;
    return filter_ ? *filter_->par_out : *stream_->codecpar;
  }
  bool has_format(const char* name) const;

  /// The next packet that has bytes; false at the end. A read error ends the stream, as it does in the ffmpeg program.
  bool next(AVPacket& packet);
  /// To the last place at or before `time` (in the stream's time base) from which the container can go on.
  bool seek(int64_t time);
  /// From the start, by opening the file anew: exact where a seek to the start need not be. What was known is
  /// forgotten.
  void reopen();

 private:
  void open();
  void choose_stream();
  bool is_known() const;
  void open_filter();
  std::string open_input(AVFormatContext& context);
  bool read(AVPacket& packet);

  std::string path_;
  Deadline& deadline_;
  std::unique_ptr<RangeInput> input_;  ///< of a packed video; outlives format_
  FormatPtr format_;
  FilterPtr filter_;
  std::shared_ptr<const StreamHeader> known_;
  AVStream* stream_ = nullptr;
  bool filter_ended_ = false;
};

/// Turns packets into frames. Errors in the stream are passed over, as the ffmpeg program does; frames that come out
/// count.
class StreamDecoder {
 public:
  StreamDecoder(const PacketSource& source, int64_t threads);
  /// @param gpu that decodes what it can, libavcodec's reference to it; null: the CPU decodes
  StreamDecoder(const std::string& path, const AVCodecParameters& parameters, int64_t threads,
                AVBufferRef* gpu = nullptr);

  /// Sends a packet (nullptr: no more will come) and calls take(frame) for each frame that comes out.
  /// A frame's pts is that of the packet that coded it.
  /// @return false if the decoder complained
  template <class Take>
  bool send(const AVPacket* packet, Take&& take) {
    bool well = feed(packet);
    if (!well && packet != nullptr) return false;
    while (fetch(packet == nullptr, well)) take(*frame_);
    return well;
  }
  /// Forgets the pictures so far, keeps what the headers said; any packet may follow.
  void flush() { avcodec_flush_buffers(context_.get()); }

 private:
  bool feed(const AVPacket* packet);
  bool fetch(bool draining, bool& well);
  CodecPtr context_;
  FramePtr frame_ = new_frame();
};

/// A decoder for streams of one header, which a thread keeps from file to file: its frame memory need not be found
/// anew. Only for streams whose pictures do not depend on what the decoder saw before (FrameIndex::header).
class KeptDecoder {
 public:
  KeptDecoder(const std::string& path, std::shared_ptr<const StreamHeader> header);
  ~KeptDecoder();  ///< keeps the decoder for the thread's next stream, unless it was spoilt
  KeptDecoder(const KeptDecoder&) = delete;
  KeptDecoder& operator=(const KeptDecoder&) = delete;

  StreamDecoder& decoder() { return *decoder_; }
  /// It complained: it is not used again.
  void spoil() { spoilt_ = true; }

 private:
  std::shared_ptr<const StreamHeader> header_;
  std::unique_ptr<StreamDecoder> decoder_;
  bool spoilt_ = false;
};

}  // namespace cstp
