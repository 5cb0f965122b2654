/// What a backbone costs: its layers in the order in which they run (and were registered), with output shapes,
/// parameters and multiply-adds.
#pragma once
#include <cstdint>
#include <string>
#include <vector>

#include "cstp/models/backbone.h"

namespace cstp {

struct LayerProfile {
  std::string name;             ///< its place in the network: "layer1.0.conv1.0"
  std::string kind;             ///< "conv 3x7x7" (time x height x width) | "norm" | "linear"
  std::vector<int64_t> output;  ///< [C,T,H,W] of one clip
  int64_t parameters = 0;
  int64_t statistics = 0;  ///< running mean and variance of a norm
  int64_t multiply_adds = 0;
};

struct ModelProfile {
  std::vector<LayerProfile> layers;
  std::vector<std::vector<int64_t>> stages;  ///< [C,T,H,W] of the four stages
  int64_t parameters = 0, statistics = 0;
  int64_t multiply_adds = 0;  ///< of convolutions and linear layers, for one clip; biases, norms, pools, sums and
                              ///< gates' products are not counted
};

/// The full network is built and counted but not run: a thin twin of it (the same layers, 8 channels wherever width
/// allows) shows the shapes.
/// @param frames, @param size of a clip [3,frames,size,size]
ModelProfile profile_model(const ModelOptions& options, int64_t frames, int64_t size);

}  // namespace cstp
