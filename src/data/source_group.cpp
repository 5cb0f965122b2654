#include "cstp/data/source_group.h"

#include <algorithm>

#include "formats.h"

namespace cstp {
namespace {

bool all_digits(std::string_view text) {
  return !text.empty() && std::all_of(text.begin(), text.end(), [](char c) { return c >= '0' && c <= '9'; });
}
bool letters(std::string_view text, size_t count) {
  return text.size() == count && std::all_of(text.begin(), text.end(), [](char c) { return c >= 'a' && c <= 'z'; });
}
/// `first` and then digits: "g08", "np1".
bool numbered(std::string_view text, std::string_view first) {
  return text.starts_with(first) && all_digits(text.substr(first.size()));
}

/// Cuts the last "_part" off `stem`.
std::string_view cut_last(std::string_view& stem) {
  const auto line = stem.rfind('_');
  if (line == std::string_view::npos) return {};
  const std::string_view part = stem.substr(line + 1);
  stem = stem.substr(0, line);
  return part;
}

}  // namespace

std::string source_group(std::string_view path) {
  std::string_view stem = path.substr(path.rfind('/') + 1);  // npos + 1 is 0
  if (has_video_extension(stem)) stem = stem.substr(0, stem.rfind('.'));

  std::string_view ucf = stem;
  if (ucf.starts_with("v_") && numbered(cut_last(ucf), "c")) {
    std::string_view rest = ucf;
    if (numbered(cut_last(rest), "g")) return std::string(ucf);
  }
  std::string_view hmdb = stem;
  if (all_digits(cut_last(hmdb)) && letters(cut_last(hmdb), 3) && letters(cut_last(hmdb), 2) &&
      numbered(cut_last(hmdb), "np") && letters(cut_last(hmdb), 2) && letters(cut_last(hmdb), 1)) {
    return std::string(hmdb);
  }
  return "";
}

}  // namespace cstp
