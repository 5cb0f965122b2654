#include "kinetics_csv.h"

#include <algorithm>
#include <charconv>
#include <cmath>
#include <functional>
#include <optional>

#include "cstp/core/error.h"
#include "cstp/core/text.h"
#include "formats.h"

namespace cstp {
namespace {

/// The text up to the next line end, without it; `text` goes on behind it.
std::string_view next_line(std::string_view& text) {
  const auto end = std::min(text.find('\n'), text.size());
  std::string_view line = text.substr(0, end);
  text.remove_prefix(std::min(end + 1, text.size()));
  if (line.ends_with('\r')) line.remove_suffix(1);
  return line;
}

int64_t seconds_at(std::string_view text, const std::function<std::string()>& where) {
  double value = 0;
  const auto result = std::from_chars(text.data(), text.data() + text.size(), value);
  if (text.empty() || result.ec != std::errc() || result.ptr != text.data() + text.size() || value < 0 || value > 1e6) {
    throw DataError(cat(where(), ": '", text, "' is no time in seconds"));
  }
  return std::llround(value);
}

void append_six_digits(std::string& text, int64_t value) {
  const std::string digits = std::to_string(value);
  text.append(digits.size() < 6 ? 6 - digits.size() : 0, '0').append(digits);
}

}  // namespace

std::string KineticsClip::stem() const {
  std::string text;
  text.reserve(id.size() + 16);
  text.append(id).append(1, '_');
  append_six_digits(text, start);
  text += '_';
  append_six_digits(text, end);
  return text;
}

/// A field may stand in quotes, with doubled quotes inside.
std::string_view KineticsCsv::unquoted(std::string_view field) {
  if (field.find('"') == std::string_view::npos) return field;
  const bool wrapped = field.size() >= 2 && field.starts_with('"') && field.ends_with('"');
  if (wrapped && field.substr(1, field.size() - 2).find('"') == std::string_view::npos)
    return field.substr(1, field.size() - 2);
  std::string& text = unquoted_.emplace_back();
  bool quoted = false;
  for (size_t i = 0; i < field.size(); ++i) {
    if (field[i] != '"') {
      text += field[i];
    } else if (quoted && i + 1 < field.size() && field[i + 1] == '"') {
      text += field[++i];
    } else {
      quoted = !quoted;
    }
  }
  return text;
}

void KineticsCsv::split_fields(std::string_view line, std::vector<std::string_view>& fields) {
  fields.clear();
  size_t first = 0;
  bool quoted = false;  // a doubled quote inside quotes closes and opens them again
  for (size_t i = 0; i <= line.size(); ++i) {
    if (i == line.size() || (line[i] == ',' && !quoted)) {
      fields.push_back(unquoted(line.substr(first, i - first)));
      first = i + 1;
    } else if (line[i] == '"') {
      quoted = !quoted;
    }
  }
}

KineticsCsv::KineticsCsv(const std::string& path) : text_(read_text_file(path)) {
  std::string_view rest = text_;
  if (rest.starts_with("\xEF\xBB\xBF")) rest.remove_prefix(3);
  if (rest.empty())
    throw DataError(cat(path, ": the file is empty; wanted a header with youtube_id, time_start, time_end"));
  const std::string_view first = next_line(rest);
  std::vector<std::string_view> fields;
  split_fields(first, fields);
  const size_t width = fields.size();
  const auto column = [&fields](const char* name) -> std::optional<size_t> {
    const auto found = std::find_if(fields.begin(), fields.end(),
                                    [name](std::string_view field) { return lower(trim(field)) == name; });
    return found == fields.end() ? std::nullopt : std::optional(static_cast<size_t>(found - fields.begin()));
  };
  const auto label = column("label"), id = column("youtube_id"), start = column("time_start"), end = column("time_end"),
             split = column("split");
  if (!id || !start || !end) {
    throw DataError(
        cat(at_line(path, 0), ": found the header '", first, "', wanted youtube_id, time_start and time_end in it"));
  }
  clips.reserve(static_cast<size_t>(std::count(rest.begin(), rest.end(), '\n')) + 1);
  for (size_t i = 1; !rest.empty(); ++i) {
    const std::string_view line = next_line(rest);
    if (trim(line).empty()) continue;
    split_fields(line, fields);
    if (fields.size() != width)
      throw DataError(cat(at_line(path, i), ": found ", fields.size(), " fields, and the header has ", width));
    const auto where = [&] { return at_line(path, i); };
    KineticsClip& clip = clips.emplace_back();
    if (label) clip.label = fields[*label];
    if (split) clip.split = fields[*split];
    clip.id = fields[*id];
    clip.start = seconds_at(fields[*start], where);
    clip.end = seconds_at(fields[*end], where);
  }
}

}  // namespace cstp
