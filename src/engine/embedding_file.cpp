#include "cstp/engine/embedding_file.h"

#include <torch/types.h>

#include <algorithm>
#include <bit>
#include <charconv>
#include <filesystem>
#include <fstream>
#include <map>
#include <nlohmann/json.hpp>
#include <regex>

#include "cstp/core/csv.h"
#include "cstp/core/error.h"
#include "cstp/core/text.h"

namespace cstp {
namespace {

static_assert(std::endian::native == std::endian::little, "npy files are written and read as little-endian");

constexpr const char* kColumns = "row,path,label,class,split";

std::string beside(const std::string& npy, const char* extension) {
  return std::filesystem::path(npy).replace_extension(extension).string();
}

std::string npy_bytes(const at::Tensor& matrix) {
  const at::Tensor values = matrix.to(torch::kFloat32).contiguous();
  std::string header =
      cat("{'descr': '<f4', 'fortran_order': False, 'shape': (", values.size(0), ", ", values.size(1), "), }");
  const size_t prefix = 10;  // magic, version, length
  header.append((64 - (prefix + header.size() + 1) % 64) % 64, ' ');
  header += '\n';
  std::string bytes("\x93NUMPY\x01\x00", 8);
  bytes += static_cast<char>(header.size() & 0xff);
  bytes += static_cast<char>(header.size() >> 8);
  bytes += header;
  bytes.append(static_cast<const char*>(values.const_data_ptr()), values.nbytes());
  return bytes;
}

at::Tensor read_npy(const std::string& path) {
  std::ifstream file(path, std::ios::binary);
  if (!file) throw DataError(cat(path, ": could not be opened; wanted embeddings as cstp embed writes them"));
  std::string start(10, '\0');
  file.read(start.data(), 10);
  if (!file || !start.starts_with("\x93NUMPY")) throw DataError(cat(path, ": this is no NumPy file (.npy)"));
  size_t length = static_cast<uint8_t>(start[8]) + 256U * static_cast<uint8_t>(start[9]);
  if (start[6] > 1) {  // versions 2 and 3 have four bytes of length
    std::string more(2, '\0');
    file.read(more.data(), 2);
    length += 65536U * static_cast<uint8_t>(more[0]) + 16777216U * static_cast<uint8_t>(more[1]);
  }
  std::string header(std::min<size_t>(length, 1 << 20), '\0');
  file.read(header.data(), static_cast<std::streamsize>(header.size()));
  std::smatch shape;
  static const std::regex wanted(R"(\(\s*(\d{1,15})\s*,\s*(\d{1,9})\s*\))");
  if (!file || header.find("'<f4'") == std::string::npos ||
      header.find("'fortran_order': False") == std::string::npos || !std::regex_search(header, shape, wanted)) {
    throw DataError(cat(path,
                        ": wanted a matrix [rows, channels] of little-endian 32-bit floats in C order; its header "
                        "says ",
                        trim(header)));
  }
  const int64_t rows = std::stoll(shape[1]);
  const int64_t channels = std::stoll(shape[2]);
  if (rows == 0 || channels == 0) throw DataError(cat(path, ": the matrix is empty"));
  const auto expected = static_cast<uintmax_t>(rows) * static_cast<uintmax_t>(channels) * sizeof(float);
  const auto there = std::filesystem::file_size(path) - static_cast<uintmax_t>(file.tellg());
  if (there != expected) {
    throw DataError(cat(path, ": its header promises ", expected, " bytes of numbers, and there are ", there));
  }
  at::Tensor values = torch::empty({rows, channels});
  file.read(static_cast<char*>(values.data_ptr()), static_cast<std::streamsize>(expected));
  if (!file) throw DataError(cat(path, ": reading it failed half-way"));
  return values;
}

void refuse_what_is_no_number(const std::string& path, const at::Tensor& values) {
  for (int64_t first = 0; first < values.size(0); first += 65536) {
    const at::Tensor good = values.slice(0, first, first + 65536).isfinite().all(1);
    if (good.all().item<bool>()) continue;
    throw DataError(cat(path, ": row ", first + good.logical_not().to(torch::kInt64).argmax().item<int64_t>(),
                        " holds a number that is none (NaN or infinite)"));
  }
}

std::vector<EmbeddedVideo> read_videos(const std::string& path, int64_t rows) {
  const auto lines = parse_csv(read_text_file(path));
  if (lines.empty() || join(lines[0], ",") != kColumns) {
    throw DataError(cat(path, ":1: wanted the columns ", kColumns));
  }
  if (std::ssize(lines) - 1 != rows) {
    throw DataError(cat(path, ": it names ", std::ssize(lines) - 1, " rows, and the matrix has ", rows));
  }
  std::vector<EmbeddedVideo> videos;
  for (size_t i = 1; i < lines.size(); ++i) {
    const auto& fields = lines[i];
    int64_t label = -1;
    const bool five = fields.size() == 5;
    const char* const end = five ? fields[2].data() + fields[2].size() : nullptr;
    if (!five || fields[0] != std::to_string(i - 1) || std::from_chars(fields[2].data(), end, label).ptr != end ||
        label < -1) {
      throw DataError(cat(path, ":", i + 1, ": wanted ", kColumns, " with row ", i - 1,
                          " and a label of -1 (unknown) or above; found ", join(fields, ",")));
    }
    videos.push_back({fields[1], label, fields[3], fields[4]});
  }
  return videos;
}

}  // namespace

at::Tensor EmbeddingTable::labels() const {
  const at::Tensor result = torch::empty({std::ssize(videos)}, torch::kInt64);
  std::transform(videos.begin(), videos.end(), result.data_ptr<int64_t>(),
                 [](const EmbeddedVideo& video) { return video.label; });
  return result;
}

EmbeddingTable EmbeddingTable::of_split(const std::string& split) const {
  EmbeddingTable part = *this;
  std::vector<int64_t> rows;
  part.videos.clear();
  for (size_t i = 0; i < videos.size(); ++i) {
    if (!videos[i].split.empty() && videos[i].split != split) continue;
    rows.push_back(static_cast<int64_t>(i));
    part.videos.push_back(videos[i]);
  }
  if (rows.size() < videos.size()) part.values = values.index_select(0, torch::tensor(rows, torch::kInt64));
  return part;
}

void save_embeddings(const std::string& npy, const EmbeddingTable& table) {
  check(table.values.size(0) == std::ssize(table.videos), "save_embeddings: a video for every row");
  std::string csv = cat(kColumns, "\n");
  for (size_t i = 0; i < table.videos.size(); ++i) {
    const EmbeddedVideo& video = table.videos[i];
    csv += csv_line({std::to_string(i), video.path, std::to_string(video.label), video.name, video.split});
  }
  const std::filesystem::path folder = std::filesystem::path(npy).parent_path();
  std::error_code ignored;  // where it could not be made, writing says why
  if (!folder.empty()) std::filesystem::create_directories(folder, ignored);
  write_file_atomically(npy, npy_bytes(table.values));
  write_file_atomically(beside(npy, ".csv"), csv);
  const nlohmann::ordered_json note = {
      {"weights", table.weights}, {"weights_hash", table.weights_hash}, {"views", table.views}};
  write_file_atomically(beside(npy, ".json"), note.dump(2) + "\n");
}

EmbeddingTable load_embeddings(const std::string& npy) {
  EmbeddingTable table;
  table.values = read_npy(npy);
  refuse_what_is_no_number(npy, table.values);
  const std::string csv = beside(npy, ".csv");
  const std::string note = beside(npy, ".json");
  table.videos.resize(static_cast<size_t>(table.values.size(0)));
  if (std::filesystem::exists(csv)) table.videos = read_videos(csv, table.values.size(0));
  if (std::filesystem::exists(note)) {
    const auto json = nlohmann::json::parse(read_text_file(note), nullptr, false);
    if (!json.is_object() || !json.contains("weights_hash") || !json["weights_hash"].is_string()) {
      throw DataError(cat(note, ": wanted what cstp embed writes there, an object with weights_hash"));
    }
    table.weights = json.value("weights", "");
    table.weights_hash = json.value("weights_hash", "");
    table.views = json.value("views", "");
  }
  return table;
}

void check_comparable(const EmbeddingTable& gallery, const std::string& gallery_file, const EmbeddingTable& queries,
                      const std::string& queries_file) {
  if (gallery.values.size(1) != queries.values.size(1)) {
    throw DataError(cat(queries_file, ": its embeddings have ", queries.values.size(1), " channels, and those of ",
                        gallery_file, " ", gallery.values.size(1), "; both must come from one network"));
  }
  if (!gallery.weights_hash.empty() && !queries.weights_hash.empty() && gallery.weights_hash != queries.weights_hash) {
    throw DataError(cat(queries_file, ": embedded with weights ", queries.weights_hash, " (", queries.weights,
                        "), and ", gallery_file, " with ", gallery.weights_hash, " (", gallery.weights,
                        "); embed both with one checkpoint"));
  }
  std::map<int64_t, std::string> names;
  for (const EmbeddedVideo& video : gallery.videos) {
    if (video.label >= 0 && !video.name.empty()) names.emplace(video.label, video.name);
  }
  for (const EmbeddedVideo& video : queries.videos) {
    const auto found = names.find(video.label);
    if (video.label < 0 || video.name.empty() || found == names.end() || found->second == video.name) continue;
    throw DataError(cat(queries_file, ": label ", video.label, " is '", video.name, "', and in ", gallery_file, " '",
                        found->second, "'; embed both with one list of classes (data.class_file)"));
  }
}

}  // namespace cstp
