/// Plans: everything random about a sample, drawn before a pixel is read. Small values that can be compared, logged,
/// stored and drawn as a picture. Machines that make no decisions execute them; labels are computed from them.
#pragma once
#include <array>
#include <cstdint>
#include <optional>
#include <vector>

namespace cstp {

/// A box in [0,1] of the displayed frame (rotation metadata applied; after the plan's own turn where turn_before_crop).
/// What lies outside the frame is black.
struct CropBox {
  double x = 0, y = 0, w = 1, h = 1;
  bool operator==(const CropBox&) const = default;
};

enum class ColorOp : uint8_t { brightness, contrast, saturation, hue };
enum class Filter : uint8_t { nearest, bilinear, bicubic };
/// Whose formulas contrast, saturation and grey follow. torchvision: contrast about the clip's mean luma, saturation by
/// blending with the luma, grey by (0.299, 0.587, 0.114). tensorflow (CVRL's released code): contrast about each
/// channel's mean over the clip, saturation scales HSV's S, grey by (0.2989, 0.5870, 0.1140).
enum class ColorRule : uint8_t { torchvision, tensorflow };
/// What a blur sees beyond the edge of a view.
enum class BlurBorder : uint8_t { reflect, zero };

/// Colour changes of one view: one draw, shared by its T frames (but for the grey channel, which CSTP redraws per
/// frame). Order of execution: jitter, grey, blur, solarize.
struct ColorPlan {
  std::vector<ColorOp> jitter;                          ///< in the order drawn; empty: none
  double brightness = 1, contrast = 1, saturation = 1;  ///< factors
  double hue = 0;                                       ///< shift in turns, [-0.5, 0.5]
  bool grey = false;                                    ///< replace by luma, weighted as `rule` says
  std::vector<int8_t> grey_channel;  ///< empty, or per frame the RGB channel (0..2) copied to all three
  double blur_sigma = 0;             ///< output pixels; 0: none
  int64_t blur_taps = 0;             ///< odd number of weights; 0: out to three sigma
  BlurBorder blur_border = BlurBorder::reflect;
  double solarize = 2;  ///< values in [0,1] at or above it are inverted; above 1: none
  ColorRule rule = ColorRule::torchvision;
  bool operator==(const ColorPlan&) const = default;
};

struct ViewPlan {
  std::vector<int64_t> frames;  ///< T source frame numbers
  int64_t stride = 1;           ///< source frames per step (playback rate)
  CropBox crop;
  bool flip = false;              ///< horizontal, after crop and turn
  int quarter_turns = 0;          ///< counter-clockwise
  bool turn_before_crop = false;  ///< released CSTP turns the whole frame first
  double tilt_degrees =
      0;  ///< small rotation about the centre of the view, counter-clockwise, nearest neighbour, black fill
  Filter filter = Filter::bilinear;
  bool antialias = true;  ///< widen the filter by the shrink factor
  ColorPlan color;
  bool operator==(const ViewPlan&) const = default;
};

/// What CSTP's heads must name, and what was realised.
struct OverlapLabels {
  int64_t spatial = 0;             ///< class 0..4 of gamma_s = 1.0, .8, .6, .4, .2
  int64_t temporal = 0;            ///< class 0..4 of gamma_t
  int64_t rate = 0;                ///< log2(stride), 0..3
  std::array<int64_t, 2> turns{};  ///< quarter turns of either clip
  double spatial_overlap = 1;      ///< realised gamma_s
  double temporal_overlap = 1;     ///< realised gamma_t
  bool fallback = false;           ///< no placement was found for the class drawn; class 0 was used
  bool operator==(const OverlapLabels&) const = default;
};

struct SamplePlan {
  std::vector<ViewPlan> views;           ///< V of them
  std::optional<OverlapLabels> overlap;  ///< set by pair sampling
  bool flow = false;                     ///< optical flow of the views is wanted (STS)
  bool raw_bytes = false;                ///< u8 RGB views before any colour operation are wanted (STS)
  int64_t frame_after = -1;  ///< a frame past the first view's clip whose flow field is wanted too; -1: none
  bool operator==(const SamplePlan&) const = default;
};

/// Shared part of two windows of equal span R = (T-1)*stride: (R - |start_b - start_a|) / R, 0 when disjoint.
/// Requires equal T and stride. (CSTP, released figures: tau_o / tau.)
double temporal_overlap(const ViewPlan& a, const ViewPlan& b);
/// Intersection area over the area of `a`: gamma_s = sigma_o / sigma (not IoU).
double spatial_overlap(const CropBox& a, const CropBox& b);
/// gamma / (2 - gamma), for boxes of equal size.
double overlap_to_iou(double gamma);
/// The nearest of the five levels 1, .8, .6, .4, .2 as a class 0..4.
int64_t overlap_class(double gamma);

/// Sorted distinct frame numbers of all views, and frame_after.
std::vector<int64_t> frames_wanted(const SamplePlan& plan);

}  // namespace cstp
