/// Where a result lies on disk, and whether it is still true.
///
/// OUTPUT/eval/PROTOCOL-split1-CELL/ holds result.json, the tables and the picture. CELL is eight digits over what
/// makes it this result and no other: settings, weights, seed, data lists. key.json names in addition everything that
/// the digits of the result depend on: this very program, the whole configuration, the device, and size and time of
/// every video file. A result whose key is not the same to the last digit is computed anew.
#pragma once
#include <map>
#include <optional>
#include <string>

#include "cstp/engine/confusion.h"
#include "cstp/engine/result.h"

namespace cstp {

/// What a result depends on, name -> value or hash.
using ResultKey = std::map<std::string, std::string>;
/// @param config with model, input and split as they are used
ResultKey result_key(const RunConfig& config, const Provenance& provenance, const Dataset& train, const Dataset& test);

/// Name of a result's folder under OUTPUT/eval.
std::string result_name(const Document& document);
std::string result_name(const Provenance& provenance);

class ResultFolder {
 public:
  ResultFolder(const std::string& output, const Provenance& provenance, ResultKey key);
  const std::string& path() const { return path_; }

  /// The stored document, if it is complete, unchanged since, and of the same key; else nothing. Says in the log why a
  /// result that is there is not used.
  std::optional<Document> current() const;
  /// Its confusion matrix. Requires current(). Nothing for protocols without one.
  std::optional<Confusion> confusion() const;

  /// Call before training into the folder. @return whether what an earlier run left there was trained under another key
  /// and must be started over
  bool begin_training() const;

  /// Writes the tables and their picture, result.json and, last, the key. @throws DataError if the folder cannot be
  /// written
  void save(const Document& document, const std::optional<Confusion>& confusion) const;

 private:
  std::string path_;
  ResultKey key_;
};

/// Writes the same files into OUTPUT/eval/NAME without a key: for what is computed from stored results.
/// @return the folder
std::string save_result(const std::string& output, const Document& document, const std::optional<Confusion>& confusion);

}  // namespace cstp
