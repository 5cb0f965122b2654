/// Names of videos that lie inside of a tar file, as `cstp data pack` writes them: SHARD.tar#OFFSET+SIZE/NAME.
///
/// `packed/shard-000003.tar#1536+48211/train/drift/0007.mp4`: 48,211 bytes from byte 1,536 on; what stands behind them
/// is the name that the video had below the root of the original data set. Such a path opens like a file's.
#pragma once
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

namespace cstp {

struct PackedPath {
  std::string shard;   ///< the tar file
  int64_t offset = 0;  ///< of the video's first byte in it
  int64_t size = 0;    ///< bytes
  std::string name;    ///< of the original video: below its data set's root, or whole where it lies elsewhere

  std::string text() const;
};

/// Nothing if it is the path of an ordinary file.
std::optional<PackedPath> parse_packed_path(std::string_view path);

/// The file on the disk that holds a video: its shard, or the path itself.
std::string file_holding(const std::string& path);

}  // namespace cstp
