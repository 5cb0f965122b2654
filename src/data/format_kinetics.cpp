// Kinetics csv files (`label,youtube_id,time_start,time_end,split` and variants) beside the videos that are left:
// {id}_{start:06}_{end:06}.mp4 under [split/]class, where the class folder keeps the label's blanks or has `_` for them
// and no '(). Absent videos are counted, not errors.
#include <algorithm>
#include <array>
#include <charconv>
#include <cmath>
#include <cstdio>
#include <map>
#include <optional>

#include "cstp/core/error.h"
#include "cstp/core/text.h"
#include "formats.h"

namespace cstp {
namespace {

/// One line of comma-separated values; a field may stand in quotes, with doubled quotes inside.
std::vector<std::string> csv_fields(std::string_view line) {
  std::vector<std::string> fields(1);
  bool quoted = false;
  for (size_t i = 0; i < line.size(); ++i) {
    const char c = line[i];
    if (quoted && c == '"' && i + 1 < line.size() && line[i + 1] == '"') {
      fields.back() += line[++i];
    } else if (c == '"') {
      quoted = !quoted;
    } else if (c == ',' && !quoted) {
      fields.emplace_back();
    } else {
      fields.back() += c;
    }
  }
  return fields;
}

struct Clip {
  std::string label;  ///< "" where the csv has none
  std::string stem;   ///< file name without its extension
  std::string split;  ///< as written; "" where the csv has no such column
};

int64_t seconds_at(const std::string& text, const std::string& where) {
  double value = 0;
  const auto result = std::from_chars(text.data(), text.data() + text.size(), value);
  if (text.empty() || result.ec != std::errc() || result.ptr != text.data() + text.size() || value < 0 || value > 1e6) {
    throw DataError(cat(where, ": '", text, "' is no time in seconds"));
  }
  return std::llround(value);
}

std::vector<Clip> read_csv(const std::string& path) {
  const std::vector<std::string> lines = annotation_lines(path);
  if (lines.empty())
    throw DataError(cat(path, ": the file is empty; wanted a header with youtube_id, time_start, time_end"));
  const std::vector<std::string> header = csv_fields(lines[0]);
  const auto column = [&header](const char* name) -> std::optional<size_t> {
    const auto found = std::find_if(header.begin(), header.end(),
                                    [name](const std::string& field) { return lower(trim(field)) == name; });
    return found == header.end() ? std::nullopt : std::optional(static_cast<size_t>(found - header.begin()));
  };
  const auto label = column("label"), id = column("youtube_id"), start = column("time_start"), end = column("time_end"),
             split = column("split");
  if (!id || !start || !end) {
    throw DataError(
        cat(at_line(path, 0), ": found the header '", lines[0], "', wanted youtube_id, time_start and time_end in it"));
  }
  std::vector<Clip> clips;
  clips.reserve(lines.size());
  for (size_t i = 1; i < lines.size(); ++i) {
    if (trim(lines[i]).empty()) continue;
    std::vector<std::string> fields = csv_fields(lines[i]);
    if (fields.size() != header.size()) {
      throw DataError(cat(at_line(path, i), ": found ", fields.size(), " fields, and the header has ", header.size()));
    }
    Clip clip;
    if (label) clip.label = fields[*label];
    if (split) clip.split = fields[*split];
    std::array<char, 32> times{};
    std::snprintf(times.data(), times.size(), "_%06lld_%06lld",
                  static_cast<long long>(seconds_at(fields[*start], at_line(path, i))),
                  static_cast<long long>(seconds_at(fields[*end], at_line(path, i))));
    clip.stem = fields[*id] + times.data();
    clips.push_back(std::move(clip));
  }
  return clips;
}

const std::vector<std::string>& spellings(Split split) {
  static const std::vector<std::string> train = {"train"};
  static const std::vector<std::string> test = {"val", "validate", "validation", "test"};  // labelled ones first
  return split == Split::train ? train : test;
}

/// The csv of a split in a folder: its name ends in a spelling of the split ("k400_val.csv"). "" if there is none.
std::string csv_in(const std::string& folder, Split split) {
  if (!is_folder(folder)) return "";
  const std::vector<std::string> files = list_folder(folder).files;
  for (const std::string& spelling : spellings(split)) {
    std::vector<std::string> found;
    std::copy_if(files.begin(), files.end(), std::back_inserter(found),
                 [&](const std::string& file) { return ends_with_ignoring_case(file, spelling + ".csv"); });
    if (found.size() > 1) {
      throw DataError(cat(folder, ": both ", found[0], " and ", found[1], " could be the ", spelling,
                          " csv; name one in data.annotations"));
    }
    if (!found.empty()) return path_in(folder, found[0]);
  }
  return "";
}

/// The clips of one split, and the file they came from ("" if there is none).
std::pair<std::vector<Clip>, std::string> read_split(const DataOptions& options, Split split) {
  if (is_file(options.annotations)) {
    std::vector<Clip> clips = read_csv(options.annotations);
    const bool has_split =
        std::any_of(clips.begin(), clips.end(), [](const Clip& clip) { return !clip.split.empty(); });
    if (!has_split) return {std::move(clips), options.annotations};
    for (const std::string& spelling : spellings(split)) {
      std::vector<Clip> some;
      std::copy_if(clips.begin(), clips.end(), std::back_inserter(some),
                   [&](const Clip& clip) { return lower(trim(clip.split)) == spelling; });
      if (!some.empty()) return {std::move(some), options.annotations};
    }
    return {{}, ""};
  }
  std::vector<std::string> folders = {options.annotations};
  if (options.annotations.empty())
    folders = {path_in(options.root, "annotations"), path_in(options.root, "../annotations"), options.root};
  for (const std::string& folder : folders) {
    const std::string csv = csv_in(folder, split);
    if (!csv.empty()) return {read_csv(csv), csv};
  }
  return {{}, ""};
}

/// A label as any of its folder spellings reduces to: blanks are `_`, '() are gone.
std::string folder_key(std::string_view name) {
  std::string key;
  for (const char c : name) {
    if (c != '\'' && c != '(' && c != ')') key += c == ' ' ? '_' : c;
  }
  return key;
}

/// Where the videos of a split lie: a subfolder named like it, else the root.
std::string video_folder(const DataOptions& options, Split split) {
  const std::string& given = split == Split::train ? options.train : options.test;
  if (!given.empty() && is_folder(path_in(options.root, given))) return path_in(options.root, given);
  for (const std::string& spelling : spellings(split)) {
    if (is_folder(path_in(options.root, spelling))) return path_in(options.root, spelling);
  }
  return options.root;
}

/// Every video below `folder` and its class folders: (class key, stem) -> path; the class key of a flat folder is "".
class VideoIndex {
 public:
  explicit VideoIndex(const std::string& folder) {
    const FolderEntries top = list_folder(folder);
    add("", folder, top.files);
    for (const std::string& name : top.folders)
      add(folder_key(name), path_in(folder, name), list_folder(path_in(folder, name)).files);
  }
  std::string find(const Clip& clip) const {
    for (const std::string& key : {folder_key(clip.label), std::string()}) {
      const auto paths = by_class_.find(key);
      if (paths == by_class_.end()) continue;
      if (const auto path = paths->second.find(clip.stem); path != paths->second.end()) return path->second;
    }
    if (!clip.label.empty()) return "";
    for (const auto& [key, paths] : by_class_) {  // unlabelled clips may lie in any class folder
      if (const auto path = paths.find(clip.stem); path != paths.end()) return path->second;
    }
    return "";
  }

