#include "cstp/models/tensor_file.h"

#include <ATen/ATen.h>
#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <bit>
#include <cerrno>
#include <cstdint>
#include <cstring>
#include <filesystem>
#include <limits>
#include <nlohmann/json.hpp>
#include <tuple>
#include <utility>

#include "cstp/core/error.h"
#include "cstp/core/text.h"

namespace cstp {
namespace {

using nlohmann::json;

static_assert(std::endian::native == std::endian::little, "safetensors files are little-endian");

/// The limit of the reference implementation: a longer header is a damaged file or an attack.
constexpr uint64_t kLongestHeader = 100'000'000;
constexpr const char* kText = "__metadata__";

struct TypeName {
  const char* name;
  at::ScalarType type;
};
constexpr std::array<TypeName, 10> kTypes = {{{"F64", at::kDouble},
                                              {"I64", at::kLong},
                                              {"F32", at::kFloat},
                                              {"I32", at::kInt},
                                              {"F16", at::kHalf},
                                              {"BF16", at::kBFloat16},
                                              {"I16", at::kShort},
                                              {"U8", at::kByte},
                                              {"I8", at::kChar},
                                              {"BOOL", at::kBool}}};

/// An open file that closes itself.
class Descriptor {
 public:
  Descriptor(const std::string& path, int flags) : fd_(::open(path.c_str(), flags | O_CLOEXEC, 0644)) {}
  ~Descriptor() {
    if (fd_ >= 0) ::close(fd_);
  }
  Descriptor(const Descriptor&) = delete;
  Descriptor& operator=(const Descriptor&) = delete;

  bool is_open() const { return fd_ >= 0; }
  bool flush() { return ::fsync(fd_) == 0; }
  /// Closes now, so that a late write error is seen.
  bool close() { return ::close(std::exchange(fd_, -1)) == 0; }
  uint64_t size() const {
    struct stat status {};
    return ::fstat(fd_, &status) == 0 ? static_cast<uint64_t>(status.st_size) : 0;
  }
  bool write(const void* data, uint64_t bytes) {
    const auto* from = static_cast<const char*>(data);
    while (bytes > 0) {
      const ssize_t done = ::write(fd_, from, std::min<uint64_t>(bytes, kPiece));
      if (done < 0 && errno == EINTR) continue;
      if (done < 0) return false;
      from += done;
      bytes -= static_cast<uint64_t>(done);
    }
    return true;
  }
  bool read(void* data, uint64_t bytes, uint64_t offset) const {
    auto* to = static_cast<char*>(data);
    while (bytes > 0) {
      const ssize_t done = ::pread(fd_, to, std::min<uint64_t>(bytes, kPiece), static_cast<off_t>(offset));
      if (done < 0 && errno == EINTR) continue;
      if (done <= 0) return false;
      to += done;
      offset += static_cast<uint64_t>(done);
      bytes -= static_cast<uint64_t>(done);
    }
    return true;
  }

