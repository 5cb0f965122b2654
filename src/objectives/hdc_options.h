/// Options of HDC; hdc.cpp says what they stand for and where they come from.
#pragma once
#include <cstdint>
#include <string>
#include <vector>

#include "cstp/core/config.h"
#include "cstp/objectives/shared_views.h"
#include "cstp/sampling/draw.h"

namespace cstp {

/// What a new spatial draw changes: one draw a clip, shared by its frames. (D)
struct HdcColorOptions {
  double flip = 0.5;
  double jitter = 0.8;
  double brightness = 0.4, contrast = 0.4, saturation = 0.4, hue = 0.1;
  double grey = 0.2;
  double blur = 0.5;
  double blur_sigma_min = 0.1, blur_sigma_max = 2.0;

  void bind(Fields& f);

  /// All but the grey, which is CSTP's there: a channel copied, and redrawn per frame.
  ClipColorOptions without_grey() const;
};

struct SpatialOptions {
  double weight = 1;
  std::string time = "same";      ///< same | new
  std::string pool = "per_step";  ///< per_step | flatten | 3d
  void bind(Fields& f);
};

struct TemporalOptions {
  double weight = 1;
  std::string spatial = "new";  ///< new | same
  int64_t max_gap = 0;          ///< source frames; 0: the whole video
  std::string pool = "3d";      ///< as of SpatialOptions
  void bind(Fields& f);
};

struct HdcOptions {
  std::string views = "shared";                ///< shared | independent
  std::vector<int64_t> levels = {1, 2, 3, 4};  ///< stages, shallow to deep
  SpatialOptions sc;
  TemporalOptions tc;
  std::string weights = "geometric";  ///< uniform | linear | geometric | measured
  double gamma = 0.5;                 ///< geometric
  double epsilon = 0.05;              ///< measured
  double measured_momentum = 0.99;    ///< measured
  std::string contrast = "ntxent";    ///< ntxent | cross_view
  double temperature = 0.1;
  int64_t head_hidden = 512;
  int64_t head_out = 128;
  CropOptions crop;
  HdcColorOptions color;

  void bind(Fields& f);

  void validate() const;
  SharedViews shared_views() const;
  /// Views a video: the anchor's, and one for each of the subtasks; an anchor for each where views are independent.
  int64_t view_count() const;
};

}  // namespace cstp
