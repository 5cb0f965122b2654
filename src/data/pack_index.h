/// What a folder of packed videos says about itself: DIR/index.jsonl, and DIR/packing.jsonl while it is being written.
///
/// JSON lines, UTF-8 (a name that is none is {"hex": "..."}):
///   1       {"format": "cstp pack 1", "settings": {...}, "classes": [...]}
///   2 ...   {"set": "train", "split": 0, "name": ..., "order": ..., "videos": [V ...], "labels": [L ...]}
///   then    {"video": V, "path": ..., "source_bytes": B, "shard": S, "offset": O, "size": N, "sum": "...", "frames":
///   F,
///            "end": E}                                       in ascending order of V, which is the order in the shards
///   or      {"video": V, "path": ..., "source_bytes": B, "bad": "cause"}
///   last    {"end": "cstp pack", "lines": n, "sum": "..."}                                          of the index alone
/// The video is bytes [O, O + N) of shard-S.tar; "end" is where its last member's zeros end. Sums are 64-bit FNV-1a, of
/// the video's bytes and of everything above the last line.
#pragma once
#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "cstp/data/pack.h"

namespace cstp {

inline constexpr std::string_view kPackIndex = "index.jsonl";
inline constexpr std::string_view kPackJournal = "packing.jsonl";

/// Videos of one split, in the order of the data set: numbers of videos, and a label for each.
struct PackSet {
  std::string part;   ///< train | test
  int64_t split = 0;  ///< official split; 0 where the format has none
  std::string name, order;
  std::vector<int64_t> videos;
  std::vector<int64_t> labels;
};

struct PackHead {
  PackSettings settings;
  std::vector<std::string> classes;
  std::vector<PackSet> sets;

  /// Lines 1 to 1 + sets.size(). Equal packs have equal text.
  std::string text() const;
};

struct PackEntry {
  int64_t video = 0;
  std::string path;  ///< below the root of the original data set, or whole
  int64_t source_bytes = 0;
  int64_t shard = 0, offset = 0, size = 0, frames = 0, end = 0;
  uint64_t sum = 0;
  std::string bad;  ///< why it is not there; the numbers above are then without meaning

  std::string line() const;
};

struct PackIndex {
  PackHead head;
  std::vector<PackEntry> entries;
};

/// The whole text of an index.
std::string pack_index_text(const PackHead& head, const std::vector<PackEntry>& entries);

/// @throws DataError saying what is wrong with it if it is damaged, of another version or not there
PackIndex read_pack_index(const std::string& folder);
/// A journal, up to its first line that is not whole: a killed run leaves one. @throws DataError if its head is damaged
PackIndex read_pack_journal(const std::string& folder);

int64_t pack_file_size(const std::string& path);  ///< 0 if it is not there

std::string pack_shard_path(const std::string& folder, int64_t shard);
/// "000000123", the name of a video's members without their extension.
std::string pack_key(int64_t video);

}  // namespace cstp
