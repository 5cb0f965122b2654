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
#include "cstp/core/text.h"
#include "cstp/video/packed_path.h"
#include "frame_index.h"
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

}  // namespace

struct VideoReader::Impl {
  std::string path;
  ReaderOptions options;
  Deadline deadline;
  std::optional<PacketSource> source;
  std::optional<StreamDecoder> own;  ///< decoder of this read alone
  std::optional<KeptDecoder> kept;   ///< or one that the thread keeps, where the index allows it
  StreamDecoder* decoder = nullptr;  ///< of the two
  std::shared_ptr<const FrameIndex> index;
  PlaneCopier copier;
  PacketPtr packet = new_packet();
  int64_t position = 0;  ///< number of the packet that next_packet() gives
  bool loaded = false;   ///< it is in `packet` already

  // of the read() under way
  std::vector<int64_t> wanted;  // distinct
  std::vector<Slot> found;      // per wanted frame
  const FrameMemory* memory = nullptr;

  void open();
  void start_decoder();
  void read_wanted();
  bool decode_run(const Run& run);
  void decode_all();
  void take(const AVFrame& picture, int64_t frame, size_t begin, size_t end);
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

void VideoReader::Impl::take(const AVFrame& picture, int64_t frame, size_t begin, size_t end) {
  const auto stop = wanted.begin() + static_cast<ptrdiff_t>(end);
  const auto at = std::lower_bound(wanted.begin() + static_cast<ptrdiff_t>(begin), stop, frame);
  if (at == stop || *at != frame) return;
  Slot& slot = found[static_cast<size_t>(at - wanted.begin())];
  if (slot.done) return;
  const FrameMemory once = [&](size_t bytes) {
    if (slot.bytes != bytes) slot.memory = (*memory)(bytes);
    slot.bytes = bytes;
    return slot.memory;
  };
  slot.frame.quarter_turns = index->quarter_turns;
  if (!copier.copy(picture, once, slot.frame)) {
    const char* name = av_get_pix_fmt_name(static_cast<AVPixelFormat>(picture.format));
    throw DecodeError(cat(path, ": frame ", frame, " has a pixel format that cannot be converted to 8-bit 4:2:0 (",
                          name != nullptr ? name : "unknown", ")"));
  }
  slot.done = true;
}

/// @return false if the frames are not to be trusted: the decoder complained where a sequential decode might not have
bool VideoReader::Impl::decode_run(const Run& run) {
  if (run.start->packet > 0 && run.begin == 0 && !kept) {
    // The first packet alone may have parameter sets and the encoder's version, after which decoders choose.
    if (!go_to(index->starts.front()) || !next_packet()) return false;
    decoder->send(packet.get(), [](const AVFrame&) {});
  }
  if (!go_to(*run.start)) return false;
  bool plain = run.start->packet == 0;  // so far as a sequential decode, whose errors are part of the picture
  bool well = true;
  if (run.start->packet > 0) decoder->flush();
  const auto keep = [&](const AVFrame& picture) {
    if (picture.pts < run.start->packet || picture.pts > run.last) return;
    const int64_t frame = index->packets[static_cast<size_t>(picture.pts)].frame;
    if (frame < run.start->frame) return;
    well = well && (plain || picture.decode_error_flags == 0);
    take(picture, frame, run.begin, run.end);
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
  }
  return decoder->send(nullptr, keep) && well;
}

/// As new, so that a read does not depend on those before.
void VideoReader::Impl::start_decoder() {
  kept.reset();
  if (index->header && options.threads == 1) {
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

void VideoReader::Impl::read_wanted() {
  deadline.start(options.deadline);
  if (!source) {
    source.emplace(path, deadline, index->header);
    position = 0;
  }
  start_decoder();
  if (index->matched) {
    for (const Run& run : plan_runs(*index, wanted)) {
      if (decode_run(run)) continue;
      if (kept) kept->spoil();
      for (size_t i = run.begin; i < run.end; ++i) found[i].done = false;
      break;
    }
  }
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

std::vector<Frame> VideoReader::read(std::span<const int64_t> frames, const FrameMemory& memory) {
  if (frames.empty()) return {};
  check(std::is_sorted(frames.begin(), frames.end()), "frame numbers must ascend");
  check(frames.front() >= 0 && frames.back() < info().frames, "a frame number is outside of the video");
  Impl& self = *impl_;
  self.memory = &memory;
  self.wanted.assign(frames.begin(), frames.end());
  self.wanted.erase(std::unique(self.wanted.begin(), self.wanted.end()), self.wanted.end());
  self.found.assign(self.wanted.size(), Slot{});
  self.read_wanted();

  std::vector<Frame> result;
  result.reserve(frames.size());
  size_t at = 0;
  for (const int64_t frame : frames) {
    while (self.wanted[at] != frame) ++at;
    result.push_back(self.found[at].frame);
  }
  return result;
}

}  // namespace cstp
