// Decoded videos of a small data set, kept in memory (`loader.cache_mb`): from the second epoch on nothing is decoded.
//
// Videos are taken in as they come until the memory is full, and none is ever thrown out: an epoch reads each once, in
// random order, so that an older entry is worth as much as a newer one.
#pragma once
#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <mutex>
#include <string>

#include "cstp/data/clip_loader.h"

namespace cstp {

/// Gives the same frames as a reader, to the bit. Thread-safe.
class VideoCache {
 public:
  using Open = std::function<OpenVideo(const std::string& path, const ReaderOptions&)>;

  /// @param bytes of planes that may be kept; a video of more than a sixteenth of it is not
  VideoCache(int64_t bytes, Open open) : limit_(bytes), open_(std::move(open)) {}

  /// From memory; else opened, and by its first read decoded whole and kept where there is room. A video that does not
  /// decode whole is not kept, and reads of it behave as without a cache.
  OpenVideo open(const std::string& path, const ReaderOptions& options);

 private:
  struct Video;
  static OpenVideo opened_from(const std::shared_ptr<const Video>& video);
  /// The video as it is read from now on: from memory, where it fits.
  OpenVideo keep(const std::string& path, const ReaderOptions& options, OpenVideo opened);
  bool reserve(int64_t bytes);
  void give_back(int64_t bytes);

  const int64_t limit_;
  const Open open_;
  std::mutex mutex_;
  int64_t used_ = 0;
  std::map<std::string, std::shared_ptr<const Video>> videos_;  ///< null: does not decode whole, and is not tried again
};

}  // namespace cstp
