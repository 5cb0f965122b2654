/// Data sets as lists of records, read from the formats users have. One flat options struct is valid for every format.
///
/// Adding a format: src/data/format_x.cpp with one function, a row in dataset.cpp, a line in CMake. docs/extending.md
/// has a whole one.
#pragma once
#include <cstdint>
#include <span>
#include <string>
#include <vector>

namespace cstp {

class Fields;

struct DataOptions {
  std::string format = "folder";  ///< folder | list | ucf101 | hmdb51 | kinetics | packed
  std::string root;               ///< folder that holds the videos
  std::string annotations;        ///< folder (ucf101, hmdb51) or csv file/folder (kinetics); "" = the usual place
  std::string train;              ///< list: file of training records; folder: subfolder, "" = "train" if present
  std::string test;               ///< list: file of test records; folder: subfolder, "" = "test" or "val" if present
  std::string class_file;         ///< optional: one class name a line (or `id name`), fixes the class order
  int64_t split = 1;              ///< official split 1..3 (ucf101, hmdb51)
  int64_t videos = 0;  ///< expected count of training videos: used by --dry-run where the data is absent, checked where
                       ///< present; 0 = unchecked
  double share = 1.0;  ///< of the labelled training videos, as many of every class; see class_balanced()
  int64_t share_seed = 1;                ///< which ones
  std::string on_bad_video = "replace";  ///< training: replace | error
  double max_bad = 0.02;                 ///< training stops once more than this share of the videos has proved bad
  int64_t shuffle_buffer = 0;  ///< packed: shards in sequence through a buffer of so many videos; 0: any order
  void bind(Fields& f);
};

enum class Split { train, test };

struct VideoRecord {
  std::string path;    ///< as it can be opened: of a file, or of a video in a shard (cstp/video/packed_path.h)
  int64_t label = -1;  ///< class index, -1 where the list gives none
};

/// Records in a stated, stable order, class names in the order of the labels.
struct Dataset {
  std::string name;                  ///< for messages: "ucf101 split 1 train"
  std::vector<VideoRecord> videos;   ///< M
  std::vector<std::string> classes;  ///< K; empty if nothing is labelled
  int64_t missing = 0;               ///< listed but absent (kinetics), counted, not errors
  std::string order;                 ///< how the order was decided, for the log and the docs
  std::string made_by;               ///< what the videos went through since they were listed so; part of data_hash()

  /// Hash of class names in order / of (relative path, label) in order; part of every result. Of packed videos: of the
  /// names and labels that they were packed with, and of the settings.
  std::string class_map_hash() const;
  std::string data_hash(const std::string& root) const;
  /// Hash of path, label, size and time of every file, in order: a video that was replaced or repaired is noticed.
  std::string files_hash() const;
};

/// The semi-supervised subset: round(share * M / K) videos of every class of M labelled ones, at least one, and all of
/// a class that has no more, drawn by the seed and kept in the order of the data set. A larger share of one seed
/// contains a smaller one. @throws DataError if nothing is labelled
Dataset class_balanced(const Dataset& dataset, double share, uint64_t seed);
/// Training videos one a line, "path label"; what a run keeps of its subset.
std::string video_list(const Dataset& dataset);

/// Opens one split; of the training split the subset that options.share asks for. @throws DataError with the path and
/// what was wanted; ConfigError for options that do not fit.
Dataset open_dataset(const DataOptions& options, Split split);

/// One reader per format: (options, split) -> records. The table is in dataset.cpp.
using FormatReader = Dataset (*)(const DataOptions&, Split);
struct FormatRow {
  const char* name;
  FormatReader read;
  const char* description;
};
std::span<const FormatRow> dataset_formats();

}  // namespace cstp
