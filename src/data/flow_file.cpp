#include "flow_file.h"

#include <fcntl.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <bit>
#include <cerrno>
#include <cstring>

#include "cstp/core/error.h"
#include "cstp/core/text.h"

namespace cstp {
namespace {

static_assert(std::endian::native == std::endian::little, "flow files are little-endian");

/// The first bytes of a file, as they lie there.
struct Layout {
  char magic[8];
  uint32_t version, width, height, fields;
  uint64_t video_bytes, settings;
};
static_assert(sizeof(Layout) == 40);

constexpr std::string_view kMagic = "cstpflow";
constexpr uint32_t kVersion = 1;
constexpr int64_t kMostFields = 100'000'000;

uint64_t planes_start(int64_t fields) {
  return sizeof(Layout) + sizeof(uint64_t) * (2 * static_cast<uint64_t>(fields) + 1);
}

}  // namespace

FlowFileWriter::FlowFileWriter(const std::string& path, const FlowFileHeader& header)
    : path_(path), part_(path + ".part"), header_(header) {
  check(header.fields > 0 && header.fields <= kMostFields, "FlowFileWriter: no fields");
  file_ = ::open(part_.c_str(), O_WRONLY | O_CREAT | O_CLOEXEC, 0644);
  if (file_ < 0) fail("creating it");
  if (::flock(file_, LOCK_EX | LOCK_NB) != 0) {
    ::close(file_);
    throw DataError(
        cat(part_, ": another run is writing this file; let it finish, or give each run a --shard of its own"));
  }
  if (::ftruncate(file_, 0) != 0) fail("emptying it");  // a killed run left it
  offsets_.push_back(planes_start(header.fields));
}

FlowFileWriter::~FlowFileWriter() {
  if (!finished_) ::unlink(part_.c_str());  // before its lock is given up
  ::close(file_);
}

void FlowFileWriter::fail(const std::string& step) const {
  throw DataError(cat(part_, ": ", step, " failed (", std::strerror(errno),
                      "); once that is mended, the same command goes on with the videos that are missing"));
}

void FlowFileWriter::write_at(std::string_view bytes, uint64_t offset) {
  while (!bytes.empty()) {
    const ssize_t written = ::pwrite(file_, bytes.data(), bytes.size(), static_cast<off_t>(offset));
    if (written < 0 && errno == EINTR) continue;
    if (written < 0) fail("writing it");
    bytes.remove_prefix(static_cast<size_t>(written));
    offset += static_cast<uint64_t>(written);
  }
}

void FlowFileWriter::add(std::string_view plane) {
  check(std::ssize(offsets_) <= 2 * header_.fields, "FlowFileWriter::add: more planes than the header says");
  write_at(plane, offsets_.back());
  offsets_.push_back(offsets_.back() + plane.size());
}

int64_t FlowFileWriter::finish() {
  check(std::ssize(offsets_) == 2 * header_.fields + 1, "FlowFileWriter::finish: planes are missing");
  Layout layout{};
  kMagic.copy(layout.magic, sizeof(layout.magic));
  layout.version = kVersion;
  layout.width = static_cast<uint32_t>(header_.width);
  layout.height = static_cast<uint32_t>(header_.height);
  layout.fields = static_cast<uint32_t>(header_.fields);
  layout.video_bytes = header_.video_bytes;
  layout.settings = header_.settings;
  write_at({reinterpret_cast<const char*>(offsets_.data()), offsets_.size() * sizeof(uint64_t)}, sizeof(Layout));
  write_at({reinterpret_cast<const char*>(&layout), sizeof(layout)}, 0);
  if (::fsync(file_) != 0) fail("flushing it to disk");
  if (::rename(part_.c_str(), path_.c_str()) != 0) fail("renaming it");
  finished_ = true;
  return static_cast<int64_t>(offsets_.back());
}

FlowFileReader::FlowFileReader(const std::string& path) : path_(path) {
  file_ = ::open(path.c_str(), O_RDONLY | O_CLOEXEC);
  if (file_ < 0) throw DecodeError(cat(path, ": cannot be opened (", std::strerror(errno), ")"));
  try {
    struct stat status {};
    if (::fstat(file_, &status) != 0) throw DecodeError(cat(path, ": cannot be read (", std::strerror(errno), ")"));
    size_ = static_cast<uint64_t>(status.st_size);
    Layout layout{};
    const std::string bytes = read_at(0, sizeof(layout));
    std::memcpy(&layout, bytes.data(), sizeof(layout));
    if (std::string_view(layout.magic, sizeof(layout.magic)) != kMagic || layout.version != kVersion) {
      throw DecodeError(cat(path, ": is no flow file of version ", kVersion));
    }
    header_ = {.width = layout.width,
               .height = layout.height,
               .fields = layout.fields,
               .video_bytes = layout.video_bytes,
               .settings = layout.settings};
    if (header_.fields == 0 || header_.fields > kMostFields || offsets(2 * header_.fields, 1).front() != size_) {
      throw DecodeError(cat(path, ": is damaged (its index does not fit its ", size_, " bytes)"));
    }
  } catch (...) {
    ::close(file_);
    throw;
  }
}

FlowFileReader::~FlowFileReader() { ::close(file_); }

std::string FlowFileReader::read_at(uint64_t offset, uint64_t size) const {
  if (offset > size_ || size > size_ - offset) throw DecodeError(cat(path_, ": ends after ", size_, " bytes"));
  std::string bytes(size, '\0');
  size_t done = 0;
  while (done < size) {
    const ssize_t got = ::pread(file_, bytes.data() + done, size - done, static_cast<off_t>(offset + done));
    if (got < 0 && errno == EINTR) continue;
    if (got <= 0) throw DecodeError(cat(path_, ": reading failed (", got < 0 ? std::strerror(errno) : "it ends", ")"));
    done += static_cast<size_t>(got);
  }
  return bytes;
}

std::vector<uint64_t> FlowFileReader::offsets(int64_t first, int64_t count) const {
  std::vector<uint64_t> values(static_cast<size_t>(count));
  const uint64_t size = values.size() * sizeof(uint64_t);
  const std::string bytes = read_at(sizeof(Layout) + static_cast<uint64_t>(first) * sizeof(uint64_t), size);
  std::memcpy(values.data(), bytes.data(), size);
  return values;
}

std::vector<std::string> FlowFileReader::planes(int64_t first, int64_t count) const {
  const std::vector<uint64_t> bounds = offsets(first, count + 1);
  if (!std::is_sorted(bounds.begin(), bounds.end()) || bounds.back() > size_) {
    throw DecodeError(cat(path_, ": is damaged (its index points outside)"));
  }
  const std::string bytes = read_at(bounds.front(), bounds.back() - bounds.front());
  std::vector<std::string> planes;
  for (size_t i = 0; i + 1 < bounds.size(); ++i) {
    planes.push_back(bytes.substr(bounds[i] - bounds.front(), bounds[i + 1] - bounds[i]));
  }
  return planes;
}

std::optional<FlowFileHeader> flow_file_header(const std::string& path) {
  try {
    return FlowFileReader(path).header();
  } catch (const DecodeError&) {
    return std::nullopt;
  }
}

}  // namespace cstp
