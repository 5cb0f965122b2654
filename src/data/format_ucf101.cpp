// UCF101's official lists: classInd.txt (`1 ApplyEyeMakeup`), trainlist0N.txt (`Class/v_x.avi 1`), testlist0N.txt
// (paths alone). Labels follow classInd.txt, which is no byte order (Hammering stands before HammerThrow), and the
// class is the folder of the path: HandstandPushups holds files called v_HandStandPushups_*.
#include "cstp/core/error.h"
#include "cstp/core/text.h"
#include "formats.h"

namespace cstp {
namespace {

std::vector<std::string> read_class_ind(const std::string& path) {
  std::vector<std::string> classes;
  const std::vector<std::string> lines = annotation_lines(path);
  for (size_t i = 0; i < lines.size(); ++i) {
    const std::string_view line = trim(lines[i]);
    if (line.empty()) continue;
    const LastField fields = last_field(line);
    int64_t id = 0;
    if (!parse_integer(fields.rest, id) || id != std::ssize(classes) + 1) {
      throw DataError(cat(at_line(path, i), ": found '", line, "', wanted '", classes.size() + 1, " ClassName'"));
    }
    classes.emplace_back(fields.field);
  }
  if (classes.empty()) throw DataError(cat(path, ": no classes in it; wanted lines like '1 ApplyEyeMakeup'"));
  return classes;
}

}  // namespace

Dataset read_ucf101_format(const DataOptions& options, Split split) {
  const bool train = split == Split::train;
  const std::string annotations = find_annotations(
      options.annotations,
      {path_in(options.root, "ucfTrainTestlist"), path_in(options.root, "../ucfTrainTestlist"), options.root},
      "classInd.txt", "ucf101");
  const std::string class_file =
      options.class_file.empty() ? path_in(annotations, "classInd.txt") : resolved(options.class_file, options.root);
  Dataset dataset;
  dataset.classes = options.class_file.empty() ? read_class_ind(class_file) : read_class_file(class_file);
  const ClassIndex index = class_index(dataset.classes, class_file);
  const std::string list = path_in(annotations, cat(train ? "trainlist0" : "testlist0", options.split, ".txt"));
  dataset.order = cat("classes as in ", class_file, ", videos as listed in ", list);

  const std::string nested = path_in(options.root, "UCF-101");
  const std::string videos = is_folder(nested) ? nested : options.root;
  VideoFiles files;
  std::vector<std::string> missing;
  const std::vector<std::string> lines = annotation_lines(list);
  for (size_t i = 0; i < lines.size(); ++i) {
    const std::string_view line = trim(lines[i]);
    if (line.empty()) continue;
    std::string_view path = line;
    int64_t given = 0;  // 1-based; 0 where the line has no label
    if (const LastField fields = last_field(line); parse_integer(fields.field, given)) path = fields.rest;
    const auto slash = path.find('/');
    const std::string folder(path.substr(0, slash == std::string_view::npos ? 0 : slash));
    const auto label = index.find(folder);
    if (label == index.end()) {
      throw DataError(cat(at_line(list, i), ": '", path, "' lies in no class folder of ", class_file,
                          "; wanted 'Class/video.avi'"));
    }
    const bool overridden =
        !options.class_file.empty();  // then the order is the user's, and the lists' numbers are not
    if (given != 0 && !overridden && given != label->second + 1) {
      throw DataError(cat(at_line(list, i), ": label ", given, " disagrees with ", class_file, ", where ", folder,
                          " is ", label->second + 1, " (counted from 1)"));
    }
    const std::string file = files.find(path_in(videos, folder), std::string(path.substr(slash + 1)));
    if (file.empty()) {
      missing.emplace_back(path);
    } else {
      dataset.videos.push_back({file, label->second});
    }
  }
  require_present(missing, missing.size() + dataset.videos.size(), list,
                  cat("data.root is '", options.root, "', videos are looked for in ", videos, "/Class"));
  return dataset;
}

}  // namespace cstp
