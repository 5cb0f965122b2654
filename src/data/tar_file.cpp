#include "tar_file.h"

#include <archive.h>
#include <archive_entry.h>
#include <fcntl.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>
#include <new>
#include <utility>

#include "cstp/core/error.h"
#include "cstp/core/text.h"

namespace cstp {
namespace {

constexpr int64_t kBlock = 512;  // of a tar file

struct FreeArchive {
  void operator()(archive* a) const { archive_free(a); }
};
struct FreeEntry {
  void operator()(archive_entry* e) const { archive_entry_free(e); }
};
using ArchivePtr = std::unique_ptr<archive, FreeArchive>;
using EntryPtr = std::unique_ptr<archive_entry, FreeEntry>;

}  // namespace

int64_t tar_member_bytes(int64_t size) { return kBlock + (size + kBlock - 1) / kBlock * kBlock; }

struct TarWriter::Impl {
  std::string path;
  int64_t written = 0;
  int file = -1;
  int error = 0;         ///< errno of the write that failed
  bool discard = false;  ///< what libarchive still writes goes nowhere
  ArchivePtr tar{archive_write_new()};

  ~Impl() {
    discard = true;  // else libarchive would end the file here: what is not finished is to be gone on with
    tar.reset();
    if (file >= 0) ::close(file);
  }
  [[noreturn]] void fail(const std::string& step, const std::string& cause) const {
    throw DataError(cat(path, ": ", step, " failed (", cause, "); once that is mended, the same command goes on"));
  }
  void must(int code, const char* step) const {
    if (error != 0) fail(step, std::strerror(error));
    if (code >= ARCHIVE_WARN) return;
    const char* said = archive_error_string(tar.get());
    fail(step, said != nullptr ? said : "no cause was given");
  }
  /// Errors are kept here and not told to libarchive, which would not free itself after them.
  static la_ssize_t write(archive*, void* self, const void* bytes, size_t size) {
    auto& writer = *static_cast<Impl*>(self);
    if (writer.discard || writer.error != 0) return static_cast<la_ssize_t>(size);
    ssize_t done = 0;
    do {
      done = ::write(writer.file, bytes, size);
    } while (done < 0 && errno == EINTR);
    if (done < 0) {
      writer.error = errno;
      return static_cast<la_ssize_t>(size);
    }
    writer.written += done;
    return done;
  }
};

TarWriter::TarWriter(std::string path, int64_t from) : impl_(std::make_unique<Impl>()) {
  Impl& self = *impl_;
  if (!self.tar) throw std::bad_alloc();
  self.path = std::move(path);
  self.written = from;
  self.file = ::open(self.path.c_str(), O_WRONLY | O_CREAT | O_CLOEXEC, 0644);
  if (self.file < 0) self.fail("creating it", std::strerror(errno));
  if (::ftruncate(self.file, from) != 0 || ::lseek(self.file, from, SEEK_SET) != from)
    self.fail("cutting it to whole members", std::strerror(errno));
  self.must(archive_write_set_format_ustar(self.tar.get()), "choosing the format");
  self.must(archive_write_set_bytes_per_block(self.tar.get(), 0), "setting the block size");  // writes at once
  self.must(archive_write_open(self.tar.get(), impl_.get(), nullptr, Impl::write, nullptr), "opening it");
}

TarWriter::~TarWriter() = default;

int64_t TarWriter::add(const std::string& name, std::string_view content) {
  Impl& self = *impl_;
  check(name.size() <= 100, "TarWriter::add: a long name would need a header of its own");
  const EntryPtr entry(archive_entry_new());
  if (!entry) throw std::bad_alloc();
  archive_entry_set_pathname(entry.get(), name.c_str());
  archive_entry_set_size(entry.get(), std::ssize(content));
  archive_entry_set_filetype(entry.get(), AE_IFREG);
  archive_entry_set_perm(entry.get(), 0644);
  archive_entry_set_mtime(entry.get(), 0, 0);
  self.must(archive_write_header(self.tar.get(), entry.get()), "writing it");
  const int64_t offset = self.written;
  while (!content.empty()) {
    const la_ssize_t done = archive_write_data(self.tar.get(), content.data(), content.size());
    self.must(done > 0 ? ARCHIVE_OK : ARCHIVE_FATAL, "writing it");
    content.remove_prefix(static_cast<size_t>(done));
  }
  self.must(archive_write_finish_entry(self.tar.get()), "writing it");
  return offset;
}

int64_t TarWriter::bytes() const { return impl_->written; }

void TarWriter::finish() {
  Impl& self = *impl_;
  self.must(archive_write_close(self.tar.get()), "ending it");
  self.tar.reset();
  if (::fsync(self.file) != 0) self.fail("flushing it to disk", std::strerror(errno));
}

std::vector<TarMember> list_tar(const std::string& path) {
  const ArchivePtr tar(archive_read_new());
  if (!tar) throw std::bad_alloc();
  const auto must = [&](int code) {
    if (code >= ARCHIVE_WARN) return;
    const char* said = archive_error_string(tar.get());
    throw DataError(cat(path, ": is no whole tar file (", said != nullptr ? said : "no cause was given", ")"));
  };
  constexpr size_t kReadAtOnce = size_t{1} << 16;
  must(archive_read_support_format_tar(tar.get()));
  must(archive_read_open_filename(tar.get(), path.c_str(), kReadAtOnce));
  std::vector<TarMember> members;
  for (;;) {
    archive_entry* entry = nullptr;
    const int code = archive_read_next_header(tar.get(), &entry);
    if (code == ARCHIVE_EOF) return members;
    must(code);
    members.push_back(
        {archive_entry_pathname(entry), archive_read_header_position(tar.get()) + kBlock, archive_entry_size(entry)});
  }
}

}  // namespace cstp
