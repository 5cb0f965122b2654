/// Named tensors and text in one safetensors file: readable from other languages, its header can be inspected, and
/// reading one executes nothing.
///
/// Format: u64 length of the header, little-endian; the header, a JSON object {"__metadata__": {text}, name: {"dtype",
/// "shape", "data_offsets"}}, padded with spaces to a multiple of 8 bytes; then the tensors' bytes, row-major and
/// without holes. Types: f64 f32 f16 bf16, i64 i32 i16 i8, u8, bool.
#pragma once
#include <ATen/core/Tensor.h>

#include <map>
#include <string>
#include <utility>
#include <vector>

namespace cstp {

struct TensorFile {
  std::vector<std::pair<std::string, at::Tensor>> tensors;
  std::map<std::string, std::string> text;  ///< the header's __metadata__

  /// nullptr if there is no such tensor.
  const at::Tensor* find(const std::string& name) const;
};

/// Hash of names, types, shapes and values, in the order given: the same for the same weights, whatever file they came
/// from. 16 hexadecimal digits.
std::string content_hash(const std::vector<std::pair<std::string, at::Tensor>>& tensors);

/// Writes beside `path`, flushes and renames over it: readers see the old file or the new one, and a full disk leaves
/// the old one. Tensors may lie on any device in any memory order; they pass through the host one at a time.
/// @throws CheckpointError with the cause
void save_tensor_file(const std::string& path, const TensorFile& file);

/// Tensors come back contiguous on the CPU, in the order of their bytes in the file (wide types before narrow ones in
/// files of save_tensor_file, so that each is aligned; otherwise as they were given).
/// @throws CheckpointError, naming the path and the tensor, if the file is missing, truncated, too long or inconsistent
TensorFile load_tensor_file(const std::string& path);

}  // namespace cstp
