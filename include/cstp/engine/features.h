/// A data set through a network, once: embeddings or class scores of an evaluation grid of clips.
#pragma once
#include <ATen/core/Tensor.h>
#include <c10/core/Device.h>

#include <cstdint>
#include <functional>
#include <string>
#include <vector>

#include "cstp/augment/render.h"
#include "cstp/data/clip_loader.h"
#include "cstp/data/dataset.h"
#include "cstp/distributed/world.h"
#include "cstp/engine/run_config.h"

namespace cstp {

struct FeatureOptions {
  EvalOptions eval;            ///< grid of clips and crops, batch
  int64_t clips = 10;          ///< overrides eval.clips
  std::string probe = "none";  ///< of these clips; see probe_time()
  int64_t seed = 1;            ///< of the probe: a clip's order depends on it and on the video
  ClipOptions clip;            ///< size, square
  InputOptions input;
  LoaderOptions loader;
  c10::Device device = c10::kCPU;
  bool bf16 = false;
  bool channels_last = true;
  std::string what;  ///< shown in progress lines: "test features"
  World world;       ///< each rank takes a part of the videos; the result is whole on every rank
};

/// Rows of the videos that decoded, in the order of the data set.
struct FeatureSet {
  at::Tensor values;             ///< [D,V,C] f32 on the CPU: D decoded videos, V = clips*crops views each
  at::Tensor labels;             ///< [D] int64, -1 where unknown
  std::vector<int64_t> records;  ///< D indices into the data set
  int64_t total = 0;             ///< videos tried
  int64_t decoded() const { return static_cast<int64_t>(records.size()); }
};

/// @param network clips [N,3,T,S,S] on the device -> [N,C]; called without gradient
/// A video that cannot be decoded is named in a warning and left out; nothing is replaced.
FeatureSet extract_features(const Dataset& dataset, const FeatureOptions& options,
                            const std::function<at::Tensor(const at::Tensor&)>& network);

/// The frame as plans see it: squeezed to a square where clip.square says so.
VideoInfo as_seen(const VideoInfo& video, const ClipOptions& clip);

}  // namespace cstp
