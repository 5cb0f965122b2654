// Kinetics csv files (`label,youtube_id,time_start,time_end,split` and variants) beside the videos that are left:
// {id}_{start:06}_{end:06}.mp4 under [split/]class, where the class folder keeps the label's blanks or has `_` for them
// and no '(). Absent videos are counted, not errors.
#include <algorithm>
#include <deque>
#include <functional>
#include <map>
#include <memory>
#include <unordered_set>

#include "cstp/core/error.h"
#include "cstp/core/text.h"
#include "formats.h"
#include "kinetics_csv.h"

namespace cstp {
namespace {

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

/// The csv of one split and its path; both empty if there is none.
struct SplitCsv {
  std::unique_ptr<KineticsCsv> csv;
  std::string path;
};

SplitCsv read_split(const DataOptions& options, Split split) {
  if (is_file(options.annotations)) {
    SplitCsv all{std::make_unique<KineticsCsv>(options.annotations), options.annotations};
    std::vector<KineticsClip>& clips = all.csv->clips;
    if (std::all_of(clips.begin(), clips.end(), [](const KineticsClip& clip) { return clip.split.empty(); }))
      return all;
    for (const std::string& spelling : spellings(split)) {
      const auto named = [&](const KineticsClip& clip) { return lower(trim(clip.split)) == spelling; };
      if (std::none_of(clips.begin(), clips.end(), named)) continue;
      std::erase_if(clips, std::not_fn(named));
      return all;
    }
    return {};
  }
  std::vector<std::string> folders = {options.annotations};
  if (options.annotations.empty())
    folders = {path_in(options.root, "annotations"), path_in(options.root, "../annotations"), options.root};
  for (const std::string& folder : folders) {
    const std::string path = csv_in(folder, split);
    if (!path.empty()) return {std::make_unique<KineticsCsv>(path), path};
  }
  return {};
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

/// Every video below `folder` and its class folders, found by class key and file name without extension; the class key
/// of a flat folder is "". Folders are listed once, and no file is asked for by itself.
class VideoIndex {
 public:
  struct Folder {
    std::string path;
    std::vector<std::string> files;
  };
  struct File {
    const Folder* folder;
    const std::string* name;
  };
  using Files = std::unordered_map<std::string_view, File>;  ///< by stem

  explicit VideoIndex(const std::string& folder) {
    FolderEntries top = scan_folder(folder);
    std::sort(top.folders.begin(), top.folders.end());  // of two spellings of a class, the first in byte order
    add("", folder, std::move(top.files));
    for (const std::string& name : top.folders)
      add(folder_key(name), path_in(folder, name), scan_folder(path_in(folder, name)).files);
  }

  /// The places where a clip of this label may lie, the likeliest first.
  std::vector<const Files*> places(std::string_view label) const {
    std::vector<const Files*> result;
    if (label.empty()) {  // in any class folder
      for (const auto& [key, files] : by_class_) result.push_back(&files);
      return result;
    }
    for (const std::string& key : {folder_key(label), std::string()}) {
      if (const auto files = by_class_.find(key); files != by_class_.end()) result.push_back(&files->second);
    }
    return result;
  }
  /// "" if it is in none of them.
  static std::string find(const std::vector<const Files*>& places, const std::string& stem) {
    for (const Files* files : places) {
      if (const auto file = files->find(stem); file != files->end())
        return path_in(file->second.folder->path, *file->second.name);
    }
    return "";
  }

 private:
  void add(const std::string& key, const std::string& path, std::vector<std::string> names) {
    const Folder& folder = folders_.emplace_back(Folder{path, std::move(names)});
    Files& files = by_class_[key];
    files.reserve(files.size() + folder.files.size());
    for (const std::string& name : folder.files) {
      if (!has_video_extension(name)) continue;
      const auto [known, fresh] =
          files.emplace(std::string_view(name).substr(0, name.rfind('.')), File{&folder, &name});
      if (!fresh && known->second.folder == &folder && name < *known->second.name) known->second.name = &name;
    }
  }

  std::deque<Folder> folders_;  // stay where they are
  std::map<std::string, Files> by_class_;
};

std::vector<std::string> sorted_labels(const std::vector<KineticsClip>& clips) {
  std::unordered_set<std::string_view> seen;
  for (const KineticsClip& clip : clips) {
    if (!clip.label.empty()) seen.insert(clip.label);
  }
  std::vector<std::string> labels(seen.begin(), seen.end());
  std::sort(labels.begin(), labels.end());
  return labels;
}

}  // namespace

Dataset read_kinetics_format(const DataOptions& options, Split split) {
  const auto [csv, path] = read_split(options, split);
  if (!csv) {
    throw DataError(
        cat("no kinetics csv for the ", split == Split::train ? "train" : "val or test", " split in ",
            options.annotations.empty() ? cat(options.root, " or its folder annotations") : options.annotations,
            "; set data.annotations to the csv file or to the folder of train.csv and val.csv"));
  }
  Dataset dataset;
  std::string source = path;
  if (!options.class_file.empty()) {
    source = resolved(options.class_file, options.root);
    dataset.classes = read_class_file(source);
    dataset.order = cat("classes as in ", source);
  } else {
    if (split == Split::test) {  // numbered as in training, whatever this split holds
      const SplitCsv train = read_split(options, Split::train);
      if (train.csv) dataset.classes = sorted_labels(train.csv->clips);
      if (!dataset.classes.empty()) source = train.path;
    }
    if (dataset.classes.empty()) dataset.classes = sorted_labels(csv->clips);
    dataset.order = "classes in byte order of the labels";
  }
  dataset.order += cat(", videos as listed in ", path);
  const ClassIndex index = class_index(dataset.classes, source);

  const VideoIndex videos(video_folder(options, split));
  struct Class {
    int64_t label;
    std::vector<const VideoIndex::Files*> places;
  };
  std::unordered_map<std::string_view, Class> classes;  // few labels, many clips
  for (const KineticsClip& clip : csv->clips) {
    auto known = classes.find(clip.label);
    if (known == classes.end()) {
      const auto found = index.find(std::string(clip.label));
      if (found == index.end() && !clip.label.empty()) {
        throw DataError(
            cat(path, ": label '", clip.label, "' is not among the ", dataset.classes.size(), " classes of ", source));
      }
      const int64_t label = clip.label.empty() ? -1 : found->second;
      known = classes.emplace(clip.label, Class{label, videos.places(clip.label)}).first;
    }
    std::string video = VideoIndex::find(known->second.places, clip.stem());
    if (video.empty()) {
      ++dataset.missing;
    } else {
      dataset.videos.push_back({std::move(video), known->second.label});
    }
  }
  return dataset;
}

}  // namespace cstp
