/// The csv files of Kinetics: `label,youtube_id,time_start,time_end,split` and variants, a quarter of a million rows.
#pragma once
#include <cstdint>
#include <deque>
#include <string>
#include <string_view>
#include <vector>

namespace cstp {

/// One row. Its texts are pieces of the table they came from.
struct KineticsClip {
  std::string_view label;      ///< "" where the csv has none
  std::string_view id;         ///< of YouTube; may begin with '-'
  std::string_view split;      ///< as written; "" where the csv has no such column
  int64_t start = 0, end = 0;  ///< seconds
  std::string stem() const;    ///< name of its file, without the extension: "-abc_DEFghi_000001_000011"
};

class KineticsCsv {
 public:
  /// @throws DataError naming the line that cannot be read
  explicit KineticsCsv(const std::string& path);
  KineticsCsv(const KineticsCsv&) = delete;  // the clips point into it
  KineticsCsv& operator=(const KineticsCsv&) = delete;

  std::vector<KineticsClip> clips;  ///< as listed

 private:
  std::string_view unquoted(std::string_view field);
  void split_fields(std::string_view line, std::vector<std::string_view>& fields);

  std::string text_;
  std::deque<std::string> unquoted_;  ///< fields that are no piece of the text, because they hold quotes
};

}  // namespace cstp
