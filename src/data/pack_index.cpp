#include "pack_index.h"

#include <algorithm>
#include <cstdio>
#include <filesystem>
#include <nlohmann/json.hpp>
#include <optional>

#include "cstp/core/error.h"
#include "cstp/core/text.h"
#include "formats.h"

namespace cstp {
namespace {

using nlohmann::json;
using nlohmann::ordered_json;

constexpr const char* kFormat = "cstp pack 1";
constexpr const char* kEnd = "cstp pack";

/// Names of files are bytes; those that are no UTF-8 cannot stand in JSON.
ordered_json name_json(const std::string& name) {
  try {
    ordered_json(name).dump();
    return name;
  } catch (const json::exception&) {
    std::string hex;
    for (const char c : name) hex += hex_text(static_cast<uint8_t>(c)).substr(14);
    return {{"hex", hex}};
  }
}

std::string name_of(const json& value) {
  if (value.is_string()) return value.get<std::string>();
  const std::string hex = value.at("hex");
  std::string name;
  for (size_t i = 0; i + 1 < hex.size(); i += 2) name += static_cast<char>(std::stoi(hex.substr(i, 2), nullptr, 16));
  return name;
}

uint64_t sum_of(const json& value) { return std::stoull(value.get<std::string>(), nullptr, 16); }

PackSet set_of(const json& line) {
  PackSet set{.part = line.at("set"),
              .split = line.at("split"),
              .name = name_of(line.at("name")),
              .order = name_of(line.at("order")),
              .videos = line.at("videos"),
              .labels = line.at("labels")};
  if (set.videos.size() != set.labels.size()) throw std::invalid_argument("labels");
  return set;
}

PackEntry entry_of(const json& line) {
  PackEntry entry{.video = line.at("video"), .path = name_of(line.at("path")), .source_bytes = line.at("source_bytes")};
  if (line.contains("bad")) {
    entry.bad = line.at("bad");
    return entry;
  }
  entry.shard = line.at("shard");
  entry.offset = line.at("offset");
  entry.size = line.at("size");
  entry.sum = sum_of(line.at("sum"));
  entry.frames = line.at("frames");
  entry.end = line.at("end");
  return entry;
}

PackHead head_of(const json& line, const std::string& path) {
  const std::string format = line.at("format");
  if (format != kFormat) {
    throw DataError(cat(path, ": is of the format '", format, "', and this program reads '", kFormat,
                        "'; pack the videos with the same version that reads them"));
  }
  PackHead head;
  const json& settings = line.at("settings");
  head.settings = {.short_side = settings.at("short_side"),
                   .gop = settings.at("gop"),
                   .quality = settings.at("crf"),
                   .shard_mb = settings.at("shard_mb")};
  for (const json& name : line.at("classes")) head.classes.push_back(name_of(name));
  return head;
}

[[noreturn]] void damaged(const std::string& path, size_t line) {
  throw DataError(cat(path, ":", line + 1, ": is damaged; copy it from where it is whole, or pack the videos again"));
}

/// @param whole false: reading ends without complaint at the first entry that is torn
PackIndex parse(const std::string& path, const std::vector<std::string>& lines, size_t count, bool whole) {
  PackIndex index;
  for (size_t i = 0; i < count; ++i) {
    try {
      const json line = json::parse(lines[i]);
      if (i == 0) {
        index.head = head_of(line, path);
      } else if (line.contains("set")) {
        index.head.sets.push_back(set_of(line));
      } else {
        index.entries.push_back(entry_of(line));
      }
    } catch (const DataError&) {
      throw;
    } catch (const std::exception&) {  // of json, or of numbers in text
      if (whole || i == 0) damaged(path, i);
      return index;
    }
  }
  if (count == 0) damaged(path, 0);
  return index;
}

}  // namespace

std::string PackSettings::text() const {
  return cat("short side ", short_side, ", ", gop == 1 ? "every frame a key frame" : cat("GOP ", gop), ", crf ",
             quality);
}

std::string PackHead::text() const {
  ordered_json names = ordered_json::array();
  for (const std::string& name : classes) names.push_back(name_json(name));
  ordered_json first = {{"format", kFormat},
                        {"settings",
                         {{"short_side", settings.short_side},
                          {"gop", settings.gop},
                          {"crf", settings.quality},
                          {"shard_mb", settings.shard_mb},
                          {"codec", "libx264 medium fastdecode, no B-frames"}}},
                        {"classes", names}};
  std::string text = first.dump() + "\n";
  for (const PackSet& set : sets) {
    const ordered_json line = {
        {"set", set.part},      {"split", set.split},  {"name", name_json(set.name)}, {"order", name_json(set.order)},
        {"videos", set.videos}, {"labels", set.labels}};
    text += line.dump() + "\n";
  }
  return text;
}

std::string PackEntry::line() const {
  ordered_json json = {{"video", video}, {"path", name_json(path)}, {"source_bytes", source_bytes}};
  if (!bad.empty()) {
    json["bad"] = bad;
  } else {
    json["shard"] = shard;
    json["offset"] = offset;
    json["size"] = size;
    json["sum"] = hex_text(sum);
    json["frames"] = frames;
    json["end"] = end;
  }
  return json.dump(-1, ' ', false, json::error_handler_t::replace) + "\n";
}

std::string pack_index_text(const PackHead& head, const std::vector<PackEntry>& entries) {
  std::string text = head.text();
  for (const PackEntry& entry : entries) text += entry.line();
  const size_t lines = 1 + head.sets.size() + entries.size();
  return text + ordered_json{{"end", kEnd}, {"lines", lines}, {"sum", hex_text(fingerprint(text))}}.dump() + "\n";
}

PackIndex read_pack_index(const std::string& folder) {
  const std::string path = path_in(folder, kPackIndex);
  if (!is_file(path)) {
    const bool begun = is_file(path_in(folder, kPackJournal));
    throw DataError(begun
                        ? cat(folder, ": its packing was not finished; run the same `cstp data pack` again, it goes on")
                        : cat(folder, ": holds no packed videos (there is no ", kPackIndex,
                              " in it); make them with `cstp data pack --config ... --output ", folder, "`"));
  }
  const std::string text = read_text_file(path);
  const std::vector<std::string> lines = split_lines(text);
  const std::string cut =
      cat(path, ": is cut short or damaged; copy it from where it is whole, or pack the videos again");
  const json last = lines.empty() ? json() : json::parse(lines.back(), nullptr, false);
  if (!last.is_object() || !last.contains("end") || !last.contains("lines") || !last.contains("sum") ||
      last["lines"] != lines.size() - 1) {
    // An older or newer program may end its index in another way: say so rather than "damaged".
    const json first = lines.empty() ? json() : json::parse(lines.front(), nullptr, false);
    if (first.is_object() && first.contains("format") && first["format"].is_string()) {
      const std::string format = first["format"];
      if (format != kFormat) head_of(first, path);
    }
    throw DataError(cut);
  }
  const std::string_view above = std::string_view(text).substr(0, text.rfind(lines.back()));
  const PackIndex index = parse(path, lines, lines.size() - 1, true);
  if (last["sum"] != hex_text(fingerprint(above))) throw DataError(cut);
  return index;
}

PackIndex read_pack_journal(const std::string& folder) {
  const std::string path = path_in(folder, kPackJournal);
  const std::string text = read_text_file(path);
  const std::vector<std::string> lines = split_lines(text);
  // The last line counts if its end is there.
  const size_t whole = text.ends_with('\n') || lines.empty() ? lines.size() : lines.size() - 1;
  if (whole == 0) return {};
  return parse(path, lines, whole, false);
}

int64_t pack_file_size(const std::string& path) {
  std::error_code error;
  const auto size = std::filesystem::file_size(path, error);
  return error ? 0 : static_cast<int64_t>(size);
}

std::string pack_shard_path(const std::string& folder, int64_t shard) {
  char name[32];
  std::snprintf(name, sizeof name, "shard-%06lld.tar", static_cast<long long>(shard));
  return path_in(folder, name);
}

std::string pack_key(int64_t video) {
  char key[24];
  std::snprintf(key, sizeof key, "%09lld", static_cast<long long>(video));
  return key;
}

}  // namespace cstp
