/// What a compressed packet says about itself, without decoding it: whether decoding may start there, whether other
/// pictures refer to it, and (H.264) whether it provably is one whole progressive picture.
///
/// Sources: ITU-T H.264 sections 7.3 and Annexes B, D; H.265 section 7.4.2.2; ISO/IEC 14496-2 (VOP header), 13818-2
/// (picture header); RFC 6386 section 9.1 (VP8); VP9 bitstream specification section 6.2.
#pragma once
#include <cstdint>
#include <memory>
#include <vector>

#include "ffmpeg.h"

namespace cstp {

struct PacketFacts {
  bool start = false;       ///< decoding may start here, for the pictures that do not come before it in presentation
  bool disposable = false;  ///< no other picture is predicted from it
  // H.264 only:
  bool whole = false;  ///< undamaged framing, exactly one progressive picture, the stream's only sequence parameters
  bool plain = false;  ///< decodes the same whatever a decoder with the stream's header decoded before, if at a start:
                       ///< no parameter sets, no mark of an encoder whose errors decoders make good
  bool idr = false;    ///< picture orders count anew
  int64_t order = 0;   ///< picture order count, valid between IDR pictures
  int width = 0, height = 0;
};

class PacketExaminer {
 public:
  explicit PacketExaminer(const AVCodecParameters& parameters);
  ~PacketExaminer();
  PacketExaminer(const PacketExaminer&) = delete;
  PacketExaminer& operator=(const PacketExaminer&) = delete;

  /// Packets must be given in file order, from the first on.
  PacketFacts examine(const AVPacket& packet);

 private:
  PacketFacts examine_h264(const AVPacket& packet);
  void parse_h264(const AVPacket& packet, PacketFacts& facts, bool& intra);
  bool same_sequence(const uint8_t* data, size_t size);

  const AVCodecParameters& parameters_;
  int length_size_ = 0;  ///< bytes of a NAL unit's length; 0: start codes
  bool intra_only_ = false;
  CodecPtr context_;
  AVCodecParserContext* parser_ = nullptr;
  std::vector<uint8_t> sequence_;    ///< the first sequence parameter set
  bool one_sequence_ = true;         ///< the header has no more than one
  bool parameters_changed_ = false;  ///< parameter sets came after the first packet
  bool first_ = true;
};

}  // namespace cstp
