// Videos packed by `cstp data pack`: root holds shards and their index. Classes, labels and order are those of the data
// set that was packed.
#include <algorithm>
#include <map>

#include "cstp/core/error.h"
#include "cstp/core/text.h"
#include "cstp/video/packed_path.h"
#include "formats.h"
#include "pack_index.h"

namespace cstp {
namespace {

const PackSet& set_of(const PackIndex& index, const DataOptions& options, Split split) {
  const std::string part = split == Split::train ? "train" : "test";
  std::vector<std::string> splits;
  for (const PackSet& set : index.head.sets) {
    if (set.part != part) continue;
    if (set.split == 0 || set.split == options.split) return set;
    splits.push_back(std::to_string(set.split));
  }
  if (splits.empty()) {
    throw DataError(cat(options.root, ": the pack holds no ", part,
                        " videos; pack that split too (`cstp data pack`, without --split)"));
  }
  throw DataError(cat(options.root, ": the pack holds the official splits ", join(splits, ", "), ", and data.split is ",
                      options.split, "; set it to one of them, or pack that split too"));
}

/// A missing shard is one error here, and else thousands of bad videos.
void require_shards(const std::string& root, const std::vector<const PackEntry*>& entries) {
  std::map<int64_t, int64_t> ends;
  for (const PackEntry* entry : entries) {
    if (entry != nullptr) ends[entry->shard] = std::max(ends[entry->shard], entry->end);
  }
  for (const auto& [shard, end] : ends) {
    const std::string path = pack_shard_path(root, shard);
    if (!is_file(path)) throw DataError(cat(path, ": is missing, and the index names it; copy the whole folder"));
    const int64_t size = pack_file_size(path);
    if (size < end) {
      throw DataError(cat(path, ": was cut short (", size, " bytes, and its last video ends at ", end,
                          "); copy it from where it is whole, or remove it and run `cstp data pack` again"));
    }
  }
}

}  // namespace

Dataset read_packed_format(const DataOptions& options, Split split) {
  const PackIndex index = read_pack_index(options.root);
  const PackSet& set = set_of(index, options, split);
  std::vector<const PackEntry*> by_number(index.entries.size());
  for (const PackEntry& entry : index.entries) {
    if (entry.bad.empty()) by_number.at(static_cast<size_t>(entry.video)) = &entry;
  }
  require_shards(options.root, by_number);

  Dataset dataset;
  dataset.classes = index.head.classes;
  dataset.order = cat(set.order, " (", set.name, ", packed)");
  dataset.made_by = cat("packed, ", index.head.settings.text());
  dataset.videos.reserve(set.videos.size());
  for (size_t i = 0; i < set.videos.size(); ++i) {
    const PackEntry* entry = by_number.at(static_cast<size_t>(set.videos[i]));
    if (entry == nullptr) {  // it could not be decoded when the others were packed
      ++dataset.missing;
      continue;
    }
    const PackedPath path{.shard = pack_shard_path(options.root, entry->shard),
                          .offset = entry->offset,
                          .size = entry->size,
                          .name = entry->path};
    dataset.videos.push_back({path.text(), set.labels[i]});
  }
  return dataset;
}

}  // namespace cstp
