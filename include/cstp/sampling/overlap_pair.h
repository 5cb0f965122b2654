/// CSTP's pair sampling: two clips of one video whose overlap in space and in time is one of five levels each.
///
/// Source: Zhang et al., "Contrastive Spatio-Temporal Pretext Learning for Self-supervised Video Representation",
/// AAAI 2022. The abstract, the figures and the released code were at hand, not the body of the paper.
///
/// `clean` follows the figures: the class is drawn first and kept, so labels are near uniform; the crop is made on the
/// upright frame and the square view is turned afterwards, so the overlap is true whatever the turns.
/// `released` follows the authors' code: a placement that does not fit redraws the class too (two thirds of the spatial
/// labels are then class 0), and frames are turned before they are cropped, with the first crop's pixel coordinates
/// reused in the frame as the second clip turns it.
#pragma once
#include <array>
#include <cstdint>
#include <string>

#include "cstp/core/random.h"
#include "cstp/sampling/plan.h"
#include "cstp/video/frame.h"

namespace cstp {

class Fields;

/// Overlap of class 0..4, in space and in time.
inline constexpr std::array<double, 5> kOverlapLevels = {1.0, 0.8, 0.6, 0.4, 0.2};
/// Shorter videos are refused (the released code crashes on them).
inline constexpr int64_t kShortestPairVideo = 8;

struct OverlapPairOptions {
  std::string preset = "clean";     ///< clean | released
  int64_t frames = 16;              ///< T; no key of its own: the caller sets it from the clip's
  int64_t fixed_stride = 0;         ///< no key of its own: this stride, and no rate is drawn; 0: a rate is drawn
  int64_t max_rate = 3;             ///< largest playback rate class; stride 2^class. 0 always draws stride 1
  bool rotation = true;             ///< draw a quarter turn per clip; otherwise both stay upright
  double crop_area_min = 0.2;       ///< first crop, share of the frame. The size of a crop tells its label:
  double crop_area_max = 1.0;       ///< 0.35 makes that leak small, and labels more uniform
  double crop_ratio_min = 3.0 / 4;  ///< width / height of the first crop, before its sides are swapped at random
  double crop_ratio_max = 4.0 / 3;
  int64_t tries = 50;  ///< clean: placements tried for the class drawn, then class 0
  bool released_packed =
      false;  ///< released: clip 2 reads clip 1's frames, as the packed loaders do (its temporal label is then noise)
  void bind(Fields& f);
  /// @throws ConfigError if a minimum is above its maximum, or released_packed is set with `clean`
  void validate(const std::string& path) const;
};

/// Draws time and rate, then turns, then crops. Two views, bicubic; colours and flips are left to draw_color().
/// The labels describe what was placed: in `clean` the classes of the realised overlaps, in `released` the classes
/// drawn (and the realised overlaps of the content beside them).
/// @throws DataError if the video has fewer than kShortestPairVideo frames
SamplePlan draw_overlap_pair(const VideoInfo& video, const OverlapPairOptions& options, Rng& rng);

/// The crop of a view in the upright frame, whatever was turned before it was cropped.
CropBox upright_crop(const ViewPlan& view);

// The steps of the draw, one by one.

struct PixelBox {
  int64_t x = 0, y = 0, w = 0, h = 0;
  bool operator==(const PixelBox&) const = default;
};
/// The corner of the first box that the second one shares.
enum class Corner : uint8_t { left_top, right_top, left_bottom, right_bottom };

/// Largest rate class p <= limit with 2^p * (T-1) <= N; 0 if there is none.
int64_t max_rate_class(int64_t video_frames, int64_t frames, int64_t limit);
/// Frames between the starts of two clips of span R for a class: round((1-gamma)R), which keeps clip 2 on clip 1's grid
/// of frames. `released` truncates in double arithmetic, and so loses a frame where (1-gamma)R should be whole.
int64_t temporal_shift(int64_t overlap_class, int64_t span, bool released);
/// Smallest overlap width for a level: floor(gamma*w), at least 1.
int64_t least_overlap_width(const PixelBox& first, double gamma);
/// Height that gives an overlap of `overlap_width` columns the area gamma*w*h: floor; it may exceed h by rounding.
int64_t overlap_height(const PixelBox& first, double gamma, int64_t overlap_width);
/// The box of equal size that shares overlap_width x overlap_height pixels at a corner.
PixelBox shifted_box(const PixelBox& first, Corner corner, int64_t overlap_width, int64_t overlap_height);

}  // namespace cstp
