#include "cstp/data/flow_store.h"

#include <algorithm>
#include <cmath>
#include <filesystem>
#include <nlohmann/json.hpp>

#include "cstp/core/error.h"
#include "cstp/core/text.h"
#include "cstp/video/packed_path.h"
#include "flow_file.h"

namespace cstp {
namespace {

namespace fs = std::filesystem;

FlowSettings parse_settings(const std::string& path) {
  const std::string text = read_text_file(path);
  try {
    const auto json = nlohmann::json::parse(text);
    FlowSettings settings;
    settings.flow.method = json.at("method");
    settings.flow.preset = json.at("preset");
    settings.short_side = json.at("short_side");
    settings.codec.name = json.at("codec");
    settings.codec.quality = json.at("quality");
    if (settings.text() == text) return settings;
  } catch (const nlohmann::json::exception&) {}
  throw DataError(cat(path, ": is not what `cstp data flow` of this version writes; make the dump again"));
}

}  // namespace

std::string FlowSettings::text() const {
  nlohmann::ordered_json json;
  json["format"] = "cstp flow 1";
  json["method"] = flow.method;
  json["preset"] = flow.method == "dis" ? flow.preset : "";
  json["short_side"] = short_side;
  json["clip"] = kFlowClip;
  json["codec"] = codec.name;
  json["quality"] = codec.name == "jpeg" ? codec.quality : 0;
  return json.dump(2) + "\n";
}

uint8_t flow_byte(float pixels) {
  if (!std::isfinite(pixels)) pixels = 0;
  const double value = std::clamp(static_cast<double>(pixels), -kFlowClip, kFlowClip);
  return static_cast<uint8_t>(std::lround(255 * (value + kFlowClip) / (2 * kFlowClip)));
}

std::string flow_file_name(const std::string& folder, const std::string& root, const std::string& video) {
  if (const auto packed = parse_packed_path(video)) return flow_file_name(folder, "", packed->name);
  const fs::path absolute = fs::absolute(video).lexically_normal();
  const fs::path inside = root.empty() ? fs::path(video).lexically_normal()
                                       : absolute.lexically_relative(fs::absolute(root).lexically_normal());
  if (inside.empty() || inside.is_absolute() || inside == "." || *inside.begin() == "..") {
    return (fs::path(folder) / "outside" /
            cat(hex_text(fingerprint(absolute.native())), "_", absolute.filename().native(), ".flow"))
        .native();
  }
  return (fs::path(folder) / inside).native() + ".flow";
}

FlowStore::FlowStore(const std::string& folder, const std::string& root) : folder_(folder), root_(root) {
  const std::string path = (fs::path(folder) / "flow.json").native();
  if (!fs::exists(path)) {
    throw DataError(cat(folder,
                        ": is no dump of optical flow (there is no flow.json in it); make one with `cstp data "
                        "flow --config ... --output ",
                        folder, "`"));
  }
  settings_ = parse_settings(path);
}

std::string FlowStore::file_of(const std::string& video) const { return flow_file_name(folder_, root_, video); }

int64_t FlowStore::fields(const std::string& video) const { return FlowFileReader(file_of(video)).header().fields; }

FlowFields FlowStore::read(const std::string& video, int64_t first, int64_t count) const {
  check(first >= 0 && count > 0, "FlowStore::read: no fields were asked for");
  const std::string path = file_of(video);
  const FlowFileReader file(path);
  const FlowFileHeader& header = file.header();
  if (header.settings != fingerprint(settings_.text())) {
    throw DecodeError(cat(path, ": was made with other settings than the flow.json of its dump says"));
  }
  if (first + count > header.fields) {
    throw DecodeError(cat(path, ": has ", header.fields, " fields, and ", first, " to ", first + count - 1,
                          " were asked for; the video ", video, " may have changed since: run `cstp data flow` again"));
  }
  FlowFields fields{.count = count, .width = header.width, .height = header.height, .bytes = {}};
  const int64_t size = header.width * header.height;
  fields.bytes.resize(static_cast<size_t>(2 * count * size));
  const std::vector<std::string> planes = file.planes(2 * first, 2 * count);
  for (size_t i = 0; i < planes.size(); ++i) {
    const auto target = std::span(fields.bytes).subspan(i * static_cast<size_t>(size), static_cast<size_t>(size));
    if (!decompress_plane(planes[i], header.width, header.height, target)) {
      throw DecodeError(cat(path, ": field ", first + static_cast<int64_t>(i) / 2, " is damaged"));
    }
  }
  return fields;
}

}  // namespace cstp
