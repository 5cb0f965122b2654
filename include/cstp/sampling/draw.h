/// General draws that fill in a ViewPlan: windows in time, crops in space, colours; and the fixed grid of views that
/// evaluation uses. Boxes lie on the pixel grid of the displayed frame, as in CSTP's released code, and are stored in
/// [0,1].
///
/// Where frames are to be seen through a square resize (so that their shape tells nothing), pass a VideoInfo whose
/// width and height are equal: boxes are relative, so this is the same as drawing on the resized frame.
#pragma once
#include <cstdint>
#include <string>
#include <vector>

#include "cstp/core/random.h"
#include "cstp/sampling/plan.h"
#include "cstp/video/frame.h"

namespace cstp {

class Fields;

/// Source frames between the first and the last frame of a clip: R = (T-1)*stride.
inline int64_t clip_span(int64_t frames, int64_t stride) { return (frames - 1) * stride; }

/// T frame numbers start, start+stride, ...; past the end of the video the count goes on from frame 0, as in CSTP's
/// released loader ("wrapped clip").
std::vector<int64_t> clip_frames(int64_t start, int64_t frames, int64_t stride, int64_t video_frames);

/// One window at a uniform start in [0, N-R-1]; videos with N <= R give the wrapped clip that starts at 0.
void draw_window(const VideoInfo& video, int64_t frames, int64_t stride, Rng& rng, ViewPlan& view);

struct CropOptions {
  double area_min = 0.2, area_max = 1.0;            ///< share of the frame's area
  double ratio_min = 3.0 / 4, ratio_max = 4.0 / 3;  ///< width / height in pixels
  std::string sampler = "cstp";                     ///< cstp | height_uniform | log_aspect; see crop_sampler.h
  void bind(Fields& f);
  /// @throws ConfigError if a minimum is above its maximum
  void validate(const std::string& path) const;
};

/// The frame as it is after a resize to 171 x 128 pixels, whatever its shape was (C3D's line: VCOP, STS).
VideoInfo squeezed(VideoInfo video);

/// Random resized crop by options.sampler. `cstp`: area and aspect uniform, sides swapped with probability 1/2, at most
/// `tries` draws until the box fits, else the centred square of the short side (CSTP, released code). The others have
/// their own number of tries.
CropBox draw_crop(const VideoInfo& video, const CropOptions& options, Rng& rng, int64_t tries = 10);

/// The centred square of `share` of the short side; 112/128 is "short side 128, centre crop 112".
CropBox centre_crop(const VideoInfo& video, double share = 112.0 / 128);

/// Colours, flip and tilt of one view, strong with some probability and weak (flip only) otherwise. Defaults: CSTP's
/// pre-training; its fine-tuning is {strong 1, tilt 0, jitter 0.3, grey 0, blur 0, flip 0}.
struct ClipColorOptions {
  double strong = 0.3;       ///< probability of the strong recipe, drawn per view
  double tilt_degrees = 10;  ///< strong: angle uniform in [-tilt, tilt]
  double jitter = 0.8;       ///< strong: probability of colour jitter, its operations in random order
  double brightness = 0.4, contrast = 0.4, saturation = 0.4;  ///< factors uniform in [1-v, 1+v]
  double hue = 0.1;                                           ///< shift uniform in [-v, v] turns
  double grey = 0.2;  ///< strong: probability of copying one RGB channel, redrawn per frame, to all three
  double blur = 0.5;  ///< strong: probability of a Gaussian blur
  double blur_sigma_min = 0.1, blur_sigma_max = 2.0;  ///< output pixels
  double flip = 0.5;                                  ///< strong and weak: probability of a horizontal flip
  void bind(Fields& f);
  /// @throws ConfigError if blur_sigma_min is above blur_sigma_max
  void validate(const std::string& path) const;
};

/// Sets view.color, view.flip and view.tilt_degrees. Requires view.frames.
void draw_color(const ClipColorOptions& options, Rng& rng, ViewPlan& view);

/// `clips` starts spread evenly from 0 to N-1-span (one clip: the middle); all 0 where the video is no longer than the
/// span.
std::vector<int64_t> uniform_starts(int64_t video_frames, int64_t span, int64_t clips);
/// CSTP's released test tiling, 0-based: 0, span, 2*span, ... <= N-1-span, and one more at N-1-span (a tile that ends
/// exactly there counts twice, as released); {0} where N <= span.
std::vector<int64_t> tiled_starts(int64_t video_frames, int64_t span);

/// CVRL's released test windows: floor(i * max(0, N - T*stride) / (clips-1)), i = 0..clips-1. (T*stride, not the span:
/// the last window ends stride-1 frames before the video does.)
std::vector<int64_t> floored_starts(int64_t video_frames, int64_t frames, int64_t stride, int64_t clips);

struct GridOptions {
  int64_t frames = 16;
  int64_t stride = 4;
  int64_t clips = 10;  ///< uniform clips; 0: tiled_starts(), so the number of views depends on the video
  int64_t crops = 1;   ///< 1: centre; 3: both ends of the long side and its centre
  std::string crop_mode =
      "center";  ///< center: squares of crop_share of the short side; square: the whole frame, resized to a square
  double crop_share = 112.0 / 128;
  Filter filter = Filter::bicubic;  ///< CSTP's released transforms resize bicubically
  bool antialias = true;
  bool floored = false;  ///< floored_starts() for uniform_starts()
  bool squeeze = false;  ///< crops lie on the frame squeezed to 171 x 128 pixels; see squeezed()
};
/// The grid of a method by its name. `cstp`: the defaults above. `cvrl`: floored starts, squares of the whole short
/// side, bilinear without antialiasing. (CVRL's released code.) `sts`: frames squeezed to 171 x 128, of which the
/// centred 112 x 112, bilinear without antialiasing. (VCOP's released code, which STS's literature follows.)
GridOptions grid_of(const std::string& method);
/// Names that grid_of() knows.
const std::vector<std::string>& grid_methods();

/// The views of one video for evaluation, clip by clip, its crops side by side: view = clip * crops + crop. Nothing is
/// random.
/// @throws ConfigError if crops is neither 1 nor 3, or 3 with crop_mode square
SamplePlan evaluation_plan(const VideoInfo& video, const GridOptions& options);

/// Takes from the clips of a plan what time tells, to see how much a network lives on it. "shuffle": each clip's frames
/// in an order of its own; "repeat": each clip's middle frame in every place; "none": nothing. (HDC specification,
/// section 9; how they are drawn is our decision.)
void probe_time(const std::string& probe, Rng& rng, SamplePlan& plan);

}  // namespace cstp
