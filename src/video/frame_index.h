/// Which packet codes which frame of a video stream, and where decoding may start.
///
/// Known from the packets alone where that is provably exact, else by decoding the whole stream once.
#pragma once
#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "cstp/video/frame.h"
#include "cstp/video/video_reader.h"
#include "packet_source.h"

namespace cstp {

/// Packets are numbered in file order, frames in the order a plain sequential decode gives them.
struct FrameIndex {
  struct Packet {
    uint32_t identity = 0;    ///< of its time stamp and size: tells after a seek where we are
    int32_t frame = -1;       ///< the frame it codes; -1: none, or a part of the frame before (second field)
    bool disposable = false;  ///< need not be decoded unless its own frame is wanted
  };
  /// Decoding may start at `packet` for frames that are not before `frame` and whose packet is not before `packet`.
  struct Start {
    int32_t packet = 0;
    int32_t frame = 0;
    int64_t time = AV_NOPTS_VALUE;  ///< for the container's seek
  };

  std::vector<Packet> packets;
  std::vector<int32_t> packet_of;  ///< per frame
  std::vector<Start> starts;       ///< ascending in both; the first is {0, 0}
  bool matched = true;             ///< false: frames could not be told apart, so they are counted from the start
  bool counted = false;            ///< by decoding, not from the packets
  int quarter_turns = 0;
  /// Set where nothing but this and a start's own packets decides what a decoder gives: H.264 in mp4 or Matroska,
  /// numbered from its packets, 8-bit 4:2:0. Such a file is opened and decoded without a look at its first packets.
  std::shared_ptr<const StreamHeader> header;
  VideoInfo info;

  /// The last place to start from for a frame.
  const Start& start_for(int64_t frame) const;
  size_t bytes() const;
};

uint32_t packet_identity(const AVPacket& packet);

/// Reads `source` to its end. @throws DecodeError if there is no frame
std::shared_ptr<const FrameIndex> build_index(PacketSource& source, const ReaderOptions& options);

/// Indexes seen by this process, by path, size and time of last change; bounded; thread-safe.
class IndexCache {
 public:
  static IndexCache& shared();
  /// "" for a file that is not there.
  static std::string key(const std::string& path);
  std::shared_ptr<const FrameIndex> find(const std::string& key);
  void insert(const std::string& key, std::shared_ptr<const FrameIndex> index);

 private:
  struct Content;
  IndexCache();
  ~IndexCache();
  std::unique_ptr<Content> content_;
};

}  // namespace cstp
