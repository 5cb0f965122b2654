/// Inflation of a 2D image network into a 3D video network of the same layers: the baselines "ImageNet inflated" and
/// "SimCLR inflated" of CVRL (Qian et al., CVPR 2021).
///
/// Rule: a 2D kernel is repeated over time and divided by the length of the 3D kernel, so that a clip of equal frames
/// gives what the image gave (away from the ends in time). (Carreira and Zisserman, "Quo Vadis, Action Recognition?",
/// CVPR 2017; CVRL's own rule is not stated.)
#pragma once
#include <string>

#include "cstp/engine/checkpoint.h"

namespace cstp {

/// The 3D network's name for a tensor of torchvision's 2D ResNets: "conv1.weight" -> "stem.0.weight",
/// "layer1.0.conv2.weight" -> "layer1.0.conv2.0.weight", "layer1.0.bn2.bias" -> "layer1.0.conv2.1.bias". Other names
/// stay.
std::string video_name(const std::string& image_name);

/// The file's weights under the 3D network's names, 2D kernels [O,I,h,w] inflated to the network's [O,I,t,h,w]. Names
/// that the network has already stay as they are. What does not fit is left for load_backbone() to report.
/// @throws CheckpointError if nothing was inflated: then this is no image network, or no network over time
BackboneFile inflated(const BackboneFile& file, const Backbone& backbone);

}  // namespace cstp
