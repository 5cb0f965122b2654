/// One file of a flow dump: see flow_store.h for its layout.
#pragma once
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace cstp {

struct FlowFileHeader {
  int64_t width = 0, height = 0, fields = 0;
  uint64_t video_bytes = 0;  ///< size of the video's file
  uint64_t settings = 0;     ///< fingerprint of flow.json
};

/// Streams planes into PATH.part, which becomes PATH when it is complete; the destructor of an unfinished writer
/// removes it. Not thread-safe.
class FlowFileWriter {
 public:
  /// @throws DataError if the file cannot be made, or another process is writing it
  FlowFileWriter(const std::string& path, const FlowFileHeader& header);
  ~FlowFileWriter();
  FlowFileWriter(const FlowFileWriter&) = delete;
  FlowFileWriter& operator=(const FlowFileWriter&) = delete;

  /// The next plane: u and v of field 0, of field 1, ... @throws DataError on a full disk
  void add(std::string_view plane);
  /// After the last plane; flushed to disk before it gets its name. @return bytes of the file
  int64_t finish();

 private:
  void write_at(std::string_view bytes, uint64_t offset);
  [[noreturn]] void fail(const std::string& step) const;
  std::string path_, part_;
  FlowFileHeader header_;
  std::vector<uint64_t> offsets_;
  int file_ = -1;
  bool finished_ = false;
};

/// Reads header, index and planes. Not thread-safe; one a call.
class FlowFileReader {
 public:
  /// @throws DecodeError with the cause, which starts with the path
  explicit FlowFileReader(const std::string& path);
  ~FlowFileReader();
  FlowFileReader(const FlowFileReader&) = delete;
  FlowFileReader& operator=(const FlowFileReader&) = delete;

  const FlowFileHeader& header() const { return header_; }
  /// Planes [first, first + count) as they are kept.
  std::vector<std::string> planes(int64_t first, int64_t count) const;

 private:
  std::string read_at(uint64_t offset, uint64_t size) const;
  std::vector<uint64_t> offsets(int64_t first, int64_t count) const;
  std::string path_;
  FlowFileHeader header_;
  uint64_t size_ = 0;
  int file_ = -1;
};

/// The header of a complete file; nothing if there is none or it is damaged.
std::optional<FlowFileHeader> flow_file_header(const std::string& path);

}  // namespace cstp
