// Text lists: `path`, `path label` or `path label nframes` a line, in the list's order. Names may hold blanks, commas
// and any of # & ( ) ! ; [ ]: nothing is a comment, and the label stands after the last separator.
#include <algorithm>
#include <array>

#include "cstp/core/error.h"
#include "cstp/core/log.h"
#include "cstp/core/text.h"
#include "formats.h"

namespace cstp {
namespace {

constexpr int64_t kMostClasses = 1000000;  // a label above it is a typing error, not a class

struct ListLine {
  size_t line = 0;
  std::string path;
  std::string label;  ///< as written; "" if the list has one column
};

struct List {
  std::string file;
  std::vector<ListLine> lines;
};

/// Number of columns of a line: decided by where the path's video extension stands; 0 where it has none.
int columns_by_extension(std::string_view line) {
  if (has_video_extension(line)) return 1;
  const LastField last = last_field(line);
  if (has_video_extension(last.rest)) return 2;
  return has_video_extension(last_field(last.rest).rest) ? 3 : 0;
}

/// For paths without an extension: integers at the end of the line, at most two.
int columns_by_numbers(std::string_view line) {
  int64_t ignored = 0;
  const LastField last = last_field(line);
  if (last.rest.empty() || !parse_integer(last.field, ignored)) return 1;
  const LastField before = last_field(last.rest);
  return !before.rest.empty() && parse_integer(before.field, ignored) ? 3 : 2;
}

List read_list(const std::string& file) {
  static constexpr std::array<const char*, 4> kShapes = {"", "`path`", "`path label`", "`path label nframes`"};
  List list{file, {}};
  int columns = 0;
  size_t decided_by = 0;
  const std::vector<std::string> lines = annotation_lines(file);
  for (size_t i = 0; i < lines.size(); ++i) {
    const std::string_view line = trim(lines[i]);
    if (line.empty()) continue;
    int here = columns_by_extension(line);
    if (here == 0) here = columns_by_numbers(line);
    if (columns == 0) {
      columns = here;
      decided_by = i;
    }
    if (here != columns) {
      throw DataError(cat(at_line(file, i), ": reads as ", kShapes[static_cast<size_t>(here)], ", but line ",
                          decided_by + 1, " reads as ", kShapes[static_cast<size_t>(columns)],
                          "; every line must have the same columns"));
    }
    ListLine record{i, std::string(line), ""};
    if (columns > 1) {
      LastField last = last_field(line);
      if (columns == 3) last = last_field(last.rest);
      record.path = last.rest;
      record.label = last.field;
    }
    list.lines.push_back(std::move(record));
  }
  if (list.lines.empty()) throw DataError(cat(file, ": the list is empty; write one `path label` a line"));
  return list;
}

bool labelled(const List& list) { return !list.lines.front().label.empty(); }

int64_t label_of(const List& list, const ListLine& record) {
  int64_t label = 0;
  if (!parse_integer(record.label, label)) {
    throw DataError(cat(at_line(list.file, record.line), ": label '", record.label,
                        "' is no integer; write `path label` with labels 0, 1, ..."));
  }
  if (label < 0 || label >= kMostClasses) {
    throw DataError(cat(at_line(list.file, record.line), ": label ", label, " is outside 0 to ", kMostClasses - 1,
                        "; leave the column out where videos have no label"));
  }
  return label;
}

int64_t largest_label(const List& list) {
  int64_t largest = -1;
  for (const ListLine& record : list.lines) largest = std::max(largest, label_of(list, record));
  return largest;
}

std::string list_file(const DataOptions& options, Split split) {
  const bool train = split == Split::train;
  const std::string& given = train ? options.train : options.test;
  if (given.empty()) {
    throw ConfigError(cat("data.", train ? "train" : "test", ": format list needs the file that lists the ",
                          train ? "training" : "test", " videos"));
  }
  return resolved(given, options.root);
}

}  // namespace

Dataset read_list_format(const DataOptions& options, Split split) {
  const List list = read_list(list_file(options, split));
  Dataset dataset;
  dataset.order = cat("as listed in ", list.file);
  std::string source = list.file;
  if (labelled(list)) {
    if (!options.class_file.empty()) {
      source = resolved(options.class_file, options.root);
      dataset.classes = read_class_file(source);
    } else {  // the training list says how many classes there are
      int64_t largest = -1;
      if (split == Split::test && !options.train.empty()) {
        const List train = read_list(list_file(options, Split::train));
        if (labelled(train)) {
          largest = largest_label(train);
          source = train.file;
        }
      }
      if (largest < 0) largest = largest_label(list);
      for (int64_t label = 0; label <= largest; ++label) dataset.classes.push_back(std::to_string(label));
    }
  }
  const auto classes = std::ssize(dataset.classes);
  std::vector<bool> used(dataset.classes.size());
  for (const ListLine& record : list.lines) {
    VideoRecord video{
        record.path.starts_with('/') || options.root.empty() ? record.path : path_in(options.root, record.path), -1};
    if (labelled(list)) {
      video.label = label_of(list, record);
      if (video.label >= classes) {
        throw DataError(cat(at_line(list.file, record.line), ": label ", video.label, " is outside the ", classes,
                            " classes (0 to ", classes - 1, ") of ", source, "; labels count from 0"));
      }
      used[static_cast<size_t>(video.label)] = true;
    }
    dataset.videos.push_back(std::move(video));
  }
  if (labelled(list) && split == Split::train && options.class_file.empty() && !used[0]) {
    log::common_warning(list.file,
                        ": no video has label 0; labels count from 0, so this list should perhaps start there");
  }
  return dataset;
}

}  // namespace cstp
