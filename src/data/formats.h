/// What the readers of the data formats share: names of files on disk, each folder read once. The readers themselves
/// are known to the table in dataset.cpp alone.
#pragma once
#include <string>
#include <string_view>
#include <unordered_map>
#include <vector>

#include "cstp/data/dataset.h"

namespace cstp {

// File names. Bytes are never converted: a name is what the disk says.

bool has_video_extension(std::string_view name);
std::string path_in(std::string_view folder, std::string_view name);
bool is_folder(const std::string& path);
bool is_file(const std::string& path);

/// The entries of one folder, hidden ones left out, each list in byte order.
struct FolderEntries {
  std::vector<std::string> folders;
  std::vector<std::string> files;
};
/// @throws DataError if the folder cannot be read
FolderEntries list_folder(const std::string& path);
/// The same in whatever order the disk has them.
FolderEntries scan_folder(const std::string& path);

/// The video files of folders, each folder read when it is first asked for.
class VideoFiles {
 public:
  /// The file `name` in `folder`, or one of the same stem with another video extension (re-encoded copies); "" if
  /// absent.
  std::string find(const std::string& folder, const std::string& name);

 private:
  std::unordered_map<std::string, std::vector<std::string>> files_;
};

// Annotations.

/// A text file's lines without CR, LF and a leading byte order mark.
std::vector<std::string> annotation_lines(const std::string& path);
/// "file:line", lines counted from 1.
std::string at_line(const std::string& path, size_t index);
/// The first candidate folder that holds `file`. @throws DataError naming all of them
std::string find_annotations(const std::string& given, const std::vector<std::string>& candidates,
                             const std::string& file, const std::string& format);
/// `path` as it is if that exists (or is absolute), else inside `root`.
std::string resolved(const std::string& path, const std::string& root);
/// An integer that is the whole text. @return false if it is none
bool parse_integer(std::string_view text, int64_t& value);

/// Splits "path label" at its last separator (blank, tab or comma; several count as one). `rest` is empty if there is
/// none.
struct LastField {
  std::string_view rest;
  std::string_view field;
};
LastField last_field(std::string_view line);

using ClassIndex = std::unordered_map<std::string, int64_t>;
/// Name -> label. @throws DataError naming `path` if a name stands twice
ClassIndex class_index(const std::vector<std::string>& classes, const std::string& path);
/// One name a line, or `id name` on every line with ids counted from 0 or 1.
std::vector<std::string> read_class_file(const std::string& path);

/// Throws a DataError that names the first three of the files that a list names but that are not on the disk.
void require_present(const std::vector<std::string>& missing, size_t listed, const std::string& list,
                     const std::string& hint);

}  // namespace cstp
