#include "cstp/engine/inflate.h"

#include <ATen/ATen.h>

#include <map>
#include <regex>

#include "cstp/core/error.h"
#include "cstp/core/log.h"
#include "cstp/core/text.h"

namespace cstp {

std::string video_name(const std::string& image_name) {
  // Here a convolution and its norm are parts 0 and 1 of one unit, as in torchvision's video networks.
  static const std::regex stem("^(conv|bn)1\\.(.*)$");
  static const std::regex block("^(layer[0-9]+\\.[0-9]+)\\.(conv|bn)([0-9]+)\\.([a-z_]+)$");
  std::smatch part;
  const auto place = [&part](size_t i) { return part[i] == "conv" ? "0" : "1"; };
  if (std::regex_match(image_name, part, stem)) return cat("stem.", place(1), ".", part[2].str());
  if (std::regex_match(image_name, part, block)) {
    return cat(part[1].str(), ".conv", part[3].str(), ".", place(2), ".", part[4].str());
  }
  return image_name;
}

BackboneFile inflated(const BackboneFile& file, const Backbone& backbone) {
  std::map<std::string, at::Tensor> wanted;
  for (const auto& [name, tensor] : module_tensors(backbone)) wanted.emplace(name, tensor);
  BackboneFile result = file;
  int64_t kernels = 0;
  for (auto& [name, tensor] : result.weights) {
    if (!wanted.contains(name)) name = video_name(name);
    const auto target = wanted.find(name);
    if (target == wanted.end() || tensor.dim() != 4 || target->second.dim() != 5) continue;
    const int64_t length = target->second.size(2);
    tensor = (tensor / static_cast<double>(length)).unsqueeze(2).repeat({1, 1, length, 1, 1});  // [O,I,t,h,w]
    ++kernels;
  }
  if (kernels == 0) {
    throw CheckpointError(cat(file.path,
                              ": holds no 2D kernel [out,in,h,w] whose name the backbone knows; --inflate "
                              "wants the weights of an image network (torchvision's names), without it a "
                              "video network's weights are loaded"));
  }
  log::info(file.path, ": ", kernels, " kernels repeated over time");
  return result;
}

}  // namespace cstp
