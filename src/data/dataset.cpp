#include "cstp/data/dataset.h"

#include <sys/stat.h>

#include <algorithm>
#include <cmath>
#include <iterator>
#include <map>
#include <span>

#include "cstp/core/config.h"
#include "cstp/core/error.h"
#include "cstp/core/log.h"
#include "cstp/core/random.h"
#include "cstp/core/text.h"
#include "cstp/video/packed_path.h"
#include "formats.h"

namespace cstp {

// Each defined in its own file.
Dataset read_folder_format(const DataOptions& options, Split split);
Dataset read_list_format(const DataOptions& options, Split split);
Dataset read_ucf101_format(const DataOptions& options, Split split);
Dataset read_hmdb51_format(const DataOptions& options, Split split);
Dataset read_kinetics_format(const DataOptions& options, Split split);
Dataset read_packed_format(const DataOptions& options, Split split);

namespace {

constexpr uint64_t kShareStream = 0x7368617265;  // keeps the draw of a subset apart from those of training

constexpr FormatRow kFormats[] = {
    {"folder", read_folder_format, "root/[train|test|val]/CLASS/.../video; classes in byte order of the folder names"},
    {"list", read_list_format,
     "text files of `path`, `path label` or `path label nframes`; label after the last separator"},
    {"ucf101", read_ucf101_format, "classInd.txt and trainlist0N.txt / testlist0N.txt, splits 1 to 3"},
    {"hmdb51", read_hmdb51_format, "CLASS_test_splitN.txt, splits 1 to 3"},
    {"kinetics", read_kinetics_format,
     "csv of label, youtube_id, time_start, time_end, split; absent videos are counted"},
    {"packed", read_packed_format, "root/index.jsonl and root/shard-*.tar, written by cstp data pack"},
};

std::vector<std::string> format_names() {
  std::vector<std::string> names;
  for (const FormatRow& row : kFormats) names.emplace_back(row.name);
  return names;
}

}  // namespace

std::span<const FormatRow> dataset_formats() { return kFormats; }

void DataOptions::bind(Fields& f) {
  f.choice("format", format, format_names(), "how records are listed");
  f.text("root", root, "folder that holds the videos");
  f.text("annotations", annotations,
         "folder of the lists (ucf101, hmdb51), csv file or folder (kinetics); empty: the usual places");
  f.text("train", train, "list: file of training records; folder, kinetics: subfolder of the training videos");
  f.text("test", test, "list: file of test records; folder, kinetics: subfolder of the test videos");
  f.text("class_file", class_file, "one class name a line (or `id name`); fixes names and order of the classes");
  f.integer("split", split, {.min = 1, .max = 3}, "official split (ucf101, hmdb51)");
  f.integer("videos", videos, {.min = 0},
            "training videos expected: used where the data is absent, checked where present; 0: unchecked");
  f.number("share", share, {.min = 1e-6, .max = 1},
           "semi-supervised: part of the labelled training videos, as many of every class");
  f.integer("share_seed", share_seed, {.min = 0}, "which of them; part of the run, like data.share");
  f.choice("on_bad_video", on_bad_video, {"replace", "error"},
           "training: what to do with a video that cannot be decoded");
  f.number("max_bad", max_bad, {.min = 0, .max = 1}, "share of the videos that may prove bad before training stops");
  f.integer(
      "shuffle_buffer", shuffle_buffer, {.min = 0, .max = 1'000'000'000},
      "packed: read shards in sequence, in random order, and shuffle within so many videos (slow mounts); 0: any");
}

Dataset open_dataset(const DataOptions& options, Split split) {
  const auto row = std::find_if(std::begin(kFormats), std::end(kFormats),
                                [&options](const FormatRow& format) { return options.format == format.name; });
  if (row == std::end(kFormats)) {
    throw ConfigError(cat("data.format: '", options.format, "' is none of ", join(format_names(), ", ")));
  }
  if (!options.root.empty() && !is_folder(options.root)) {
    throw DataError(cat("data.root: '", options.root, "' is no folder; set it to the folder that holds the videos"));
  }
  if (options.root.empty() && options.format != "list") {
    throw ConfigError(cat("data.root: format ", options.format, " needs the folder that holds the videos"));
  }
  Dataset dataset = row->read(options, split);
  const char* part = split == Split::train ? "train" : "test";
  const bool official = options.format == "ucf101" || options.format == "hmdb51";
  dataset.name = official ? cat(options.format, " split ", options.split, " ", part) : cat(options.format, " ", part);
  if (dataset.videos.empty()) {
    throw DataError(cat(dataset.name, ": no videos were found in '", options.root, "'",
                        dataset.missing > 0 ? cat(" (", count_text(dataset.missing), " are listed)") : "",
                        "; check data.root and data.format"));
  }
  const auto classes = std::ssize(dataset.classes);
  for (const VideoRecord& video : dataset.videos) {
    check(video.label >= -1 && video.label < classes, "a data format gave a label outside its classes");
  }
  const auto found = std::ssize(dataset.videos);
  if (split == Split::train && options.videos > 0 && options.videos != found) {
    // A warning: any configuration takes any data, and Kinetics loses videos every year.
    log::common_warning(dataset.name, ": ", count_text(found), " videos were found, and data.videos says ",
                        count_text(options.videos), "; epochs are counted with those found");
  }
  if (dataset.missing > 0) {
    log::common_warning(dataset.name, ": ", count_text(dataset.missing),
                        " listed videos are not on the disk and were left out");
  }
  if (split == Split::train && options.share < 1) {
    return class_balanced(dataset, options.share, static_cast<uint64_t>(options.share_seed));
  }
  return dataset;
}

Dataset class_balanced(const Dataset& dataset, double share, uint64_t seed) {
  check(share > 0 && share <= 1, "class_balanced: no share");
  std::map<int64_t, std::vector<int64_t>> by_class;
  int64_t labelled = 0;
  for (int64_t i = 0; i < std::ssize(dataset.videos); ++i) {
    const int64_t label = dataset.videos[static_cast<size_t>(i)].label;
    if (label < 0) continue;
    by_class[label].push_back(i);
    ++labelled;
  }
  if (by_class.empty()) {
    throw DataError(cat(dataset.name, ": data.share wants class labels, and no video has one; set it to 1"));
  }
  const double wanted = share * static_cast<double>(labelled) / static_cast<double>(by_class.size());
  const auto quota = std::max<int64_t>(1, std::llround(wanted));
  std::vector<int64_t> rows;
  for (auto& [label, all] : by_class) {
    Rng(seed, kShareStream, static_cast<uint64_t>(label)).shuffle(std::span(all));
    all.resize(static_cast<size_t>(std::min(quota, std::ssize(all))));
    rows.insert(rows.end(), all.begin(), all.end());
  }
  std::sort(rows.begin(), rows.end());
  Dataset subset = dataset;
  subset.name = cat(number_text(100 * share), " % of ", dataset.name);
  subset.videos.clear();
  for (const int64_t row : rows) subset.videos.push_back(dataset.videos[static_cast<size_t>(row)]);
  return subset;
}

std::string video_list(const Dataset& dataset) {
  std::string text;
  for (const VideoRecord& video : dataset.videos) text += cat(video.path, " ", video.label, "\n");
  return text;
}

std::string Dataset::class_map_hash() const {
  uint64_t hash = fingerprint("");
  for (const std::string& label : classes) hash = fingerprint("\n", fingerprint(label, hash));
  return hex_text(hash);
}

std::string Dataset::data_hash(const std::string& root) const {
  const std::string prefix = root.empty() ? "" : path_in(root, "");
  uint64_t hash = fingerprint(made_by);
  for (const VideoRecord& video : videos) {
    const auto packed = parse_packed_path(video.path);
    std::string_view path = packed ? packed->name : video.path;
    if (!packed && path.starts_with(prefix)) path.remove_prefix(prefix.size());
    hash = fingerprint(std::to_string(video.label), fingerprint("\t", fingerprint(path, hash)));
    hash = fingerprint("\n", hash);
  }
  return hex_text(hash);
}

std::string Dataset::files_hash() const {
  uint64_t hash = fingerprint("");
  for (const VideoRecord& video : videos) {
    struct stat file {};
    const bool there = ::stat(file_holding(video.path).c_str(), &file) == 0;
    hash = fingerprint(there ? cat(video.path, "\t", video.label, "\t", file.st_size, "\t", file.st_mtim.tv_sec, ".",
                                   file.st_mtim.tv_nsec, "\n")
                             : cat(video.path, "\tabsent\n"),
                       hash);
  }
  return hex_text(hash);
}

}  // namespace cstp
