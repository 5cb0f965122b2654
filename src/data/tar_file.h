/// Tar files, written member by member and listed: the door to libarchive.
///
/// The format is POSIX ustar with fixed owner, mode and time, so that the bytes depend on names and contents alone.
#pragma once
#include <cstdint>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

namespace cstp {

struct TarMember {
  std::string name;
  int64_t offset = 0;  ///< of its first byte in the tar file
  int64_t size = 0;
};

/// Bytes that a member of this size takes, with its header and the zeros behind it.
int64_t tar_member_bytes(int64_t size);
/// Bytes that end a tar file.
constexpr int64_t kTarEndBytes = 1024;

/// Not thread-safe.
class TarWriter {
 public:
  /// Goes on in a file that holds whole members up to `from`; what stands behind them is cut off. 0: a new file.
  /// @throws DataError naming the path
  TarWriter(std::string path, int64_t from);
  ~TarWriter();
  TarWriter(const TarWriter&) = delete;
  TarWriter& operator=(const TarWriter&) = delete;

  /// @param name at most 100 bytes of ASCII @return where the content's first byte lies. @throws DataError (a full
  /// disk)
  int64_t add(const std::string& name, std::string_view content);
  /// Bytes so far; the end of a tar file is not yet among them.
  int64_t bytes() const;
  /// Ends the file and flushes it to disk.
  void finish();

 private:
  struct Impl;
  std::unique_ptr<Impl> impl_;
};

/// The members of a whole tar file, in its order. @throws DataError with the cause if it is none or is damaged
std::vector<TarMember> list_tar(const std::string& path);

}  // namespace cstp
