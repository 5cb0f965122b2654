#include "packet_facts.h"

#include <algorithm>
#include <new>
#include <span>
#include <string_view>

namespace cstp {
namespace {

using Bytes = std::span<const uint8_t>;

/// Calls visit(code, rest) for each start code 00 00 01 xx; rest begins behind xx.
template <class Visit>
void for_each_start_code(Bytes data, Visit&& visit) {
  for (size_t i = 0; i + 3 < data.size(); ++i) {
    if (data[i] == 0 && data[i + 1] == 0 && data[i + 2] == 1) {
      visit(data[i + 3], data.subspan(i + 4));
      i += 3;
    }
  }
}

/// Calls visit(nal) for each NAL unit. @return false if the framing is broken.
template <class Visit>
bool for_each_nal(Bytes data, int length_size, Visit&& visit) {
  if (length_size == 0) {
    size_t begin = 0;  // of the unit under way; 0: none yet
    for (size_t i = 0; i + 2 < data.size(); ++i) {
      if (data[i] != 0 || data[i + 1] != 0 || data[i + 2] != 1) continue;
      if (begin != 0) visit(data.subspan(begin, i - begin));
      begin = i + 3;
      i += 2;
    }
    if (begin != 0 && begin < data.size()) visit(data.subspan(begin));
    return begin != 0;
  }
  while (!data.empty()) {
    const size_t prefix = static_cast<size_t>(length_size);
    if (data.size() < prefix) return false;
    size_t length = 0;
    for (size_t i = 0; i < prefix; ++i) length = length << 8 | data[i];
    data = data.subspan(prefix);
    if (length == 0 || length > data.size()) return false;
    visit(data.first(length));
    data = data.subspan(length);
  }
  return true;
}

/// Bytes of a NAL unit without the emulation prevention bytes (00 00 03).
std::vector<uint8_t> unescaped(Bytes nal) {
  std::vector<uint8_t> out;
  size_t zeros = 0;
  for (const uint8_t byte : nal) {
    if (zeros >= 2 && byte == 3) {
      zeros = 0;
      continue;
    }
    zeros = byte == 0 ? zeros + 1 : 0;
    out.push_back(byte);
  }
  return out;
}

/// True if an H.264 SEI unit has a recovery point whose pictures are exact from this picture on.
bool has_exact_recovery(Bytes nal) {
  const std::vector<uint8_t> data = unescaped(nal);
  size_t at = 1;
  const auto number = [&] {  // coded as a run of 255 and a last byte
    size_t value = 0;
    while (at < data.size() && data[at] == 255) {
      value += 255;
      ++at;
    }
    return at < data.size() ? value + data[at++] : value;
  };
  constexpr size_t kRecoveryPoint = 6;
  while (at + 2 < data.size()) {
    const size_t type = number();
    const size_t size = number();
    // recovery_frame_cnt = 0 is the bit 1, exact_match_flag the next
    if (type == kRecoveryPoint && at < data.size() && (data[at] & 0xC0) == 0xC0) return true;
    at += size;
  }
  return false;
}

/// True if an H.264 SEI unit names an x264 whose streams decoders treat in a way of their own: libavcodec does below
/// builds 34 (direct prediction) and 151 (4:4:4), and remembers the build from then on.
bool names_old_x264(Bytes nal) {
  constexpr std::string_view kMark = "x264 - core ";
  const std::string_view text(reinterpret_cast<const char*>(nal.data()), nal.size());
  const size_t at = text.find(kMark);
  if (at == std::string_view::npos) return false;
  constexpr int kFirstWithoutErrors = 151;
  int build = 0;
  for (size_t i = at + kMark.size(); i < text.size() && text[i] >= '0' && text[i] <= '9' && build < 10000; ++i) {
    build = 10 * build + (text[i] - '0');
  }
  return build < kFirstWithoutErrors;
}

int nal_length_size(const AVCodecParameters& p) {
  const uint8_t* e = p.extradata;
  if (p.codec_id == AV_CODEC_ID_H264 && p.extradata_size >= 7 && e[0] == 1) return (e[4] & 3) + 1;
  const bool boxed = p.extradata_size >= 23 && (e[0] != 0 || e[1] != 0 || e[2] > 1);
  if (p.codec_id == AV_CODEC_ID_HEVC && boxed) return (e[21] & 3) + 1;
  return 0;
}

PacketFacts examine_hevc(Bytes data, int length_size) {
  bool random_access = true;
  int slices = 0;
  const bool framed = for_each_nal(data, length_size, [&](Bytes nal) {
    const int type = nal[0] >> 1 & 0x3F;
    if (type > 31) return;  // not a slice
    ++slices;
    random_access = random_access && type >= 16 && type <= 21;  // IDR, BLA, CRA
  });
  return {.start = framed && slices > 0 && random_access};
}

PacketFacts examine_mpeg4(Bytes data) {
  PacketFacts facts;
  int pictures = 0;
  for_each_start_code(data, [&](uint8_t code, Bytes rest) {
    if (code != 0xB6 || rest.empty()) return;
    const int type = rest[0] >> 6;  // I, P, B, S
    facts = {.start = type == 0, .disposable = type == 2};
    ++pictures;
  });
  return pictures == 1 ? facts : PacketFacts{};
}

PacketFacts examine_mpeg12(Bytes data) {
  int first = 0;
  bool all_b = true;
  for_each_start_code(data, [&](uint8_t code, Bytes rest) {
    if (code != 0 || rest.size() < 2) return;
    const int type = rest[1] >> 3 & 7;  // 1 I, 2 P, 3 B
    if (first == 0) first = type;
    all_b = all_b && type == 3;
  });
  return {.start = first == 1, .disposable = first == 3 && all_b};
}

bool is_vp9_key(Bytes data) {
  const int profile = (data[0] >> 5 & 1) | (data[0] >> 3 & 2);
  const int shift = profile == 3 ? 1 : 2;                   // a reserved bit follows profile 3
  return data[0] >> 6 == 2 && (data[0] >> shift & 3) == 0;  // show_existing_frame 0, frame_type 0
}

}  // namespace

PacketExaminer::PacketExaminer(const AVCodecParameters& parameters)
    : parameters_(parameters), length_size_(nal_length_size(parameters)) {
  const AVCodecDescriptor* descriptor = avcodec_descriptor_get(parameters.codec_id);
  intra_only_ = descriptor != nullptr && (descriptor->props & AV_CODEC_PROP_INTRA_ONLY) != 0;
  if (parameters.codec_id != AV_CODEC_ID_H264) return;
  if (length_size_ > 0) {  // avcC: count of sets at byte 5, length of the first at 6, the set at 8
    const uint8_t* e = parameters.extradata;
    const ptrdiff_t length = parameters.extradata_size > 8 ? e[6] << 8 | e[7] : 0;
    one_sequence_ = (e[5] & 31) == 1 && length > 0 && length + 8 <= parameters.extradata_size;
    if (one_sequence_) sequence_.assign(e + 8, e + 8 + length);
  }
  context_.reset(avcodec_alloc_context3(avcodec_find_decoder(AV_CODEC_ID_H264)));
  if (!context_ || avcodec_parameters_to_context(context_.get(), &parameters) < 0) throw std::bad_alloc();
  parser_ = av_parser_init(AV_CODEC_ID_H264);
  if (parser_ != nullptr) parser_->flags |= PARSER_FLAG_COMPLETE_FRAMES;
}

PacketExaminer::~PacketExaminer() { av_parser_close(parser_); }

PacketFacts PacketExaminer::examine(const AVPacket& packet) {
  const Bytes data(packet.data, static_cast<size_t>(packet.size));
  const bool marked = (packet.flags & AV_PKT_FLAG_KEY) != 0;
  switch (parameters_.codec_id) {
    case AV_CODEC_ID_H264: return examine_h264(packet);
    case AV_CODEC_ID_HEVC: return examine_hevc(data, length_size_);
    case AV_CODEC_ID_MPEG4: return examine_mpeg4(data);
    case AV_CODEC_ID_MPEG1VIDEO:
    case AV_CODEC_ID_MPEG2VIDEO: return examine_mpeg12(data);
    case AV_CODEC_ID_VP8: return {.start = (data[0] & 1) == 0};
    case AV_CODEC_ID_VP9: return {.start = marked && is_vp9_key(data)};
    case AV_CODEC_ID_AV1:
    case AV_CODEC_ID_FLV1:
    case AV_CODEC_ID_H263: return {.start = marked};
    default: return {.start = intra_only_};  // unsure: start from the first packet
  }
}

PacketFacts PacketExaminer::examine_h264(const AVPacket& packet) {
  const Bytes data(packet.data, static_cast<size_t>(packet.size));
  PacketFacts facts;
  int pictures = 0, slices = 0, idr_slices = 0, used_slices = 0;
  bool known = true, sequence = false, picture_set = false, recovery = false, one_sequence = one_sequence_;
  bool old_encoder = false;
  const bool framed = for_each_nal(data, length_size_, [&](Bytes nal) {
    const int type = nal[0] & 31;
    known = known && (nal[0] & 0x80) == 0 && type != 0 && (type < 2 || type > 4) && nal.size() > 1;
    if (type == 1 || type == 5) {
      ++slices;
      idr_slices += type == 5;
      used_slices += (nal[0] >> 5 & 3) != 0;
      pictures += nal.size() > 1 && (nal[1] & 0x80) != 0;  // first_mb_in_slice = 0
    } else if (type == 6) {
      recovery = recovery || has_exact_recovery(nal);
      old_encoder = old_encoder || names_old_x264(nal);
    } else if (type == 7) {
      sequence = true;
      while (nal.size() > 1 && nal.back() == 0) nal = nal.first(nal.size() - 1);  // padding behind the unit
      one_sequence = one_sequence && same_sequence(nal.data(), nal.size());
    } else if (type == 8) {
      picture_set = true;
    }
  });
  bool intra = false;
  parse_h264(packet, facts, intra);
  const bool sound = framed && known && pictures == 1;
  facts.whole = facts.whole && sound && one_sequence;
  facts.plain = length_size_ > 0 && !sequence && !picture_set && !old_encoder;
  facts.idr = idr_slices > 0 && idr_slices == slices;
  facts.disposable = sound && used_slices == 0 && !sequence && !picture_set;
  // Parameter sets sent once in mid-stream would be missed by a start behind them.
  const bool self_contained = !parameters_changed_ || (sequence && picture_set);
  facts.start = sound && self_contained && (facts.idr || (recovery && intra));
  parameters_changed_ = parameters_changed_ || (!first_ && (sequence || picture_set));
  first_ = false;
  return facts;
}

/// libavcodec's parser knows the parameter sets: picture order, frame or field, type, size.
void PacketExaminer::parse_h264(const AVPacket& packet, PacketFacts& facts, bool& intra) {
  if (parser_ == nullptr) return;
  parser_->output_picture_number = -1;
  parser_->picture_structure = AV_PICTURE_STRUCTURE_UNKNOWN;
  uint8_t* out = nullptr;
  int size = 0;
  av_parser_parse2(parser_, context_.get(), &out, &size, packet.data, packet.size, packet.pts, packet.dts, packet.pos);
  facts.whole = parser_->picture_structure == AV_PICTURE_STRUCTURE_FRAME && parser_->width > 0;
  intra = facts.whole && parser_->pict_type == AV_PICTURE_TYPE_I;
  facts.order = parser_->output_picture_number;
  facts.width = parser_->width;
  facts.height = parser_->height;
}

/// The first set seen, in the header or in a packet, is the stream's; another one may change the size or drop pictures.
bool PacketExaminer::same_sequence(const uint8_t* data, size_t size) {
  if (sequence_.empty()) sequence_.assign(data, data + size);
  return std::equal(sequence_.begin(), sequence_.end(), data, data + size);
}

}  // namespace cstp
