/// What a pack will hold, known before any video is opened.
#pragma once
#include <cstdint>
#include <map>
#include <string>
#include <vector>

#include "cstp/video/repack.h"
#include "pack_index.h"

namespace cstp {

class PackPlan {
 public:
  /// The distinct videos of all inputs in the order in which they are packed: those of the training sets, then the
  /// others; shuffled, as data sets list a class at a time. @throws DataError if the inputs have different classes
  explicit PackPlan(const PackSetup& setup);

  const std::vector<std::string>& paths() const { return paths_; }  ///< by number of the video
  const PackHead& head() const { return head_; }
  /// Below the data set's root, or the path as it is where it lies elsewhere.
  std::string name(int64_t video) const;
  /// The JSON that stands beside a video in its shard.
  std::string description(int64_t video, const RepackedVideo& packed) const;

 private:
  struct Place {
    size_t set;
    int64_t label;
  };
  void number(const std::vector<PackInput>& inputs, bool training);

  std::string root_;
  std::vector<std::string> paths_;
  std::map<std::string, int64_t> number_;
  PackHead head_;
  std::vector<std::vector<Place>> places_;  ///< by video: the sets that it is in
};

}  // namespace cstp
