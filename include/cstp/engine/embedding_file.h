/// Embeddings on the disk, one row a video: what `cstp embed` writes and `cstp retrieve --gallery --queries` reads, so
/// that a search over millions of videos decodes none of them.
///
/// NAME.npy: [rows, channels] f32, NumPy's format 1.0. NAME.csv: row,path,label,class,split. NAME.json: which weights,
/// seen how.
#pragma once
#include <ATen/core/Tensor.h>

#include <cstdint>
#include <string>
#include <vector>

namespace cstp {

struct EmbeddedVideo {
  std::string path;
  int64_t label = -1;
  std::string name;   ///< of the class; "" where there is none
  std::string split;  ///< train | test; "" in files of others
};

struct EmbeddingTable {
  at::Tensor values;                  ///< [N,C] f32 on the CPU
  std::vector<EmbeddedVideo> videos;  ///< N
  std::string weights;                ///< file of the weights, "untrained"; "" where NAME.json is missing
  std::string weights_hash;           ///< of its tensors; "" where NAME.json is missing
  std::string views;                  ///< "16 frames, stride 4, ...": the clips that were embedded

  at::Tensor labels() const;  ///< [N] int64
  /// The rows of one split, all where no row names one.
  EmbeddingTable of_split(const std::string& split) const;
};

/// Writes the three files; folders that are missing are made. @param npy ends in .npy
/// @throws DataError with the cause
void save_embeddings(const std::string& npy, const EmbeddingTable& table);

/// Reads NAME.npy and, where they are there, NAME.csv and NAME.json beside it: a matrix of another program has neither,
/// and its rows no label.
/// @throws DataError naming file and line if the matrix is not [N,C] of little-endian f32 in C order, is cut short,
/// holds a number that is none, or the table does not fit it
EmbeddingTable load_embeddings(const std::string& npy);

/// Refuses two tables that cannot be searched with each other. @throws DataError naming what differs: channels,
/// weights, or a label that means one class here and another there
void check_comparable(const EmbeddingTable& gallery, const std::string& gallery_file, const EmbeddingTable& queries,
                      const std::string& queries_file);

}  // namespace cstp
