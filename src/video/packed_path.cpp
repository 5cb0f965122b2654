#include "cstp/video/packed_path.h"

#include <charconv>

#include "cstp/core/text.h"

namespace cstp {
namespace {

constexpr std::string_view kMark = ".tar#";

/// Takes a number and the character behind it off `text`.
bool take_number(std::string_view& text, char behind, int64_t& value) {
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value);
  const auto length = static_cast<size_t>(end - text.data());
  if (error != std::errc() || value < 0 || length >= text.size() || text[length] != behind) return false;
  text.remove_prefix(length + 1);
  return true;
}

}  // namespace

std::string PackedPath::text() const { return cat(shard, '#', offset, '+', size, '/', name); }

std::optional<PackedPath> parse_packed_path(std::string_view path) {
  for (size_t at = path.find(kMark); at != std::string_view::npos; at = path.find(kMark, at + 1)) {
    PackedPath packed;
    std::string_view rest = path.substr(at + kMark.size());
    if (!take_number(rest, '+', packed.offset) || !take_number(rest, '/', packed.size)) continue;
    packed.shard = path.substr(0, at + kMark.size() - 1);
    packed.name = rest;
    return packed;
  }
  return std::nullopt;
}

std::string file_holding(const std::string& path) {
  const auto packed = parse_packed_path(path);
  return packed ? packed->shard : path;
}

}  // namespace cstp
