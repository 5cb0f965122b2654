#include "cstp/models/backbone.h"

#include <algorithm>
#include <string>
#include <vector>

#include "conv_units.h"
#include "cstp/core/config.h"
#include "cstp/core/error.h"
#include "cstp/core/text.h"

namespace cstp {

// Each defined in the file of its family.
std::shared_ptr<Backbone> make_r3d18(const ModelOptions& options);
std::shared_ptr<Backbone> make_r2plus1d18(const ModelOptions& options);
std::shared_ptr<Backbone> make_r2plus1d10(const ModelOptions& options);
std::shared_ptr<Backbone> make_r3d10_pool(const ModelOptions& options);
std::shared_ptr<Backbone> make_r3d18_pool(const ModelOptions& options);
std::shared_ptr<Backbone> make_r3d10(const ModelOptions& options);
std::shared_ptr<Backbone> make_r2plus1d18_vcop(const ModelOptions& options);
std::shared_ptr<Backbone> make_mc3_18(const ModelOptions& options);
std::shared_ptr<Backbone> make_r3d50(const ModelOptions& options);
std::shared_ptr<Backbone> make_r3d101(const ModelOptions& options);
std::shared_ptr<Backbone> make_r3d152(const ModelOptions& options);
std::shared_ptr<Backbone> make_c3d(const ModelOptions& options);
std::shared_ptr<Backbone> make_c3d_bn(const ModelOptions& options);
std::shared_ptr<Backbone> make_c3d_light(const ModelOptions& options);
std::shared_ptr<Backbone> make_s3d(const ModelOptions& options);
std::shared_ptr<Backbone> make_s3dg(const ModelOptions& options);
std::shared_ptr<Backbone> make_mean_frame(const ModelOptions& options);
std::shared_ptr<Backbone> make_frame_difference(const ModelOptions& options);

namespace {

constexpr BackboneRow kBackbones[] = {
    {"r2plus1d10", make_r2plus1d10,
     "CSTP's R(2+1)D: one factorised block per stage, stem mid 83, factorised shortcuts"},
    {"r3d10_pool", make_r3d10_pool, "CSTP's R3D: one block per stage, 7x7x7 stem and max-pool"},
    {"r3d18_pool", make_r3d18_pool, "CSTP's R3D: two blocks per stage, 7x7x7 stem and max-pool"},
    {"r3d18", make_r3d18, "torchvision's r3d_18"},
    {"r2plus1d18", make_r2plus1d18, "torchvision's r2plus1d_18"},
    {"r3d10", make_r3d10, "R3D of STS and HDC: one block per stage, 3x7x7 stem without pool"},
    {"r3d18_vcop", make_r3d18, "R3D of VCOP's line, HDC's 3D-ResNet18: the very network of r3d18"},
    {"r2plus1d18_vcop", make_r2plus1d18_vcop,
     "R(2+1)D of VCOP's line: r2plus1d10 with two blocks per stage; not torchvision's"},
    {"mc3_18", make_mc3_18, "torchvision's mc3_18: 3x3x3 in the first stage, 1x3x3 in the others, all frames kept"},
    {"r3d50", make_r3d50, "CVRL's R3D-50: bottlenecks, 3x1x1 in the two last stages; width 2 and 4 are its 2x and 4x"},
    {"r3d101", make_r3d101, "CVRL's R3D-101"},
    {"r3d152", make_r3d152, "CVRL's R3D-152; its 2x is width 2"},
    {"c3d", make_c3d, "C3D's eight convolutions without norms, stages tapped before their pools"},
    {"c3d_bn", make_c3d_bn, "C3D with a batch norm after every convolution"},
    {"c3d_light", make_c3d_light,
     "MAS's C3D: five convolutions without norms, then fc6 and fc7, which are its last stage"},
    {"s3d", make_s3d, "torchvision's s3d: separable 3D Inception"},
    {"s3dg", make_s3dg, "S3D-G of Pace and STS: separable 3D Inception with gates"},
    {.name = "mean_frame",
     .make = make_mean_frame,
     .description = "baseline without weights: the mean frame on a 16x16 grid",
     .learns = false},
    {.name = "frame_difference",
     .make = make_frame_difference,
     .description = "baseline without weights: where frames differ, on a 16x16 grid",
     .learns = false},
};

std::vector<std::string> names() {
  std::vector<std::string> result;
  for (const BackboneRow& row : kBackbones) result.emplace_back(row.name);
  return result;
}

Choice choice_of(const std::string& text) {
  return text == "on" ? Choice::on : text == "off" ? Choice::off : Choice::automatic;
}

}  // namespace

void ModelOptions::bind(Fields& f) {
  f.choice("name", name, names(), "network");
  f.number("width", width, {.min = 0.01, .max = 8},
           "multiplies every channel count (then a multiple of 8, at least 8)");
  f.choice("pad_channels", pad_channels, {"auto", "on", "off"},
           "compute with channel counts padded to a multiple of 8; auto: on a GPU");
  f.choice("conv2d_views", conv2d_views, {"auto", "on", "off"},
           "compute 1xkxk convolutions as 2D ones over all frames; auto: on a GPU");
}

void compute_as(const torch::nn::Module& module, const ComputeForm& form) {
  for (const auto& child : module.modules(/*include_self=*/false)) {
    if (auto* conv = dynamic_cast<ClipConvImpl*>(child.get())) conv->compute_as(form);
  }
}

std::span<const BackboneRow> backbones() { return kBackbones; }

bool has_weights(const std::string& backbone) {
  return std::none_of(std::begin(kBackbones), std::end(kBackbones),
                      [&backbone](const BackboneRow& row) { return backbone == row.name && !row.learns; });
}

std::shared_ptr<Backbone> make_backbone(const ModelOptions& options) {
  for (const BackboneRow& row : kBackbones) {
    if (options.name != row.name) continue;
    auto backbone = row.make(options);
    backbone->form_ = row.name;
    compute_as(*backbone, {choice_of(options.pad_channels), choice_of(options.conv2d_views)});
    return backbone;
  }
  const std::vector<std::string> known = names();
  const std::string near = closest(options.name, known);
  throw ConfigError(cat("model.name: there is no backbone '", options.name, "' (known: ", join(known, ", "), ")",
                        near.empty() ? "" : cat("; did you mean '", near, "'?")));
}

at::Tensor Backbone::pool(const std::vector<at::Tensor>& maps) const {
  return mean_over_clip(maps.back());  // [N,C]
}

void Backbone::require_clip(int64_t frames, int64_t height, int64_t width) const {
  const SmallestClip least = smallest_clip();
  if (frames >= least.frames && std::min(height, width) >= least.size) return;
  throw ConfigError(cat("model.name: ", form_, " wants clips of at least ", least.frames, " frames and ", least.size,
                        "x", least.size, " pixels, and found ", frames, " frames of ", height, "x", width,
                        "; raise clip.frames or clip.size (eval.frames, eval.size), or choose another backbone"));
}

int64_t parameter_count(const torch::nn::Module& module) {
  int64_t count = 0;
  for (const at::Tensor& parameter : module.parameters()) {
    if (parameter.requires_grad()) count += parameter.numel();
  }
  return count;
}

}  // namespace cstp