 private:
  void add(const std::string& key, const std::string& folder, const std::vector<std::string>& files) {
    for (const std::string& file : files) {
      if (has_video_extension(file)) by_class_[key].emplace(file.substr(0, file.rfind('.')), path_in(folder, file));
    }
  }
  std::map<std::string, std::unordered_map<std::string, std::string>> by_class_;
};

std::vector<std::string> sorted_labels(const std::vector<Clip>& clips) {
  std::vector<std::string> labels;
  for (const Clip& clip : clips) {
    if (!clip.label.empty() && (labels.empty() || labels.back() != clip.label)) labels.push_back(clip.label);
  }
  std::sort(labels.begin(), labels.end());
  labels.erase(std::unique(labels.begin(), labels.end()), labels.end());
  return labels;
}

}  // namespace

Dataset read_kinetics_format(const DataOptions& options, Split split) {
  const auto [clips, csv] = read_split(options, split);
  if (csv.empty()) {
    throw DataError(
        cat("no kinetics csv for the ", split == Split::train ? "train" : "val or test", " split in ",
            options.annotations.empty() ? cat(options.root, " or its folder annotations") : options.annotations,
            "; set data.annotations to the csv file or to the folder of train.csv and val.csv"));
  }
  Dataset dataset;
  std::string source = csv;
  if (!options.class_file.empty()) {
    source = resolved(options.class_file, options.root);
    dataset.classes = read_class_file(source);
    dataset.order = cat("classes as in ", source);
  } else {
    if (split == Split::test) {  // numbered as in training, whatever this split holds
      auto [train, train_csv] = read_split(options, Split::train);
      dataset.classes = sorted_labels(train);
      if (!dataset.classes.empty()) source = train_csv;
    }
    if (dataset.classes.empty()) dataset.classes = sorted_labels(clips);
    dataset.order = "classes in byte order of the labels";
  }
  dataset.order += cat(", videos as listed in ", csv);
  const ClassIndex index = class_index(dataset.classes, source);

  const VideoIndex videos(video_folder(options, split));
  for (const Clip& clip : clips) {
    int64_t label = -1;
    if (!clip.label.empty()) {
      const auto found = index.find(clip.label);
      if (found == index.end())
        throw DataError(
            cat(csv, ": label '", clip.label, "' is not among the ", dataset.classes.size(), " classes of ", source));
      label = found->second;
    }
    std::string path = videos.find(clip);
    if (path.empty()) {
      ++dataset.missing;
    } else {
      dataset.videos.push_back({std::move(path), label});
    }
  }
  return dataset;
}

}  // namespace cstp
