/// Writes the optical flow of many videos, one file each; see flow_store.h.
#pragma once
#include <cstdint>
#include <functional>
#include <string>
#include <vector>

#include "cstp/data/flow_store.h"

namespace cstp {

struct FlowDumpSetup {
  std::vector<std::string> videos;  ///< paths; repeats are done once
  std::string root;                 ///< that the files are named relative to
  std::string folder;               ///< of the dump
  FlowSettings settings;
  int64_t workers = 0;   ///< threads, one video each; 0 = one per core
  double deadline = 60;  ///< seconds for decoding a stretch of a video; past it the video counts as bad
  int64_t stretch_bytes = int64_t{128} << 20;               ///< of planes that a worker decodes at once
  std::function<void(int64_t done, int64_t all)> progress;  ///< after each video, one call at a time
  std::function<bool()> stop;                               ///< asked between fields: true ends the call early
};

/// The video files below a folder, hidden ones left out, in byte order of their paths. @throws DataError if it cannot
/// be read
std::vector<std::string> videos_below(const std::string& folder);

struct BadFlow {
  std::string path, cause;
};
struct FlowDumpResult {
  int64_t videos = 0;             ///< distinct
  int64_t made = 0;               ///< files written by this call
  int64_t kept = 0;               ///< files that an earlier call had finished, of videos that have their size still
  std::vector<BadFlow> bad;       ///< in the order of the videos: could not be decoded, or have a single frame
  int64_t fields = 0, bytes = 0;  ///< of the files made
  bool stopped = false;
};

/// Called again it makes only what is missing. A file appears when it is complete, so a killed call loses the videos it
/// was at; the bytes of a file depend on video and settings alone.
/// @throws DataError if the folder holds flow of other settings or cannot be written (a full disk), ConfigError if the
/// method is not there
FlowDumpResult dump_flow(const FlowDumpSetup& setup);

}  // namespace cstp
