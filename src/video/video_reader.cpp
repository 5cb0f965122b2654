/// read() in three steps: the wanted frames are cut into runs, each of which starts at a clean key frame and ends at
/// the packet of its last frame; each run is decoded, without the pictures that nothing needs; and what did not come
/// out as the index says is decoded once more from the start of the file, every packet of it.
#include "cstp/video/video_reader.h"

#include <algorithm>
#include <filesystem>
#include <limits>
#include <optional>
#include <utility>

#include "cstp/core/error.h"
#include "cstp/core/log.h"
#include "cstp/core/text.h"
#include "cstp/video/packed_path.h"
#include "frame_index.h"
#include "gpu_lease.h"
#include "packet_source.h"
#include "plane_copy.h"

extern "C" {
#include <libavutil/pixdesc.h>
}

namespace cstp {
namespace {

/// Packets [start->packet, last] of the file give the frames wanted[begin, end).
struct Run {
  const FrameIndex::Start* start = nullptr;
  int64_t last = 0;
  size_t begin = 0, end = 0;
};

/// A wanted frame and the caller's memory for it.
struct Slot {
  Frame frame;
  uint8_t* memory = nullptr;
  size_t bytes = 0;
  bool done = false;
};

/// Where a decoded picture goes. @return false if it cannot go there
using Store = std::function<bool(const AVFrame& picture, Slot& slot)>;

/// The packets up to the next that codes a frame: a second field belongs to the frame before.
int64_t last_packet_of(const FrameIndex& index, int64_t frame) {
  int64_t packet = index.packet_of[static_cast<size_t>(frame)] + int64_t{1};
  const auto count = static_cast<int64_t>(index.packets.size());
  while (packet < count && index.packets[static_cast<size_t>(packet)].frame < 0) ++packet;
  return packet - 1;
}

std::vector<Run> plan_runs(const FrameIndex& index, const std::vector<int64_t>& wanted) {
  std::vector<Run> runs;
  for (size_t i = 0; i < wanted.size(); ++i) {
    const FrameIndex::Start& start = index.start_for(wanted[i]);
    const int64_t last = last_packet_of(index, wanted[i]);
    if (runs.empty() || start.packet > runs.back().last) {
      runs.push_back({.start = &start, .last = last, .begin = i, .end = i});
    }
    runs.back().last = std::max(runs.back().last, last);
    runs.back().end = i + 1;
  }
  return runs;
}

/// Lossless H.264 and whatever else goes past the profile High is left to the CPU.
bool gpu_may_take(const AVCodecParameters& stream) {
  const int profile = stream.profile & ~(FF_PROFILE_H264_CONSTRAINED | FF_PROFILE_H264_INTRA);
  return stream.codec_id == AV_CODEC_ID_H264 &&
         (profile == FF_PROFILE_H264_BASELINE || profile == FF_PROFILE_H264_MAIN || profile == FF_PROFILE_H264_HIGH);
}

}  // namespace

struct VideoReader::Impl {
  std::string path;
  ReaderOptions options;
  Deadline deadline;
  std::optional<PacketSource> source;
  std::optional<StreamDecoder> own;  ///< decoder of this read alone
  std::optional<KeptDecoder> kept;   ///< or one that the thread keeps, where the index allows it
  StreamDecoder* decoder = nullptr;  ///< of the two, or one of the GPU's
  bool knows_header = false;         ///< the decoder needs no look at the first packet
  std::shared_ptr<const FrameIndex> index;
  PlaneCopier copier;
  PacketPtr packet = new_packet();
  int64_t position = 0;  ///< number of the packet that next_packet() gives
  bool loaded = false;   ///< it is in `packet` already

  // of the read() under way
  std::vector<int64_t> wanted;  // distinct
  std::vector<Slot> found;      // per wanted frame
  Store store;

  void open();
  void begin(std::span<const int64_t> frames);
  void open_source();
  void start_decoder();
  bool store_planes(const AVFrame& picture, Slot& slot, const FrameMemory& memory);
  void read_wanted();
  bool read_runs();
  bool decode_run(const Run& run);
  void decode_all();
  bool take(const AVFrame& picture, int64_t frame, size_t begin, size_t end);
  std::vector<Frame> in_order_of(std::span<const int64_t> frames) const;
  bool complete() const {
    return std::all_of(found.begin(), found.end(), [](const Slot& slot) { return slot.done; });
  }

