#include "pack_plan.h"

#include <filesystem>
#include <nlohmann/json.hpp>
#include <set>
#include <span>
#include <utility>

#include "cstp/core/error.h"
#include "cstp/core/random.h"
#include "cstp/core/text.h"

namespace cstp {
namespace {

constexpr uint64_t kOrderSeed = 1;  // any: it only has to be the same always

}  // namespace

PackPlan::PackPlan(const PackSetup& setup) : root_(setup.root) {
  number(setup.inputs, true);
  number(setup.inputs, false);
  places_.resize(paths_.size());
  head_.settings = setup.settings;
  std::string named;  // the set that the classes are from
  for (const PackInput& input : setup.inputs) {
    const Dataset& dataset = input.dataset;
    if (!dataset.classes.empty() && !head_.classes.empty() && dataset.classes != head_.classes) {
      throw DataError(cat(dataset.name, ": has other classes than ", named,
                          ", and a pack has one list of classes; pack them into folders of their own (--split)"));
    }
    if (!dataset.classes.empty()) {
      head_.classes = dataset.classes;
      named = dataset.name;
    }
    PackSet set{.part = input.part, .split = input.split, .name = dataset.name, .order = dataset.order};
    for (const VideoRecord& video : dataset.videos) {
      const int64_t number = number_.at(video.path);
      set.videos.push_back(number);
      set.labels.push_back(video.label);
      places_[static_cast<size_t>(number)].push_back({head_.sets.size(), video.label});
    }
    head_.sets.push_back(std::move(set));
  }
}

void PackPlan::number(const std::vector<PackInput>& inputs, bool training) {
  std::vector<std::string> fresh;
  std::set<std::string> seen;
  for (const PackInput& input : inputs) {
    if ((input.part == "train") != training) continue;
    for (const VideoRecord& video : input.dataset.videos) {
      if (!number_.contains(video.path) && seen.insert(video.path).second) fresh.push_back(video.path);
    }
  }
  Rng(kOrderSeed, training ? 0 : 1).shuffle(std::span(fresh));
  for (std::string& path : fresh) {
    number_[path] = std::ssize(paths_);
    paths_.push_back(std::move(path));
  }
}

std::string PackPlan::name(int64_t video) const {
  namespace fs = std::filesystem;
  const std::string& path = paths_[static_cast<size_t>(video)];
  if (root_.empty()) return path;
  const fs::path inside =
      fs::absolute(path).lexically_normal().lexically_relative(fs::absolute(root_).lexically_normal());
  const bool below = !inside.empty() && inside != "." && *inside.begin() != "..";
  return below ? inside.native() : path;
}

std::string PackPlan::description(int64_t video, const RepackedVideo& packed) const {
  const std::vector<Place>& places = places_[static_cast<size_t>(video)];
  const PackSet& first = head_.sets[places.front().set];
  const int64_t label = places.front().label;
  nlohmann::ordered_json json;
  json["key"] = pack_key(video);
  json["path"] = name(video);
  json["label"] = label;
  if (label >= 0) json["class"] = head_.classes[static_cast<size_t>(label)];
  json["split"] = first.part;
  if (first.split > 0) {  // by official split: {"1": "train", "2": "test"}
    for (const Place& place : places) {
      const PackSet& set = head_.sets[place.set];
      json["splits"][std::to_string(set.split)] = set.part;
    }
  }
  json["width"] = packed.source.width;
  json["height"] = packed.source.height;
  json["fps"] = packed.source.fps;
  json["frames"] = packed.source.frames;
  json["packed_width"] = packed.width;
  json["packed_height"] = packed.height;
  return json.dump(-1, ' ', false, nlohmann::json::error_handler_t::replace) + "\n";
}

}  // namespace cstp
