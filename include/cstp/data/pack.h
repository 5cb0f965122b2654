/// A data set rewritten once into a few large files that read quickly: what `cstp data pack` makes.
///
/// A pack is a folder of tar files (`shard-000000.tar`, ... in WebDataset's naming: KEY.mp4 and KEY.json stand side by
/// side) and an index, `index.jsonl`, by which a video is read without passing over the others. It is opened as a data
/// set with `data: {format: packed, root: FOLDER}`. docs/packing.md describes it.
#pragma once
#include <cstdint>
#include <functional>
#include <string>
#include <vector>

#include "cstp/data/dataset.h"

namespace cstp {

/// What decides the bytes of a pack, beside its videos.
struct PackSettings {
  int64_t short_side = 128;  ///< pixels; smaller videos keep their size
  int64_t gop = 8;           ///< frames from key frame to key frame; 1: every frame is one
  int64_t quality = 18;      ///< x264's crf
  int64_t shard_mb = 512;    ///< most MiB in a shard, unless a single video has more

  /// Without the shards' size, which the pictures do not depend on: "short side 128, GOP 8, crf 18".
  std::string text() const;
};

/// One split of the data set to be packed.
struct PackInput {
  Dataset dataset;
  std::string part;   ///< train | test
  int64_t split = 0;  ///< official split; 0 where the format has none
};

struct PackSetup {
  std::vector<PackInput> inputs;  ///< a video that several of them name is packed once
  std::string root;               ///< that the videos are named relative to
  std::string folder;             ///< of the pack
  PackSettings settings;
  int64_t workers = 0;                                      ///< threads, one video each; 0 = one per core
  double deadline = 60;                                     ///< seconds for decoding a stretch of a video
  double max_bad = 0.02;                                    ///< share of the videos that may prove bad
  std::function<void(int64_t done, int64_t all)> progress;  ///< after each video
  std::function<bool()> stop;                               ///< asked now and then: true ends the call early
};

struct BadPack {
  std::string path, cause;
};
struct PackResult {
  int64_t videos = 0;  ///< distinct
  int64_t made = 0;    ///< packed by this call
  int64_t kept = 0;    ///< packed by an earlier call
  std::vector<BadPack> bad;
  int64_t frames = 0, shards = 0;
  int64_t bytes_before = 0;  ///< of the files of the videos that are in the pack
  int64_t bytes_after = 0;   ///< of shards and index
  bool verified = false;     ///< by this call; a pack that was whole already is not read again
  bool stopped = false;
};

/// Called again, also after a kill, it goes on behind the last video that is whole; a video whose file has another size
/// than when it was packed is packed again, with all behind it. The bytes of the pack do not depend on interruptions or
/// on the number of workers. The videos of the training sets come first, in one random order, so that a shard holds a
/// mixture of classes. Before the index is written, everything is verified as verify_pack() does.
/// @throws DataError if the folder holds something else, cannot be written, or more videos are bad than max_bad allows
PackResult pack_videos(const PackSetup& setup);

struct PackCheck {
  int64_t videos = 0, bad = 0, shards = 0, frames = 0, bytes = 0;
};
/// Reads a pack once: every shard is a whole tar file with the members that the index says, every video has the bytes
/// that were written, opens and has its number of frames.
/// @throws DataError naming shard, video and what is wrong, for the first that is found
PackCheck verify_pack(const std::string& folder, int64_t workers = 0,
                      const std::function<void(int64_t done, int64_t all)>& progress = {});

}  // namespace cstp
