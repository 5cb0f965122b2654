/// The record of a packing under way, by which a killed one is gone on with.
#pragma once
#include <cstdint>
#include <functional>
#include <string>
#include <vector>

#include "pack_index.h"

namespace cstp {

/// Owns FOLDER/packing.jsonl while it lives. Not thread-safe.
class PackJournal {
 public:
  /// Makes the folder or goes on in it. entries() are those of an earlier call that are still true: their shards are
  /// there, and so are, byte for byte, those of the last shard.
  /// @param paths of the videos' files, by number: an entry whose file has another size now ends what is kept
  /// @throws DataError if the folder holds something else or other settings, or another process is packing into it
  PackJournal(const std::string& folder, const PackHead& head, const std::vector<std::string>& paths);
  ~PackJournal();
  PackJournal(const PackJournal&) = delete;
  PackJournal& operator=(const PackJournal&) = delete;

  const std::vector<PackEntry>& entries() const { return entries_; }
  /// True if an index is there already and nothing has to be done.
  bool finished() const { return finished_; }
  /// Where the pack goes on: the shard that is open, and where its last member ends.
  int64_t shard() const { return shard_; }
  int64_t end() const { return end_; }

  /// Written at once, so that a kill loses nothing. @throws DataError on a full disk
  void add(const PackEntry& entry);
  void flush();  ///< to disk
  /// Turns into the index.
  void finish();

 private:
  void claim();
  std::vector<PackEntry> earlier_entries() const;
  size_t still_true(const std::vector<PackEntry>& entries, const std::vector<std::string>& paths) const;
  void start_file();
  void prepare_shards();
  void write(const std::string& text);
  [[noreturn]] void fail(const std::string& path, const std::string& step) const;

  std::string folder_;
  PackHead head_;
  std::vector<PackEntry> entries_;
  bool finished_ = false;
  int64_t shard_ = 0, end_ = 0;
  int file_ = -1;
};

/// What verify_pack() does, with an index that need not be on the disk yet.
void require_pack(const std::string& folder, const PackIndex& index, int64_t workers,
                  const std::function<void(int64_t done, int64_t all)>& progress);

/// A shard's name while it is written.
std::string pack_part_path(const std::string& folder, int64_t shard);

/// The sum of bytes [offset, offset + size) of a file; of what there is if it ends before.
uint64_t sum_of_range(const std::string& path, int64_t offset, int64_t size);

}  // namespace cstp
