#include <dirent.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <charconv>
#include <filesystem>
#include <memory>
#include <system_error>

#include "cstp/core/error.h"
#include "cstp/core/text.h"
#include "formats.h"

namespace cstp {
namespace fs = std::filesystem;

bool has_video_extension(std::string_view name) {
  static constexpr std::array<std::string_view, 18> kExtensions = {"avi", "mp4",  "mkv", "webm", "mov", "m4v",
                                                                   "mpg", "mpeg", "wmv", "flv",  "ts",  "m2ts",
                                                                   "mts", "3gp",  "ogv", "vob",  "asf", "mjpeg"};
  const auto dot = name.rfind('.');
  if (dot == std::string_view::npos || dot == 0) return false;
  const std::string extension = lower(name.substr(dot + 1));
  return std::find(kExtensions.begin(), kExtensions.end(), extension) != kExtensions.end();
}

std::string path_in(std::string_view folder, std::string_view name) {
  std::string path;
  path.reserve(folder.size() + 1 + name.size());
  path.append(folder);
  if (!path.empty() && path.back() != '/') path += '/';
  return path.append(name);
}

bool is_folder(const std::string& path) {
  std::error_code ignored;
  return fs::is_directory(path, ignored);
}

bool is_file(const std::string& path) {
  std::error_code ignored;
  return fs::exists(path, ignored) && !fs::is_directory(path, ignored);
}

FolderEntries scan_folder(const std::string& path) {
  // readdir and not std::filesystem: that takes every name apart, which a quarter of a million names feel.
  const auto fail = [&](int cause) {
    throw DataError(cat(path, ": the folder cannot be read (", std::generic_category().message(cause), ")"));
  };
  const std::unique_ptr<DIR, int (*)(DIR*)> folder(::opendir(path.c_str()), ::closedir);
  if (!folder) fail(errno);
  FolderEntries entries;
  while (true) {
    errno = 0;
    const dirent* entry = ::readdir(folder.get());
    if (entry == nullptr) break;
    if (entry->d_name[0] == '.') continue;
    // A link may lead to a folder; a dangling one is a file that will not open.
    const bool told = entry->d_type != DT_UNKNOWN && entry->d_type != DT_LNK;
    const bool inner = told ? entry->d_type == DT_DIR : is_folder(path_in(path, entry->d_name));
    (inner ? entries.folders : entries.files).emplace_back(entry->d_name);
  }
  if (errno != 0) fail(errno);
  return entries;
}

FolderEntries list_folder(const std::string& path) {
  FolderEntries entries = scan_folder(path);
  std::sort(entries.folders.begin(), entries.folders.end());
  std::sort(entries.files.begin(), entries.files.end());
  return entries;
}

std::string VideoFiles::find(const std::string& folder, const std::string& name) {
  auto known = files_.find(folder);
  if (known == files_.end()) {
    known = files_.emplace(folder, is_folder(folder) ? list_folder(folder).files : std::vector<std::string>{}).first;
  }
  const std::vector<std::string>& files = known->second;
  if (std::binary_search(files.begin(), files.end(), name)) return path_in(folder, name);
  const std::string stem = (has_video_extension(name) ? name.substr(0, name.rfind('.')) : name) + ".";
  for (auto it = std::lower_bound(files.begin(), files.end(), stem); it != files.end() && it->starts_with(stem); ++it) {
    if (it->find('.', stem.size()) == std::string::npos && has_video_extension(*it)) return path_in(folder, *it);
  }
  return "";
}

std::vector<std::string> annotation_lines(const std::string& path) {
  const std::string text = read_text_file(path);
  std::string_view view = text;
  if (view.starts_with("\xEF\xBB\xBF")) view.remove_prefix(3);
  return split_lines(view);
}

std::string at_line(const std::string& path, size_t index) { return cat(path, ":", index + 1); }

std::string find_annotations(const std::string& given, const std::vector<std::string>& candidates,
                             const std::string& file, const std::string& format) {
  if (!given.empty()) {
    if (is_file(path_in(given, file))) return given;
    throw DataError(cat(given, ": no ", file, " in this folder, which data.annotations names for format ", format));
  }
  for (const std::string& folder : candidates) {
    if (is_file(path_in(folder, file))) return folder;
  }
  throw DataError(cat(file, " was not found in ", join(candidates, ", "),
                      "; set data.annotations to the folder of the ", format, " lists"));
}

std::string resolved(const std::string& path, const std::string& root) {
  std::error_code ignored;
  if (root.empty() || path.starts_with('/') || fs::exists(path, ignored)) return path;
  return path_in(root, path);
}

bool parse_integer(std::string_view text, int64_t& value) {
  const auto result = std::from_chars(text.data(), text.data() + text.size(), value);
  return !text.empty() && result.ec == std::errc() && result.ptr == text.data() + text.size();
}

LastField last_field(std::string_view line) {
  constexpr std::string_view kSeparators = " \t,";
  const auto separator = line.find_last_of(kSeparators);
  if (separator == std::string_view::npos) return {{}, line};
  const auto end = line.find_last_not_of(kSeparators, separator);
  return {end == std::string_view::npos ? std::string_view{} : line.substr(0, end + 1), line.substr(separator + 1)};
}

ClassIndex class_index(const std::vector<std::string>& classes, const std::string& path) {
  ClassIndex index;
  for (size_t i = 0; i < classes.size(); ++i) {
    if (!index.emplace(classes[i], static_cast<int64_t>(i)).second) {
      throw DataError(cat(path, ": class '", classes[i], "' stands twice"));
    }
  }
  return index;
}

std::vector<std::string> read_class_file(const std::string& path) {
  std::vector<std::string> names;
  for (const std::string& line : annotation_lines(path)) {
    const std::string_view name = trim(line);
    if (!name.empty()) names.emplace_back(name);
  }
  if (names.empty()) throw DataError(cat(path, ": no class names in it; write one a line"));
  std::vector<std::string> without_ids;
  int64_t first = 0;
  for (size_t i = 0; i < names.size(); ++i) {
    const auto blank = names[i].find_first_of(" \t,");
    int64_t id = 0;
    if (blank == std::string::npos || !parse_integer(std::string_view(names[i]).substr(0, blank), id)) break;
    if (i == 0) first = id;
    if ((first != 0 && first != 1) || id != first + static_cast<int64_t>(i)) break;
    without_ids.emplace_back(trim(std::string_view(names[i]).substr(blank + 1)));
  }
  if (without_ids.size() == names.size()) names = std::move(without_ids);
  class_index(names, path);
  return names;
}

void require_present(const std::vector<std::string>& missing, size_t listed, const std::string& list,
                     const std::string& hint) {
  if (missing.empty()) return;
  const std::vector<std::string> shown(missing.begin(),
                                       missing.begin() + std::min<std::ptrdiff_t>(3, std::ssize(missing)));
  throw DataError(cat(list, ": ", count_text(std::ssize(missing)), " of ", count_text(static_cast<int64_t>(listed)),
                      " listed videos are not on the disk (", join(shown, ", "), missing.size() > 3 ? ", ..." : "",
                      "); ", hint));
}

}  // namespace cstp
