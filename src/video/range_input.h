/// A part of a file as libav reads a whole one: no copy of it is made.
#pragma once
#include <cstdint>
#include <memory>
#include <string>

#include "cstp/video/packed_path.h"
#include "ffmpeg.h"

namespace cstp {

/// Give io() to AVFormatContext::pb before the file is opened; this object must outlive the context.
class RangeInput {
 public:
  /// @param deadline must outlive this object; reads fail once it has passed
  /// @throws DecodeError if the shard cannot be opened, ends before the video does, or no file of the video's size
  /// begins where the path says
  RangeInput(const PackedPath& packed, const Deadline& deadline);
  ~RangeInput();
  RangeInput(const RangeInput&) = delete;
  RangeInput& operator=(const RangeInput&) = delete;

  AVIOContext* io() const { return io_.get(); }

 private:
  struct FreeIo {
    void operator()(AVIOContext* io) const;
  };
  static int read(void* self, uint8_t* to, int size);
  static int64_t seek(void* self, int64_t to, int whence);
  void require_member(const PackedPath& packed) const;

  const Deadline& deadline_;
  int64_t begin_, size_;
  int64_t position_ = 0;  ///< within the range
  int file_ = -1;
  std::unique_ptr<AVIOContext, FreeIo> io_;
};

}  // namespace cstp
