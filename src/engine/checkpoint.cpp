#include "cstp/engine/checkpoint.h"

#include <torch/torch.h>
#include <torch/version.h>

#include <algorithm>
#include <charconv>
#include <filesystem>

#include "cstp/core/build_info.h"
#include "cstp/core/error.h"
#include "cstp/core/log.h"
#include "cstp/core/text.h"
#include "cstp/models/tensor_file.h"

namespace cstp {
namespace fs = std::filesystem;
namespace {

using Named = std::vector<std::pair<std::string, at::Tensor>>;
constexpr const char* kFormat = "cstp-checkpoint-1";

fs::path checkpoint_folder(const std::string& output) { return fs::path(output) / "checkpoints"; }

/// Step of "step-00000012.safetensors", or nothing.
std::optional<int64_t> step_of(const fs::path& path) {
  const std::string name = path.filename().string();
  int64_t step = 0;
  if (!name.starts_with("step-") || path.extension() != ".safetensors") return std::nullopt;
  const auto read = std::from_chars(name.data() + 5, name.data() + name.size(), step);
  if (read.ec != std::errc() || std::string_view(read.ptr) != ".safetensors") return std::nullopt;
  return step;
}

std::vector<std::pair<int64_t, fs::path>> checkpoints_of(const std::string& output) {
  std::vector<std::pair<int64_t, fs::path>> found;
  std::error_code error;
  for (const auto& entry : fs::directory_iterator(checkpoint_folder(output), error)) {
    if (const auto step = step_of(entry.path())) found.emplace_back(*step, entry.path());
  }
  std::sort(found.begin(), found.end());
  return found;
}

void point_last_at(const fs::path& file) {
  const fs::path last = file.parent_path() / "last.safetensors";
  const fs::path beside = file.parent_path() / "last.safetensors.new";
  std::error_code error;
  fs::remove(beside, error);
  fs::create_symlink(file.filename(), beside, error);
  if (!error) fs::rename(beside, last, error);
  if (error)
    log::warning(last.string(), ": the link to the newest checkpoint could not be made (", error.message(), ")");
}

std::string text_or(const std::map<std::string, std::string>& text, const std::string& key,
                    const std::string& fallback) {
  const auto found = text.find(key);
  return found == text.end() ? fallback : found->second;
}

int64_t whole(const std::string& text) {
  int64_t value = 0;
  std::from_chars(text.data(), text.data() + text.size(), value);
  return value;
}

/// Copies tensors by name into a module; the report says what did not fit.
LoadReport copy_into(const Named& source, torch::nn::Module& module) {
  const torch::NoGradGuard no_grad;
  const std::map<std::string, at::Tensor> have(source.begin(), source.end());
  LoadReport report;
  std::map<std::string, bool> used;
  for (auto& [name, target] : module_tensors(module)) {
    const auto found = have.find(name);
    if (found == have.end()) {
      report.missing.push_back(name);
      continue;
    }
    used[name] = true;
    if (found->second.sizes() != target.sizes()) {
      report.mismatched.push_back(cat(name, ": have ", found->second.sizes(), ", want ", target.sizes()));
      continue;
    }
    at::Tensor(target).copy_(found->second);
    ++report.loaded;
  }
  for (const auto& [name, tensor] : source) {
    if (!used.contains(name)) report.unexpected.push_back(name);
  }
  return report;
}

std::string first_few(const std::vector<std::string>& names) {
  std::vector<std::string> shown(names.begin(),
                                 names.begin() + static_cast<std::ptrdiff_t>(std::min<size_t>(3, names.size())));
  return cat(join(shown, ", "), names.size() > 3 ? cat(" and ", names.size() - 3, " more") : "");
}

}  // namespace

Named module_tensors(const torch::nn::Module& module) {
  Named tensors;
  for (const auto& item : module.named_parameters()) tensors.emplace_back(item.key(), item.value());
  for (const auto& item : module.named_buffers()) tensors.emplace_back(item.key(), item.value());
  return tensors;
}

std::string libtorch_text() { return TORCH_VERSION; }

std::string build_text() { return cat("cstp ", version_text(), ", LibTorch ", libtorch_text(), ", ", compiler_text()); }

std::string LoadReport::text() const {
  std::string out = cat(loaded, " tensors loaded");
  if (!missing.empty()) out += cat("; missing: ", first_few(missing));
  if (!mismatched.empty()) out += cat("; of another shape: ", first_few(mismatched));
  if (!unexpected.empty()) out += cat("; not used: ", first_few(unexpected));
  return out;
}

std::string save_checkpoint(const std::string& output, const CheckpointNote& note, const Objective& objective,
                            const Optimizer& optimizer, int64_t keep) {
  TensorFile file;
  for (const auto& [name, tensor] : module_tensors(objective)) file.tensors.emplace_back(cat("model/", name), tensor);
  for (const auto& [name, tensor] : optimizer.state()) file.tensors.emplace_back(cat("optimizer/", name), tensor);
  file.tensors.emplace_back("rng/cpu", at::detail::getDefaultCPUGenerator().get_state());
  file.text = {{"format", kFormat},
               {"step", std::to_string(note.step)},
               {"config", note.config_yaml},
               {"threads", std::to_string(note.threads)},
               {"world_size", std::to_string(note.world_size)},
               {"data_hash", note.data_hash},
               {"build", build_text()}};
  const fs::path folder = checkpoint_folder(output);
  std::error_code error;
  fs::create_directories(folder, error);
  if (error) throw DataError(cat(folder.string(), ": cannot be made (", error.message(), "); choose another --output"));
  std::string digits = std::to_string(note.step);
  digits.insert(0, digits.size() < 8 ? 8 - digits.size() : 0, '0');
  const fs::path path = folder / cat("step-", digits, ".safetensors");
  save_tensor_file(path.string(), file);
  point_last_at(path);
  auto all = checkpoints_of(output);
  // Checkpoints of later steps (of a run that was started over) do not count as newest.
  std::erase_if(all, [&](const auto& entry) { return entry.first > note.step; });
  for (size_t i = 0; keep > 0 && i + static_cast<size_t>(keep) < all.size(); ++i) fs::remove(all[i].second, error);
  return path.string();
}

std::optional<std::string> newest_checkpoint(const std::string& output) {
  const auto all = checkpoints_of(output);
  if (all.empty()) return std::nullopt;
  return all.back().second.string();
}

namespace {

CheckpointNote note_of(const TensorFile& file, const std::string& path) {
  const std::string format = text_or(file.text, "format", "");
  if (format != kFormat) {
    throw CheckpointError(cat(path, ": is no checkpoint of this program (format '", format, "', wanted '", kFormat,
                              "'); weights alone can be given to eval, retrieve, embed and train by --checkpoint"));
  }
  return {whole(text_or(file.text, "step", "0")), text_or(file.text, "config", ""),
          whole(text_or(file.text, "threads", "0")), text_or(file.text, "data_hash", ""),
          whole(text_or(file.text, "world_size", "1"))};
}

Named with_prefix(const TensorFile& file, const std::string& prefix) {
  Named tensors;
  for (const auto& [name, tensor] : file.tensors) {
    if (name.starts_with(prefix)) tensors.emplace_back(name.substr(prefix.size()), tensor);
  }
  return tensors;
}

}  // namespace

CheckpointNote read_checkpoint_note(const std::string& path) { return note_of(load_tensor_file(path), path); }

namespace {

void restore_model(const TensorFile& file, const std::string& path, Objective& objective) {
  (void)note_of(file, path);
  const LoadReport report = copy_into(with_prefix(file, "model/"), objective);
  if (!report.missing.empty() || !report.unexpected.empty() || !report.mismatched.empty()) {
    throw CheckpointError(cat(path, ": does not fit this run: ", report.text()));
  }
}

}  // namespace

void load_model(const std::string& path, Objective& objective) {
  const std::string file = checkpoint_path(path);
  restore_model(load_tensor_file(file), file, objective);
}

void load_checkpoint(const std::string& path, Objective& objective, Optimizer& optimizer) {
  const TensorFile file = load_tensor_file(path);
  restore_model(file, path, objective);
  try {
    optimizer.load(with_prefix(file, "optimizer/"));
  } catch (const CheckpointError& error) {
    throw CheckpointError(cat(path, ": ", error.what()));
  }
  for (const auto& [name, state] : with_prefix(file, "rng/")) {
    at::Generator generator = at::detail::getDefaultCPUGenerator();
    if (name == "cpu") generator.set_state(state);
  }
}

std::string checkpoint_path(const std::string& path) {
  if (!fs::is_directory(path)) return path;
  const auto newest = newest_checkpoint(path);
  if (!newest) {
    throw CheckpointError(cat(path, ": holds no checkpoints/step-*.safetensors; wanted a checkpoint or a run folder"));
  }
  return *newest;
}

BackboneFile read_backbone_file(const std::string& path) {
  BackboneFile result;
  result.path = checkpoint_path(path);
  const TensorFile file = load_tensor_file(result.path);
  if (text_or(file.text, "format", "") == kFormat) {
    const CheckpointNote note = note_of(file, result.path);
    result.config = parse_run_config(note.config_yaml, result.path);
    result.step = note.step;
    result.weights = with_prefix(file, "model/backbone.");
  } else {
    for (const auto& [name, tensor] : file.tensors) {
      if (name.starts_with("fc.")) continue;  // torchvision's classifier
      result.weights.emplace_back(name.starts_with("backbone.") ? name.substr(9) : name, tensor);
    }
  }
  return result;
}

LoadReport load_backbone(const BackboneFile& file, Backbone& backbone, bool allow_partial) {
  const LoadReport report = copy_into(file.weights, backbone);
  const bool whole_network = report.missing.empty() && report.mismatched.empty();
  if (!whole_network && !(allow_partial && report.loaded > 0)) {
    throw CheckpointError(
        cat(file.path, ": does not fit the backbone: ", report.text(),
            "; was it trained with another model.name or model.width? (--allow-partial loads what fits)"));
  }
  return report;
}

}  // namespace cstp
