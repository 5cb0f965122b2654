// HMDB51's official lists: 51 files CLASS_test_splitN.txt, each line `video.avi id ` with id 1 = train, 2 = test, 0 =
// unused. The class is in the file's name. Video names hold # & ( ) ! ; [ ] +, so nothing is a comment and nothing is
// globbed.
#include <algorithm>

#include "cstp/core/error.h"
#include "cstp/core/text.h"
#include "formats.h"

namespace cstp {
namespace {

/// The folder among `candidates` that has files ending in `ending`, and their class names in byte order.
std::pair<std::string, std::vector<std::string>> find_lists(const DataOptions& options, const std::string& ending) {
  std::vector<std::string> candidates = {options.annotations};
  if (options.annotations.empty()) {
    candidates = {path_in(options.root, "testTrainMulti_7030_splits"),
                  path_in(options.root, "../testTrainMulti_7030_splits"), path_in(options.root, "test_train_splits"),
                  path_in(options.root, "../test_train_splits"), options.root};
  }
  for (const std::string& folder : candidates) {
    if (!is_folder(folder)) continue;
    std::vector<std::string> classes;
    for (const std::string& file : list_folder(folder).files) {
      if (file.size() > ending.size() && file.ends_with(ending))
        classes.push_back(file.substr(0, file.size() - ending.size()));
    }
    std::sort(
        classes.begin(),
        classes.end());  // the files' order is that of "a_test", which differs where a name ends in another's start
    if (!classes.empty()) return {folder, classes};
  }
  throw DataError(cat("no files *", ending, " in ", join(candidates, ", "),
                      "; set data.annotations to the folder of the hmdb51 lists"));
}

}  // namespace

Dataset read_hmdb51_format(const DataOptions& options, Split split) {
  const std::string ending = cat("_test_split", options.split, ".txt");
  const auto [annotations, listed] = find_lists(options, ending);
  const std::string class_file = options.class_file.empty() ? "" : resolved(options.class_file, options.root);
  Dataset dataset;
  dataset.classes = class_file.empty() ? listed : read_class_file(class_file);
  dataset.order = cat("classes ", class_file.empty() ? "in byte order of their names" : cat("as in ", class_file),
                      ", videos by class, then as listed in ", annotations);
  const ClassIndex index = class_index(dataset.classes, class_file.empty() ? annotations : class_file);
  for (const std::string& name : listed) {
    if (!index.contains(name))
      throw DataError(cat(class_file, ": class '", name, "' of ", annotations, " is not among its names"));
  }

  const std::string nested = path_in(options.root, "hmdb51_org");
  const std::string videos = is_folder(nested) ? nested : options.root;
  const int64_t wanted = split == Split::train ? 1 : 2;
  VideoFiles files;
  std::vector<std::string> missing;
  for (size_t label = 0; label < dataset.classes.size(); ++label) {
    const std::string& name = dataset.classes[label];
    const std::string list = path_in(annotations, name + ending);
    if (!is_file(list)) continue;  // a class that only class_file names
    const std::vector<std::string> lines = annotation_lines(list);
    for (size_t i = 0; i < lines.size(); ++i) {
      const std::string_view line = trim(lines[i]);
      if (line.empty()) continue;
      const LastField fields = last_field(line);
      int64_t id = 0;
      if (fields.rest.empty() || !parse_integer(fields.field, id) || id < 0 || id > 2) {
        throw DataError(cat(at_line(list, i), ": found '", line,
                            "', wanted 'video.avi id' with id 0 (unused), 1 (train) or 2 (test)"));
      }
      if (id != wanted) continue;
      const std::string file = files.find(path_in(videos, name), std::string(fields.rest));
      if (file.empty()) {
        missing.push_back(path_in(name, fields.rest));
      } else {
        dataset.videos.push_back({file, static_cast<int64_t>(label)});
      }
    }
  }
  require_present(missing, missing.size() + dataset.videos.size(), cat(annotations, " split ", options.split),
                  cat("data.root is '", options.root, "', videos are looked for in ", videos, "/class"));
  return dataset;
}

}  // namespace cstp
