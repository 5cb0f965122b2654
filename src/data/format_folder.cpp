// Folder per class: root/[split/]CLASS/.../video. The class is the first folder below the split's.
#include <algorithm>

#include "cstp/core/error.h"
#include "cstp/core/log.h"
#include "cstp/core/text.h"
#include "cstp/data/flow_dump.h"
#include "formats.h"

namespace cstp {
namespace {

constexpr int kDeepest = 32;  // a link that leads back up ends here

/// Appends the videos below `folder`, as paths relative to the first call's folder.
void collect(const std::string& folder, const std::string& relative, int depth, std::vector<std::string>& videos) {
  if (depth > kDeepest)
    throw DataError(cat(folder, ": folders are nested more than ", kDeepest, " deep; is a link leading back up?"));
  const FolderEntries entries = list_folder(folder);
  for (const std::string& file : entries.files) {
    if (has_video_extension(file)) videos.push_back(path_in(relative, file));
  }
  for (const std::string& inner : entries.folders)
    collect(path_in(folder, inner), path_in(relative, inner), depth + 1, videos);
}

bool holds_video(const std::string& folder, int depth = 0) {
  if (depth > kDeepest) return false;
  const FolderEntries entries = list_folder(folder);
  return std::any_of(entries.files.begin(), entries.files.end(), has_video_extension) ||
         std::any_of(entries.folders.begin(), entries.folders.end(),
                     [&](const std::string& inner) { return holds_video(path_in(folder, inner), depth + 1); });
}

/// The first of root's usual subfolders that exists, "" if none does.
std::string usual(const std::string& root, std::initializer_list<const char*> names) {
  for (const char* name : names) {
    if (is_folder(path_in(root, name))) return path_in(root, name);
  }
  return "";
}

/// The folder of a split; "" where the root has none.
std::string split_folder(const DataOptions& options, Split split) {
  const std::string& given = split == Split::train ? options.train : options.test;
  if (!given.empty()) {
    const std::string folder = is_folder(path_in(options.root, given)) ? path_in(options.root, given) : given;
    if (is_folder(folder)) return folder;
    throw DataError(cat("data.", split == Split::train ? "train" : "test", ": '", given, "' is no folder in ",
                        options.root, "; format folder wants the subfolder that holds the class folders"));
  }
  const std::string train = usual(options.root, {"train"});
  const std::string test = usual(options.root, {"test", "val", "validation"});
  if (split == Split::test) return test;
  return train.empty() && test.empty() ? options.root : train;
}

/// Class folders in byte order; those without a video are no classes.
std::vector<std::string> class_folders(const std::string& folder) {
  std::vector<std::string> classes;
  for (const std::string& name : list_folder(folder).folders) {
    if (holds_video(path_in(folder, name))) {
      classes.push_back(name);
    } else {
      log::warn_once(path_in(folder, name),
                     cat(path_in(folder, name), ": no videos in it; it was not taken for a class"));
    }
  }
  return classes;
}

}  // namespace

std::vector<std::string> videos_below(const std::string& folder) {
  std::vector<std::string> videos;
  collect(folder, folder, 0, videos);
  std::sort(videos.begin(), videos.end());
  return videos;
}

Dataset read_folder_format(const DataOptions& options, Split split) {
  const std::string folder = split_folder(options, split);
  if (folder.empty()) {
    throw DataError(split == Split::train
                        ? cat(options.root,
                              ": there is a test or val folder but no 'train'; set data.train to the subfolder of the "
                              "training videos")
                        : cat(options.root,
                              ": there is no folder 'test' or 'val'; set data.test to the subfolder of the test videos "
                              "('.' takes the whole root)"));
  }
  Dataset dataset;
  // Both splits number the classes as the training split does, whatever classes the test split happens to hold.
  std::string source = options.class_file.empty() ? "" : resolved(options.class_file, options.root);
  if (!source.empty()) {
    dataset.classes = read_class_file(source);
    dataset.order = cat("classes as in ", source);
  } else {
    source = folder;
    if (split == Split::test) {
      const std::string train = split_folder(options, Split::train);
      if (!train.empty() && train != options.root) source = train;
    }
    dataset.classes = class_folders(source);
    dataset.order = "classes in byte order of their folder names";
  }
  dataset.order += ", videos by class, then in byte order of their paths";
  const ClassIndex index = class_index(dataset.classes, source);

  const FolderEntries top = list_folder(folder);
  std::vector<std::vector<std::string>> by_class(dataset.classes.size());
  for (const std::string& name : top.folders) {
    std::vector<std::string> videos;
    collect(path_in(folder, name), name, 1, videos);
    if (videos.empty()) continue;
    const auto label = index.find(name);
    if (label == index.end()) {
      throw DataError(cat(path_in(folder, name), ": class '", name, "' is not among the ", dataset.classes.size(),
                          " classes of ", source, "; name all classes in a data.class_file, or move the folder away"));
    }
    std::sort(videos.begin(), videos.end());
    by_class[static_cast<size_t>(label->second)] = std::move(videos);
  }
  for (size_t label = 0; label < by_class.size(); ++label) {
    for (const std::string& video : by_class[label]) {
      dataset.videos.push_back({path_in(folder, video), static_cast<int64_t>(label)});
    }
  }

  std::vector<std::string> loose;
  std::copy_if(top.files.begin(), top.files.end(), std::back_inserter(loose), has_video_extension);
  if (dataset.videos.empty()) {  // a flat folder of unlabelled videos
    for (const std::string& video : loose) dataset.videos.push_back({path_in(folder, video), -1});
    if (!loose.empty() && options.class_file.empty()) dataset.classes.clear();
  } else if (!loose.empty()) {
    log::common_warning(folder, ": ", count_text(std::ssize(loose)), " videos lie beside the class folders (",
                        loose.front(), "); they have no class and were left out");
  }
  return dataset;
}

}  // namespace cstp
