/// Small text tools: concatenation, joining, nearest names, durations and sizes for people.
#pragma once
#include <cstdint>
#include <span>
#include <sstream>
#include <string>
#include <string_view>
#include <vector>

namespace cstp {

/// Concatenates anything that has operator<<.
template <class... Parts>
std::string cat(const Parts&... parts) {
  std::ostringstream out;
  (out << ... << parts);
  return out.str();
}

/// Items separated by `separator`: join({1,2}, ", ") -> "1, 2".
template <class Range>
std::string join(const Range& items, std::string_view separator) {
  std::ostringstream out;
  bool first = true;
  for (const auto& item : items) {
    if (!first) out << separator;
    out << item;
    first = false;
  }
  return out.str();
}

/// Without leading and trailing blanks, tabs, CR and LF.
std::string_view trim(std::string_view text);

/// Lines of a text, without their LF or CRLF; a final empty line is dropped.
std::vector<std::string> split_lines(std::string_view text);

/// Parts between `separator`s; "" gives one empty part.
std::vector<std::string> split(std::string_view text, char separator);

bool ends_with_ignoring_case(std::string_view text, std::string_view ending);
std::string lower(std::string_view text);

/// The candidate with the smallest edit distance (swapped neighbours count once), or "" if none is near enough to help.
std::string closest(std::string_view word, std::span<const std::string> candidates);

/// 3723 s -> "1 h 02 min", 63.2 s -> "1 min 03 s", 0.25 s -> "250 ms".
std::string duration_text(double seconds);

/// 1536 -> "1.5 KiB".
std::string bytes_text(double bytes);

/// 239429 -> "239,429".
std::string count_text(int64_t count);

/// "[=====>              ]  25 %" of `width` cells.
std::string bar_text(int64_t done, int64_t total, int64_t width = 20);

/// A double in the shortest form that reads back to the same value ("0.1", "5e-06", "128").
std::string number_text(double value);

/// Whole file as text. @throws DataError naming the path if it cannot be read.
std::string read_text_file(const std::string& path);

/// Writes a file beside `path`, flushes it to disk and renames it over `path`: readers see the old file or the new one.
/// @throws std::system_error-like DataError with the cause (a full disk, a missing folder); `path` is then untouched.
void write_file_atomically(const std::string& path, std::string_view content);

/// 64-bit FNV-1a: stable across platforms and versions, for fingerprints in results (not for security).
uint64_t fingerprint(std::string_view text, uint64_t start = 14695981039346656037ULL);

/// 16 hexadecimal digits.
std::string hex_text(uint64_t value);

}  // namespace cstp
