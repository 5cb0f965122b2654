/// Supervised classification of clips: fine-tuning, and with `freeze` the linear probe.
///
/// Network: backbone -> (L2-normalise) -> (BatchNorm1d) -> (dropout) -> linear, as CSTP's released downstream code has
/// it.
#pragma once
#include <ATen/core/Tensor.h>

#include <cstdint>

#include "cstp/objectives/objective.h"
#include "cstp/sampling/draw.h"

namespace cstp {

struct SupervisedOptions {
  bool freeze = false;      ///< linear probe: backbone in eval mode, without gradient
  bool normalize = true;    ///< L2-normalise the feature
  bool norm = true;         ///< BatchNorm1d before the classifier
  bool norm_affine = true;  ///< with scale and shift (fine-tuning); the probe has none
  double dropout = 0;
  int64_t stride = 4;              ///< source frames between the frames of a training clip
  bool augment = true;             ///< random resized crop and colours; else the centre crop
  std::string filter = "bicubic";  ///< bicubic | bilinear (bilinear without antialiasing, as CVRL's released code)
  bool squeeze = false;            ///< crops lie on the frame squeezed to 171 x 128 pixels
  CropOptions crop;
  ClipColorOptions color{.strong = 1, .tilt_degrees = 0, .jitter = 0.3, .grey = 0, .blur = 0, .flip = 0};
  void bind(Fields& f);
  /// @throws ConfigError if a minimum is above its maximum
  void validate() const;
  SharedViews shared_views() const;
};
/// How a method's released code cuts and colours training clips, by a name of grid_methods(); the rest at its defaults.
/// `cvrl`: area [0.3,1] and aspect [0.5,2] with uniform heights, flip, no colours, bilinear.
/// `sts`: 112 x 112 of frames squeezed to 171 x 128, no flip, no colours, bilinear (VCOP's released code).
SupervisedOptions training_views(const std::string& method);

/// An objective that can also be asked for class scores.
class Classifier : public Objective {
 public:
  /// @param views [N,3,T,S,S]; @return [N,K] f32 in the mode (train or eval) the module is in
  virtual at::Tensor logits(const at::Tensor& views) = 0;
};

}  // namespace cstp
