#include "frame_index.h"

#include <sys/stat.h>

#include <algorithm>
#include <cmath>
#include <deque>
#include <mutex>
#include <numeric>
#include <unordered_map>
#include <utility>

#include "cstp/core/error.h"
#include "cstp/core/text.h"
#include "cstp/video/packed_path.h"
#include "packet_facts.h"

extern "C" {
#include <libavutil/display.h>
}

namespace cstp {
namespace {

int64_t packet_time(const AVPacket& packet) { return packet.pts != AV_NOPTS_VALUE ? packet.pts : packet.dts; }

/// Side data after which the packets no longer tell what the decoder will do.
bool has_surprises(const AVPacket& packet) {
  if ((packet.flags & (AV_PKT_FLAG_DISCARD | AV_PKT_FLAG_CORRUPT)) != 0) return true;
  for (const AVPacketSideDataType type : {AV_PKT_DATA_NEW_EXTRADATA, AV_PKT_DATA_PARAM_CHANGE,
                                          AV_PKT_DATA_ENCRYPTION_INFO, AV_PKT_DATA_ENCRYPTION_INIT_INFO}) {
    if (av_packet_get_side_data(&packet, type, nullptr) != nullptr) return true;
  }
  return false;
}

int quarter_turns_of(const AVStream& stream) {
  size_t size = 0;
  const uint8_t* data = av_stream_get_side_data(&stream, AV_PKT_DATA_DISPLAYMATRIX, &size);
  if (data == nullptr || size < 9 * sizeof(int32_t)) return 0;
  const double turns = av_display_rotation_get(reinterpret_cast<const int32_t*>(data)) / 90;  // counter-clockwise
  // The ffmpeg program takes one degree as near enough; other angles (or a garbage matrix: NaN) stay as coded.
  if (!(std::abs(turns - std::round(turns)) < 1.0 / 90)) return 0;
  return (static_cast<int>(std::lround(turns)) % 4 + 4) % 4;
}

double mean_rate(const AVStream& stream) {
  constexpr double kFastest = 480;  // above that it is a time base mistaken for a rate
  for (const AVRational rate : {stream.avg_frame_rate, stream.r_frame_rate}) {
    const double fps = rate.den != 0 ? av_q2d(rate) : 0;
    if (fps > 0 && fps <= kFastest) return fps;
  }
  return 25;
}

class IndexBuilder {
 public:
  IndexBuilder(PacketSource& source, const ReaderOptions& options) : source_(source), options_(options) {}

  std::shared_ptr<const FrameIndex> build() {
    const bool provable = source_.parameters().codec_id == AV_CODEC_ID_H264 && scan() && number_by_time();
    if (!provable) {
      if (!index_.packets.empty()) source_.reopen();
      count();
    }
    if (frames_ == 0) {
      throw DecodeError(cat(source_.path(), ": no frame of its video (codec '",
                            avcodec_get_name(source_.parameters().codec_id), "', ", index_.packets.size(),
                            " packets) can be decoded"));
    }
    find_starts();
    if (provable && is_self_contained()) index_.header = std::make_shared<const StreamHeader>(source_.parameters());
    index_.quarter_turns = quarter_turns_of(source_.stream());
    index_.info = {.frames = frames_,
                   .fps = mean_rate(source_.stream()),
                   .width = index_.quarter_turns % 2 == 0 ? width_ : height_,
                   .height = index_.quarter_turns % 2 == 0 ? height_ : width_};
    index_.info.seconds = static_cast<double>(frames_) / index_.info.fps;
    return std::make_shared<const FrameIndex>(std::move(index_));
  }

 private:
  void add(const AVPacket& packet, PacketExaminer& examiner) {
    facts_.push_back(examiner.examine(packet));
    times_.push_back(packet_time(packet));
    const bool by_pts = source_.has_format("matroska");  // its dts are made up
    seek_times_.push_back(by_pts || packet.dts == AV_NOPTS_VALUE ? times_.back() : packet.dts);
    index_.packets.push_back({.identity = packet_identity(packet), .disposable = facts_.back().disposable});
    surprises_ = surprises_ || has_surprises(packet);
    reconfigured_ = reconfigured_ || av_packet_get_side_data(&packet, AV_PKT_DATA_NEW_EXTRADATA, nullptr) != nullptr;
  }

