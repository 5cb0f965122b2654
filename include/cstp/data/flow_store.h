/// Optical flow of whole videos, computed once and read by field: what `cstp data flow` writes.
///
/// Source: the flow of STS and MAS (Wang et al.; as their code's extractor makes it): TV-L1 between consecutive grey
/// frames at short side 256, clipped to +-20 pixels, kept as bytes round(255 * (f + 20) / 40).
///
/// A dump is a folder with flow.json (the settings; other flow is never mixed in) and, for the video `a/b.avi` below
/// the data set's root, the file `a/b.avi.flow`:
///   8 bytes "cstpflow", u32 version = 1, u32 width W, u32 height H, u32 fields F, u64 bytes of the video's file,
///   u64 fingerprint of flow.json, u64 offset[2F+1], then 2F planes of H x W bytes, each a PNG or JPEG file: u and v of
///   field 0, of field 1, ... Plane p lies at [offset[p], offset[p+1]). All numbers are little-endian.
/// Field i leads from frame i to frame i+1: N frames have N-1 fields.
#pragma once
#include <cstdint>
#include <span>
#include <string>
#include <vector>

#include "cstp/video/flow.h"
#include "cstp/video/grey.h"

namespace cstp {

/// What decides the bytes of a dump.
struct FlowSettings {
  FlowOptions flow{.method = "tvl1"};
  int64_t short_side = 256;  ///< of the grey frames; flow is in pixels of these
  PlaneCodec codec;

  /// The content of flow.json; equal settings give equal text.
  std::string text() const;
};

constexpr double kFlowClip = 20;  ///< pixels; what is faster is kept as this
/// round(255 * (f + 20) / 40), clipped to [0, 255]. A value that is no number counts as 0.
uint8_t flow_byte(float pixels);
/// 0 -> -20, 127 -> -0.0784, 128 -> +0.0784, 255 -> 20.
constexpr float flow_pixels(uint8_t byte) {
  return static_cast<float>(static_cast<double>(byte) * (2 * kFlowClip) / 255 - kFlowClip);
}

/// Some fields of one video.
struct FlowFields {
  int64_t count = 0, width = 0, height = 0;
  std::vector<uint8_t> bytes;  ///< [count, 2, height, width]: u, then v

  std::span<const uint8_t> plane(int64_t field, int64_t component) const {
    const int64_t size = width * height;
    return std::span(bytes).subspan(static_cast<size_t>((field * 2 + component) * size), static_cast<size_t>(size));
  }
};

/// A dump, for reading. Immutable: callable from many threads.
class FlowStore {
 public:
  /// @param folder of the dump; @param root that the videos' paths are taken relative to (data.root)
  /// @throws DataError if there is no dump
  FlowStore(const std::string& folder, const std::string& root);

  const FlowSettings& settings() const { return settings_; }
  /// The file that holds, or would hold, the flow of a video.
  std::string file_of(const std::string& video) const;
  /// How many fields the flow of a video has. @throws as read()
  int64_t fields(const std::string& video) const;
  /// Fields [first, first + count).
  /// @throws DecodeError naming video, file and cause if they are not there, are damaged, or were made with other
  /// settings
  FlowFields read(const std::string& video, int64_t first, int64_t count) const;

 private:
  std::string folder_, root_;
  FlowSettings settings_;
};

/// The same name for whoever writes a dump: FOLDER/a/b.avi.flow, or FOLDER/outside/HASH_b.avi.flow for a video that
/// does not lie below the root. A packed video has the flow of the one that it was packed from.
std::string flow_file_name(const std::string& folder, const std::string& root, const std::string& video);

}  // namespace cstp
