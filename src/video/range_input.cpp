#include "range_input.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <charconv>
#include <cstring>
#include <new>
#include <string_view>

#include "cstp/core/error.h"
#include "cstp/core/text.h"

namespace cstp {
namespace {

constexpr int kBuffer = 1 << 15;  // as libav's own files have

/// What stands before a file of `size` bytes in a tar: its size in octal digits and the format's mark (POSIX.1, ustar).
bool is_header_of(const std::array<char, 512>& header, int64_t size) {
  constexpr size_t kSizeAt = 124, kSizeDigits = 11, kMarkAt = 257;
  if (std::string_view(header.data() + kMarkAt, 5) != "ustar") return false;
  int64_t found = -1;
  const char* digits = header.data() + kSizeAt;
  return std::from_chars(digits, digits + kSizeDigits, found, 8).ec == std::errc() && found == size;
}

}  // namespace

void RangeInput::FreeIo::operator()(AVIOContext* io) const {
  av_freep(&io->buffer);
  avio_context_free(&io);
}

RangeInput::RangeInput(const PackedPath& packed, const Deadline& deadline)
    : deadline_(deadline), begin_(packed.offset), size_(packed.size) {
  file_ = ::open(packed.shard.c_str(), O_RDONLY | O_CLOEXEC);
  if (file_ < 0) throw DecodeError(cat(packed.text(), ": its shard cannot be opened (", std::strerror(errno), ")"));
  try {
    require_member(packed);
    // One request for a video instead of many small ones, where the shard is far away; nothing where it is in memory.
    constexpr int64_t kMostAhead = int64_t{16} << 20;
    if (size_ <= kMostAhead) ::posix_fadvise(file_, begin_, size_, POSIX_FADV_WILLNEED);
    auto* buffer = static_cast<uint8_t*>(av_malloc(kBuffer));
    AVIOContext* io = buffer == nullptr ? nullptr : avio_alloc_context(buffer, kBuffer, 0, this, read, nullptr, seek);
    if (io == nullptr) {
      av_free(buffer);
      throw std::bad_alloc();
    }
    io_.reset(io);
  } catch (...) {
    ::close(file_);
    throw;
  }
}

RangeInput::~RangeInput() { ::close(file_); }

void RangeInput::require_member(const PackedPath& packed) const {
  struct stat status {};
  if (::fstat(file_, &status) != 0)
    throw DecodeError(cat(packed.text(), ": its shard cannot be read (", std::strerror(errno), ")"));
  if (status.st_size < begin_ + size_) {
    throw DecodeError(cat(packed.text(), ": its shard was cut short (it ends after ", status.st_size,
                          " bytes, and this video after ", begin_ + size_, "); copy or pack it again"));
  }
  std::array<char, 512> header{};
  const bool there = begin_ >= std::ssize(header) &&
                     ::pread(file_, header.data(), header.size(), begin_ - std::ssize(header)) == std::ssize(header);
  if (!there || !is_header_of(header, size_)) {
    throw DecodeError(cat(packed.text(), ": no video of ", size_, " bytes begins there; the shard is damaged or of ",
                          "another pack than the index"));
  }
}

int RangeInput::read(void* self, uint8_t* to, int size) {
  auto& input = *static_cast<RangeInput*>(self);
  if (input.deadline_.passed()) return AVERROR_EXIT;
  const int64_t wanted = std::min<int64_t>(size, input.size_ - input.position_);
  if (wanted <= 0) return AVERROR_EOF;
  ssize_t got = 0;
  do {
    got = ::pread(input.file_, to, static_cast<size_t>(wanted), input.begin_ + input.position_);
  } while (got < 0 && errno == EINTR);
  if (got < 0) return AVERROR(errno);
  if (got == 0) return AVERROR_EOF;
  input.position_ += got;
  return static_cast<int>(got);
}

int64_t RangeInput::seek(void* self, int64_t to, int whence) {
  auto& input = *static_cast<RangeInput*>(self);
  switch (whence & ~AVSEEK_FORCE) {
    case AVSEEK_SIZE: return input.size_;
    case SEEK_CUR: to += input.position_; break;
    case SEEK_END: to += input.size_; break;
    default: break;
  }
  if (to < 0) return AVERROR(EINVAL);
  return input.position_ = to;
}

}  // namespace cstp