  /// Reads all packets. @return false as soon as one is not provably one whole frame with a time.
  bool scan() {
    PacketExaminer examiner(source_.parameters());
    const PacketPtr packet = new_packet();
    while (source_.next(*packet)) {
      add(*packet, examiner);
      const PacketFacts& facts = facts_.back();
      if (surprises_ || !facts.whole || packet->pts == AV_NOPTS_VALUE || !(facts_.front().idr)) return false;
    }
    return !facts_.empty();
  }

  /// See FrameIndex::header.
  bool is_self_contained() const {
    const AVCodecParameters& parameters = source_.parameters();
    const bool usual = parameters.format == AV_PIX_FMT_YUV420P || parameters.format == AV_PIX_FMT_YUVJ420P;
    const bool described = source_.has_format("mp4") || source_.has_format("matroska");
    return usual && described && parameters.extradata_size > 0 &&
           std::all_of(facts_.begin(), facts_.end(), [](const PacketFacts& facts) { return facts.plain; });
  }

  /// Frames come out by time. Exact if that is also the order of the picture order counts and the decoder is told to
  /// wait long enough: it drops a picture that comes after a later one was given out.
  bool number_by_time() {
    const size_t count = times_.size();
    std::vector<int32_t> order(count);
    std::iota(order.begin(), order.end(), 0);
    std::sort(order.begin(), order.end(), [this](int32_t a, int32_t b) { return times_[a] < times_[b]; });
    std::vector<int32_t> period(count);  // number of the IDR picture that a packet follows
    for (size_t i = 1; i < count; ++i) period[i] = period[i - 1] + facts_[i].idr;
    for (size_t k = 1; k < count; ++k) {
      const int32_t a = order[k - 1], b = order[k];
      const bool rising = period[a] == period[b] ? facts_[a].order < facts_[b].order : period[a] < period[b];
      if (times_[a] == times_[b] || !rising) return false;
    }
    for (size_t k = 0; k < count; ++k) index_.packets[order[k]].frame = static_cast<int32_t>(k);
    if (reorder_depth() > source_.parameters().video_delay) return false;
    index_.packet_of = std::move(order);
    frames_ = static_cast<int64_t>(count);
    width_ = facts_.front().width;
    height_ = facts_.front().height;
    return true;
  }

  /// The most pictures that precede one in the file and follow it in presentation.
  int64_t reorder_depth() const {
    int64_t depth = 0;
    std::vector<int32_t> later;  // frames before this packet, ascending; those that can no longer matter removed
    int32_t next = 0;            // the first frame whose packet has not been met
    std::vector<bool> met(index_.packets.size());
    for (const FrameIndex::Packet& packet : index_.packets) {
      const auto at = std::upper_bound(later.begin(), later.end(), packet.frame);
      depth = std::max<int64_t>(depth, later.end() - at);
      later.insert(at, packet.frame);
      met[packet.frame] = true;
      while (next < static_cast<int32_t>(met.size()) && met[next]) ++next;
      later.erase(later.begin(), std::lower_bound(later.begin(), later.end(), next));
    }
    return depth;
  }

  /// Decodes everything once and notes which packet each frame comes from.
  void count() {
    index_ = {};
    facts_.clear();
    times_.clear();
    seek_times_.clear();
    index_.counted = true;
    PacketExaminer examiner(source_.parameters());
    StreamDecoder decoder(source_, options_.threads);
    const auto take = [this](const AVFrame& frame) { note(frame); };
    const PacketPtr packet = new_packet();
    while (source_.next(*packet)) {
      add(*packet, examiner);
      packet->pts = static_cast<int64_t>(index_.packets.size()) - 1;
      packet->dts = AV_NOPTS_VALUE;
      decoder.send(packet.get(), take);
    }
    decoder.send(nullptr, take);
    index_.matched = index_.matched && !reconfigured_;
    if (!index_.matched) {
      index_.packets.clear();
      index_.packet_of.clear();
    }
  }

  void note(const AVFrame& frame) {
    if (frames_ == 0) {
      width_ = frame.width;
      height_ = frame.height;
    }
    const bool known = frame.pts >= 0 && frame.pts < static_cast<int64_t>(index_.packets.size());
    if (known && index_.packets[frame.pts].frame < 0) {
      index_.packets[frame.pts].frame = static_cast<int32_t>(frames_);
      index_.packet_of.push_back(static_cast<int32_t>(frame.pts));
    } else {
      index_.matched = false;
    }
    ++frames_;
  }

