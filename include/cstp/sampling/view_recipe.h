/// The two augmented views of contrastive learning: SimCLR's operations, each drawn once for a clip and shared by its
/// frames.
///
/// Source: Qian et al., "Spatiotemporal Contrastive Video Representation Learning", CVPR 2021, in the authors' released
/// code. `asymmetric`, of all its later revisions, always blurs the first view, seldom the second, and solarises only
/// the second; `symmetric`, of the first revision, blurs both with probability 1/2 and solarises none.
#pragma once
#include <cstdint>
#include <string>

#include "cstp/core/random.h"
#include "cstp/sampling/draw.h"
#include "cstp/sampling/plan.h"
#include "cstp/video/frame.h"

namespace cstp {

class Fields;

struct ViewRecipeOptions {
  std::string recipe = "asymmetric";  ///< asymmetric | symmetric
  CropOptions crop{.area_min = 0.3, .area_max = 1, .ratio_min = 0.5, .ratio_max = 2, .sampler = "height_uniform"};
  double flip = 0.5;
  double jitter = 0.8;           ///< probability of all four operations, in random order
  double jitter_strength = 1.0;  ///< 1: brightness, contrast, saturation in [0.2,1.8], hue in [-0.2,0.2] turns
  double grey = 0.2;             ///< independent of the jitter
  double blur_sigma_min = 0.1, blur_sigma_max = 2.0;  ///< output pixels
  std::string blur_border = "zero";                   ///< zero | reflect
  double solarize = 0.2;                              ///< asymmetric: probability for the second view, from 0.5 up
  void bind(Fields& f);
  /// @throws ConfigError if a minimum is above its maximum
  void validate(const std::string& path) const;
};

/// Weights of the blur for a view of S pixels: 2*floor(floor(S/10)/2) + 1, 23 at 224.
int64_t recipe_blur_taps(int64_t size);

/// Crop, flip and colours of view `index` (0 or 1) of a clip of S pixels; frames are the caller's. Bilinear without
/// antialiasing, as the released code resizes.
void draw_recipe_view(const VideoInfo& video, const ViewRecipeOptions& options, int64_t index, int64_t size, Rng& rng,
                      ViewPlan& view);

}  // namespace cstp
