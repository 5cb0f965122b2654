/// What a run is, in one safetensors file: written beside, flushed, renamed; `last.safetensors` points to the newest.
///
/// Tensors: model/* (parameters and buffers of the objective), optimizer/*, rng/*. Text: format, step, resolved YAML,
/// compute threads, world size, data fingerprint, build. The data stream needs no state but the step and the journal of
/// bad videos, because every sample draws from its own counter.
#pragma once
#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "cstp/engine/optimizer.h"
#include "cstp/engine/run_config.h"
#include "cstp/objectives/objective.h"

namespace cstp {

/// Version of the program and of what it was built with, one line.
std::string build_text();
std::string libtorch_text();  ///< "2.11.0+cu128"

/// Parameters and buffers by their full names.
std::vector<std::pair<std::string, at::Tensor>> module_tensors(const torch::nn::Module& module);

struct CheckpointNote {
  int64_t step = 0;
  std::string config_yaml;
  int64_t threads = 0;
  std::string data_hash;
  int64_t world_size = 1;  ///< ranks that trained it; a note, any number may go on
};

/// OUTPUT/checkpoints/step-00000012.safetensors. Keeps the `keep` newest (0: all).
/// @return its path. @throws DataError if it cannot be written; earlier checkpoints are untouched
std::string save_checkpoint(const std::string& output, const CheckpointNote& note, const Objective& objective,
                            const Optimizer& optimizer, int64_t keep);

/// Newest checkpoint of a run folder, or nothing.
std::optional<std::string> newest_checkpoint(const std::string& output);

/// Reads only the text of a checkpoint. @throws CheckpointError
CheckpointNote read_checkpoint_note(const std::string& path);

/// Restores everything. @throws CheckpointError tensor by tensor: name, have, want
void load_checkpoint(const std::string& path, Objective& objective, Optimizer& optimizer);

/// Restores the objective alone (parameters and buffers). @param path a checkpoint or a run folder. @throws
/// CheckpointError
void load_model(const std::string& path, Objective& objective);

/// Path of a checkpoint: a file as it is, a run folder's newest. @throws CheckpointError if the folder has none
std::string checkpoint_path(const std::string& path);

/// How a file's tensors met a module's.
struct LoadReport {
  int64_t loaded = 0;
  std::vector<std::string> missing;     ///< the module wants, the file lacks
  std::vector<std::string> unexpected;  ///< the file has, the module lacks
  std::vector<std::string> mismatched;  ///< "name: have [..], want [..]"
  std::string text() const;
};

/// A trained backbone: the description in the file (if it is one of ours) and its weights.
struct BackboneFile {
  std::string path;
  std::optional<RunConfig> config;                          ///< absent for a plain weight file
  std::vector<std::pair<std::string, at::Tensor>> weights;  ///< names without prefix: "stem.0.weight"
  int64_t step = 0;
};
/// @param path a checkpoint, a run folder (its newest checkpoint), or a safetensors file of weights named as the
///        backbone names them (torchvision's names for torchvision's networks; `fc.*` is ignored)
BackboneFile read_backbone_file(const std::string& path);
/// Copies the weights. @throws CheckpointError with the report unless everything the module wants is there or
/// `allow_partial` is set and something is
LoadReport load_backbone(const BackboneFile& file, Backbone& backbone, bool allow_partial);

}  // namespace cstp