 private:
  static constexpr uint64_t kPiece = 1U << 30;  // Linux moves at most 2 GiB a call
  int fd_;
};

/// Where a tensor's bytes lie, from the start of the data.
struct Entry {
  std::string name;
  at::ScalarType type = at::kFloat;
  std::vector<int64_t> shape;
  uint64_t begin = 0, end = 0;
};

const char* type_name(at::ScalarType type) {
  for (const TypeName& row : kTypes) {
    if (row.type == type) return row.name;
  }
  return nullptr;
}

/// An unsigned whole number, or nothing: JSON numbers may be anything.
bool read_count(const json& value, uint64_t& out) {
  if (!value.is_number_unsigned()) return false;
  out = value.get<uint64_t>();
  return out <= static_cast<uint64_t>(std::numeric_limits<int64_t>::max());
}

/// One tensor's header entry, checked on its own. `fail` throws.
template <class Fail>
Entry read_entry(const std::string& name, const json& value, const Fail& fail) {
  Entry entry;
  entry.name = name;
  if (!value.is_object() || !value.contains("dtype") || !value.contains("shape") || !value.contains("data_offsets")) {
    fail(cat("'", name, "' has no dtype, shape and data_offsets"));
  }
  const json& dtype = value["dtype"];
  const std::string type = dtype.is_string() ? dtype.get<std::string>() : std::string("?");
  const auto row = std::find_if(kTypes.begin(), kTypes.end(), [&](const TypeName& t) { return type == t.name; });
  if (row == kTypes.end()) fail(cat("'", name, "' has the unsupported type ", type));
  entry.type = row->type;

  if (!value["shape"].is_array()) fail(cat("the shape of '", name, "' is no list"));
  uint64_t bytes = at::elementSize(entry.type);
  uint64_t reach = bytes;  // with empty extents counted as 1: strides must not overflow either
  for (const json& item : value["shape"]) {
    uint64_t extent = 0;
    if (!read_count(item, extent)) fail(cat("the shape of '", name, "' holds ", item.dump(), ", which is no size"));
    bytes *= extent;
    const bool overflow = __builtin_mul_overflow(reach, std::max<uint64_t>(extent, 1), &reach);
    if (overflow || reach > static_cast<uint64_t>(std::numeric_limits<int64_t>::max()))
      fail(cat("'", name, "' is larger than memory can be"));
    entry.shape.push_back(static_cast<int64_t>(extent));
  }
  const json& offsets = value["data_offsets"];
  if (!offsets.is_array() || offsets.size() != 2 || !read_count(offsets[0], entry.begin) ||
      !read_count(offsets[1], entry.end) || entry.end < entry.begin) {
    fail(cat("the data_offsets of '", name, "' are no [begin, end]"));
  }
  if (entry.end - entry.begin != bytes) {
    fail(cat("'", name, "' has ", entry.end - entry.begin, " bytes where its shape and type want ", bytes));
  }
  return entry;
}

}  // namespace

const at::Tensor* TensorFile::find(const std::string& name) const {
  const auto it = std::find_if(tensors.begin(), tensors.end(), [&](const auto& item) { return item.first == name; });
  return it == tensors.end() ? nullptr : &it->second;
}

void save_tensor_file(const std::string& path, const TensorFile& file) {
  std::vector<size_t> order(file.tensors.size());
  for (size_t i = 0; i < order.size(); ++i) order[i] = i;
  // Wide types first keeps every tensor aligned to its own type, as readers that map the file need it.
  std::stable_sort(order.begin(), order.end(), [&](size_t a, size_t b) {
    return file.tensors[a].second.element_size() > file.tensors[b].second.element_size();
  });

  json header = json::object();
  if (!file.text.empty()) header[kText] = file.text;
  uint64_t offset = 0;
  for (const size_t i : order) {
    const auto& [name, tensor] = file.tensors[i];
    const char* type = type_name(tensor.scalar_type());
    check(type != nullptr, cat("save_tensor_file: '", name, "' has a type that safetensors files do not hold"));
    check(name != kText && !header.contains(name), cat("save_tensor_file: the name '", name, "' is taken"));
    const uint64_t end = offset + static_cast<uint64_t>(tensor.numel() * tensor.element_size());
    header[name] = {{"dtype", type}, {"shape", tensor.sizes().vec()}, {"data_offsets", {offset, end}}};
    offset = end;
  }
  std::string head = header.dump(-1, ' ', false, json::error_handler_t::replace);
  head.resize((head.size() + 7) / 8 * 8, ' ');

  const std::string beside = cat(path, ".tmp.", ::getpid());
  const auto fail = [&](const char* step) {
    const int cause = errno;
    ::unlink(beside.c_str());
    throw CheckpointError(cat(path, ": ", step, " failed (", std::strerror(cause), "); what stood there is unchanged"));
  };
  Descriptor out(beside, O_WRONLY | O_CREAT | O_TRUNC);
  if (!out.is_open()) fail("creating the file");
  const uint64_t head_size = head.size();
  if (!out.write(&head_size, sizeof head_size) || !out.write(head.data(), head_size)) fail("writing the header");
  for (const size_t i : order) {
    const at::Tensor bytes = file.tensors[i].second.detach().to(at::kCPU).contiguous();
    if (!out.write(bytes.const_data_ptr(), static_cast<uint64_t>(bytes.nbytes()))) fail("writing the tensors");
  }
  if (!out.flush()) fail("flushing to disk");
  if (!out.close()) fail("closing the file");
  if (::rename(beside.c_str(), path.c_str()) != 0) fail("renaming the file into place");
  // The rename itself must survive a power cut; not every file system can flush a folder, so its answer is not asked.
  const std::filesystem::path folder = std::filesystem::path(path).parent_path();
  Descriptor parent(folder.empty() ? "." : folder.string(), O_RDONLY | O_DIRECTORY);
  if (parent.is_open()) parent.flush();
}

TensorFile load_tensor_file(const std::string& path) {
  const Descriptor in(path, O_RDONLY);
  if (!in.is_open()) {
    throw CheckpointError(cat(path, ": could not be opened (", std::strerror(errno), "); check the path"));
  }
  const auto fail = [&](const std::string& found) {
    throw CheckpointError(cat(path, ": this is no whole safetensors file: ", found, "; use another checkpoint"));
  };
  const uint64_t size = in.size();
  uint64_t head_size = 0;
  if (size < sizeof head_size || !in.read(&head_size, sizeof head_size, 0)) {
    fail(cat("it has ", size, " bytes, too few for a header"));
  }
  if (head_size > kLongestHeader) fail(cat("its header claims ", head_size, " bytes"));
  const uint64_t data_start = sizeof head_size + head_size;
  if (data_start > size) fail(cat("its header claims ", head_size, " bytes, and the file has ", size));
  std::string head(head_size, '\0');
  if (!in.read(head.data(), head_size, sizeof head_size)) fail("its header could not be read");
  const json header = json::parse(head, nullptr, /*allow_exceptions=*/false);
  if (!header.is_object()) fail("its header is no JSON object");

  TensorFile file;
  std::vector<Entry> entries;
  for (const auto& [name, value] : header.items()) {
    if (name != kText) {
      entries.push_back(read_entry(name, value, fail));
      continue;
    }
    if (!value.is_object()) fail("its __metadata__ is no map of text");
    for (const auto& [key, text] : value.items()) {
      if (!text.is_string()) fail(cat("its __metadata__ holds '", key, "', which is no text"));
      file.text[key] = text.get<std::string>();
    }
  }
  std::sort(entries.begin(), entries.end(), [](const Entry& a, const Entry& b) {
    return std::tie(a.begin, a.end, a.name) < std::tie(b.begin, b.end, b.name);
  });
  uint64_t expected = 0;
  for (const Entry& entry : entries) {
    if (entry.begin != expected) {
      fail(cat("'", entry.name, "' begins at byte ", entry.begin, " of the data, ", expected, " was expected"));
    }
    expected = entry.end;
  }
  if (expected != size - data_start) {
    fail(cat("its tensors take ", expected, " bytes, and ", size - data_start, " are there"));
  }
  for (const Entry& entry : entries) {
    at::Tensor tensor = at::empty(entry.shape, at::TensorOptions().dtype(entry.type));
    if (!in.read(tensor.mutable_data_ptr(), entry.end - entry.begin, data_start + entry.begin)) {
      fail(cat("the bytes of '", entry.name, "' could not be read"));
    }
    file.tensors.emplace_back(entry.name, std::move(tensor));
  }
  return file;
}

std::string content_hash(const std::vector<std::pair<std::string, at::Tensor>>& tensors) {
  uint64_t hash = fingerprint("");
  for (const auto& [name, tensor] : tensors) {
    const at::Tensor bytes = tensor.detach().to(at::kCPU).contiguous();
    hash = fingerprint(cat(name, "\n", bytes.scalar_type(), bytes.sizes(), "\n"), hash);
    hash = fingerprint({static_cast<const char*>(bytes.const_data_ptr()), bytes.nbytes()}, hash);
  }
  return hex_text(hash);
}

}  // namespace cstp