  void find_starts() {
    index_.starts.push_back({.time = times_.empty() ? AV_NOPTS_VALUE : seek_times_.front()});
    // A field that is passed over without its pair would damage that; MPEG-4 has both fields in one picture.
    const bool may_pass = source_.parameters().codec_id == AV_CODEC_ID_MPEG4 ||
                          std::all_of(index_.packets.begin(), index_.packets.end(),
                                      [](const FrameIndex::Packet& packet) { return packet.frame >= 0; });
    for (size_t i = 0; i < index_.packets.size(); ++i) {
      FrameIndex::Packet& packet = index_.packets[i];
      packet.disposable = packet.disposable && may_pass;
      const bool later = packet.frame > index_.starts.back().frame;
      if (i > 0 && facts_[i].start && later) {
        index_.starts.push_back({static_cast<int32_t>(i), packet.frame, seek_times_[i]});
      }
    }
  }

  PacketSource& source_;
  const ReaderOptions& options_;
  FrameIndex index_;
  std::vector<PacketFacts> facts_;  // per packet
  std::vector<int64_t> times_;
  std::vector<int64_t> seek_times_;
  bool surprises_ = false;
  bool reconfigured_ = false;  // new decoder configuration in mid-stream
  int64_t frames_ = 0;
  int64_t width_ = 0, height_ = 0;
};

}  // namespace

const FrameIndex::Start& FrameIndex::start_for(int64_t frame) const {
  auto at = std::upper_bound(starts.begin(), starts.end(), frame,
                             [](int64_t wanted, const Start& start) { return wanted < start.frame; });
  while (at != starts.begin() + 1 && (at - 1)->packet > packet_of[static_cast<size_t>(frame)]) --at;
  return *(at - 1);
}

size_t FrameIndex::bytes() const {
  return sizeof *this + packets.size() * sizeof(Packet) + packet_of.size() * sizeof(int32_t) +
         starts.size() * sizeof(Start);
}

uint32_t packet_identity(const AVPacket& packet) {
  const uint64_t time = static_cast<uint64_t>(packet_time(packet));
  const uint64_t mixed =
      (time ^ static_cast<uint64_t>(packet.size) << 40) * 0x9E3779B97F4A7C15ULL;  // Fibonacci hashing
  return static_cast<uint32_t>(mixed >> 32);
}

std::shared_ptr<const FrameIndex> build_index(PacketSource& source, const ReaderOptions& options) {
  return IndexBuilder(source, options).build();
}

struct IndexCache::Content {
  std::mutex mutex;
  std::unordered_map<std::string, std::shared_ptr<const FrameIndex>> indexes;
  std::deque<std::string> keys;  // oldest first
  size_t bytes = 0;
};

IndexCache::IndexCache() : content_(std::make_unique<Content>()) {}
IndexCache::~IndexCache() = default;

IndexCache& IndexCache::shared() {
  static IndexCache cache;
  return cache;
}

std::string IndexCache::key(const std::string& path) {
  struct stat s {};
  if (stat(file_holding(path).c_str(), &s) != 0) return "";
  return cat(path, '\n', s.st_size, '\n', s.st_mtim.tv_sec, '\n', s.st_mtim.tv_nsec);
}

std::shared_ptr<const FrameIndex> IndexCache::find(const std::string& key) {
  const std::lock_guard lock(content_->mutex);
  const auto found = content_->indexes.find(key);
  return found == content_->indexes.end() ? nullptr : found->second;
}

void IndexCache::insert(const std::string& key, std::shared_ptr<const FrameIndex> index) {
  constexpr size_t kMostBytes = size_t{256} << 20;  // about 60,000 clips of 10 s
  const std::lock_guard lock(content_->mutex);
  const size_t bytes = index->bytes();
  if (!content_->indexes.emplace(key, std::move(index)).second) return;
  content_->keys.push_back(key);
  content_->bytes += bytes;
  while (content_->bytes > kMostBytes && content_->keys.size() > 1) {
    const auto oldest = content_->indexes.find(content_->keys.front());
    content_->bytes -= oldest->second->bytes();
    content_->indexes.erase(oldest);
    content_->keys.pop_front();
  }
}

}  // namespace cstp