  bool go_to(const FrameIndex::Start& start);
  bool arrive(int64_t at_most);
  bool next_packet();
  void restart();
};

void VideoReader::Impl::open() {
  deadline.start(options.deadline);
  const std::string key = IndexCache::key(path);
  if (key.empty()) throw DecodeError(cat(path, ": no such file"));
  const std::string file = file_holding(path);
  if (!std::filesystem::is_regular_file(file)) throw DecodeError(cat(path, ": is not a file"));
  if (std::filesystem::file_size(file) == 0) throw DecodeError(cat(path, ": is empty (0 bytes)"));
  index = IndexCache::shared().find(key);
  if (index) return;
  source.emplace(path, deadline);
  index = build_index(*source, options);
  IndexCache::shared().insert(key, index);
  position = std::numeric_limits<int64_t>::max();  // the source stands at its end
}

void VideoReader::Impl::restart() {
  source->reopen();
  position = 0;
  loaded = false;
}

/// Loads packet `position`; false at the end of the file or if it is not the packet that was indexed.
bool VideoReader::Impl::next_packet() {
  if (loaded) {
    loaded = false;
  } else if (!source->next(*packet)) {
    return false;
  }
  if (position >= static_cast<int64_t>(index->packets.size())) return false;
  return packet_identity(*packet) == index->packets[static_cast<size_t>(position++)].identity;
}

/// After a seek: finds out which packet comes next and passes over those before the wanted one.
bool VideoReader::Impl::arrive(int64_t at_most) {
  if (!source->next(*packet)) return false;
  const uint32_t identity = packet_identity(*packet);
  for (int64_t at = at_most; at >= 0; --at) {
    if (index->packets[static_cast<size_t>(at)].identity != identity) continue;
    position = at;
    loaded = true;
    while (position < at_most) {
      if (!next_packet()) return false;
    }
    return true;
  }
  return false;
}

bool VideoReader::Impl::go_to(const FrameIndex::Start& start) {
  constexpr int64_t kNear = 100;  // packets that are cheaper to pass over than to seek past
  const bool ahead = position <= start.packet;
  const bool near = ahead && start.packet - position <= kNear;
  if (!near && start.time != AV_NOPTS_VALUE) {
    loaded = false;
    if (source->seek(start.time) && arrive(start.packet)) return true;
    restart();  // this container does not seek well
  } else if (!ahead) {
    restart();
  }
  while (position < start.packet) {
    if (!next_packet()) return false;
  }
  return true;
}

bool VideoReader::Impl::store_planes(const AVFrame& picture, Slot& slot, const FrameMemory& memory) {
  const FrameMemory once = [&](size_t bytes) {
    if (slot.bytes != bytes) slot.memory = memory(bytes);
    slot.bytes = bytes;
    return slot.memory;
  };
  if (copier.copy(picture, once, slot.frame)) return true;
  const char* name = av_get_pix_fmt_name(static_cast<AVPixelFormat>(picture.format));
  throw DecodeError(cat(path, ": frame ", wanted[static_cast<size_t>(&slot - found.data())],
                        " has a pixel format that cannot be converted to 8-bit 4:2:0 (",
                        name != nullptr ? name : "unknown", ")"));
}

bool VideoReader::Impl::take(const AVFrame& picture, int64_t frame, size_t begin, size_t end) {
  const auto stop = wanted.begin() + static_cast<ptrdiff_t>(end);
  const auto at = std::lower_bound(wanted.begin() + static_cast<ptrdiff_t>(begin), stop, frame);
  if (at == stop || *at != frame) return true;
  Slot& slot = found[static_cast<size_t>(at - wanted.begin())];
  if (slot.done) return true;
  slot.frame.quarter_turns = index->quarter_turns;
  slot.done = store(picture, slot);
  return slot.done;
}

/// @return false if the frames are not to be trusted: the decoder complained where a sequential decode might not have
bool VideoReader::Impl::decode_run(const Run& run) {
  if (run.start->packet > 0 && run.begin == 0 && !knows_header) {
    // The first packet alone may have parameter sets and the encoder's version, after which decoders choose.
    if (!go_to(index->starts.front()) || !next_packet()) return false;
    decoder->send(packet.get(), [](const AVFrame&) {});
  }
  if (!go_to(*run.start)) return false;
  bool plain = run.start->packet == 0;  // so far as a sequential decode, whose errors are part of the picture
  bool well = true, stored = true;
  if (run.start->packet > 0) decoder->flush();
  const auto keep = [&](const AVFrame& picture) {
    if (picture.pts < run.start->packet || picture.pts > run.last) return;
    const int64_t frame = index->packets[static_cast<size_t>(picture.pts)].frame;
    if (frame < run.start->frame) return;
    well = well && (plain || picture.decode_error_flags == 0);
    stored = take(picture, frame, run.begin, run.end) && stored;
  };
  while (position <= run.last) {
    const int64_t number = position;
    const FrameIndex::Packet& entry = index->packets[static_cast<size_t>(number)];
    if (!next_packet()) return false;
    if (entry.disposable && !std::binary_search(wanted.begin(), wanted.end(), entry.frame)) {
      plain = false;
      continue;
    }
    packet->pts = number;  // frames carry the number of their packet
    packet->dts = AV_NOPTS_VALUE;
    const bool sent = decoder->send(packet.get(), keep);
    const bool leading = entry.frame >= 0 && entry.frame < run.start->frame;  // refers to what was passed over
    well = well && (sent || plain || leading);
    if (!stored) return false;
  }
  return decoder->send(nullptr, keep) && well && stored;
}

/// As new, so that a read does not depend on those before.
void VideoReader::Impl::start_decoder() {
  kept.reset();
  knows_header = index->header && options.threads == 1;
  if (knows_header) {
    decoder = &kept.emplace(path, index->header).decoder();
  } else {
    decoder = &own.emplace(*source, options.threads);
  }
}

/// The plain sequential decode, up to the last wanted frame.
void VideoReader::Impl::decode_all() {
  restart();
  kept.reset();
  decoder = &own.emplace(*source, options.threads);
  int64_t counted = 0;
  const auto keep = [&](const AVFrame& picture) {
    int64_t frame = counted++;
    if (index->matched) frame = picture.pts >= 0 ? index->packets[static_cast<size_t>(picture.pts)].frame : -1;
    if (frame >= 0) take(picture, frame, 0, wanted.size());
  };
  for (int64_t number = 0; !complete(); ++number) {
    if (index->matched) {
      if (number >= static_cast<int64_t>(index->packets.size()) || !next_packet()) break;
    } else if (!source->next(*packet)) {
      break;
    }
    packet->pts = number;
    packet->dts = AV_NOPTS_VALUE;
    decoder->send(packet.get(), keep);
  }
  if (!complete()) decoder->send(nullptr, keep);
  position = std::numeric_limits<int64_t>::max();
}

void VideoReader::Impl::open_source() {
  if (source) return;
  source.emplace(path, deadline, index->header);
  position = 0;
  loaded = false;
}

/// @return false at the first run that is not to be trusted
bool VideoReader::Impl::read_runs() {
  for (const Run& run : plan_runs(*index, wanted)) {
    if (decode_run(run)) continue;
    for (size_t i = run.begin; i < run.end; ++i) found[i].done = false;
    return false;
  }
  return true;
}

void VideoReader::Impl::read_wanted() {
  open_source();
  start_decoder();
  if (index->matched && !read_runs() && kept) kept->spoil();
  if (!complete()) decode_all();
  kept.reset();  // back to the thread
  for (size_t i = 0; i < found.size(); ++i) {
    if (found[i].done) continue;
    throw DecodeError(cat(path, ": frame ", wanted[i], " of ", index->info.frames,
                          " could not be decoded; the file is damaged or changed while it was read"));
  }
}

VideoReader::VideoReader(const std::string& path, const ReaderOptions& options) : impl_(std::make_unique<Impl>()) {
  impl_->path = path;
  impl_->options = options;
  impl_->open();
}
VideoReader::~VideoReader() = default;
VideoReader::VideoReader(VideoReader&&) noexcept = default;
VideoReader& VideoReader::operator=(VideoReader&&) noexcept = default;

const VideoInfo& VideoReader::info() const { return impl_->index->info; }

void VideoReader::Impl::begin(std::span<const int64_t> frames) {
  check(std::is_sorted(frames.begin(), frames.end()), "frame numbers must ascend");
  check(frames.front() >= 0 && frames.back() < index->info.frames, "a frame number is outside of the video");
  wanted.assign(frames.begin(), frames.end());
  wanted.erase(std::unique(wanted.begin(), wanted.end()), wanted.end());
  found.assign(wanted.size(), Slot{});
  deadline.start(options.deadline);
}

std::vector<Frame> VideoReader::Impl::in_order_of(std::span<const int64_t> frames) const {
  std::vector<Frame> result;
  result.reserve(frames.size());
  size_t at = 0;
  for (const int64_t frame : frames) {
    while (wanted[at] != frame) ++at;
    result.push_back(found[at].frame);
  }
  return result;
}

std::vector<Frame> VideoReader::read(std::span<const int64_t> frames, const FrameMemory& memory) {
  if (frames.empty()) return {};
  Impl& self = *impl_;
  self.begin(frames);
  self.store = [&](const AVFrame& picture, Slot& slot) { return self.store_planes(picture, slot, memory); };
  self.read_wanted();
  return self.in_order_of(frames);
}

std::optional<GpuFrames> VideoReader::read_on_gpu(std::span<const int64_t> frames, GpuDecoders& gpu, bool wait) {
  Impl& self = *impl_;
  if (frames.empty() || !self.index->header || !self.index->matched) return std::nullopt;
  if (!gpu_may_take(*self.index->header->parameters)) return std::nullopt;
  GpuDecoders::Lease session(gpu, self.index->header, wait);
  if (!session) return std::nullopt;
  self.begin(frames);
  self.open_source();
  self.knows_header = true;
  GpuFrames result;
  GpuSession::Copied last = GpuSession::Copied::done;
  self.store = [&](const AVFrame& picture, Slot& slot) {
    last = session->copy(picture, slot.frame, result.memory.emplace_back());
    return last == GpuSession::Copied::done;
  };
  bool well = false;
  try {
    self.decoder = &session->decoder_for(self.path, self.index->header);
    well = self.read_runs() && self.complete();
  } catch (...) {
    session.spoil();
    self.source.reset();
    session->finish();  // before the memory of the copies is given back
    throw;
  }
  session->finish();
  if (well) {
    result.frames = self.in_order_of(frames);
    return result;
  }
  self.source.reset();  // wherever it stands, the CPU begins anew
  if (last == GpuSession::Copied::not_taken && session.refuse()) {
    log::warning(self.path, ": the GPU's decoder does not take it, so the CPU decodes it and others of its kind");
  }
  session.spoil();
  return std::nullopt;
}

}  // namespace cstp
