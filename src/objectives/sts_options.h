/// Options of STS; sts.cpp says what they stand for and where they come from.
#pragma once
#include <cstdint>
#include <string>
#include <vector>

#include "cstp/augment/view_flow.h"
#include "cstp/core/config.h"
#include "cstp/objectives/shared_views.h"
#include "cstp/objectives/sts.h"
#include "sts_appearance.h"

namespace cstp {

struct StsMotionOptions {
  double weight = 1;
  StsParts parts;  ///< keys p1, p2, p3, global
  void bind(Fields& f);
  bool on() const { return weight > 0 && parts.any(); }
};

struct StsAppearanceOptions {
  double weight = 0.1;
  StsParts parts;
  std::string color_rule = "count";  ///< count | mode
  void bind(Fields& f);
  bool on() const { return weight > 0 && parts.any(); }
  DominantColor rule() const { return color_rule == "mode" ? DominantColor::mode : DominantColor::count; }
};

struct StsFlowOptions {
  std::string source = "on_the_fly";  ///< on_the_fly | stored
  std::string root;                   ///< stored: folder of the dump
  ViewFlowOptions view;               ///< keys method, preset, margin
  bool flip_negate_u = true;          ///< false: parity with the released code
  bool field_past_clip = false;       ///< true: parity, T fields are summed where T-1 lie within the clip
  void bind(Fields& f);
};

struct StsOptions {
  StsMotionOptions motion;
  StsAppearanceOptions appearance;
  StsFlowOptions flow;
  int64_t resize_height = 0, resize_width = 0;  ///< pixels; 0: 128 and 171 to a view of 112
  bool antialias = false;
  double flip = 0.5;
  std::string targets = "raw";  ///< raw | standard
  std::string loss = "mse";     ///< mse | cross_entropy

  void bind(Fields& f);
  /// @throws ConfigError if nothing would be learnt
  void validate() const;
  SharedViews shared_views() const;
  /// The size S of the clip's views. @throws ConfigError if such clips have no such labels
  int64_t checked_size(const ClipOptions& clip) const;

  /// Height and width that frames are squeezed to before a view of S pixels is cut out. Released: 128 x 171, S = 112.
  int64_t resized_height(int64_t size) const;
  int64_t resized_width(int64_t size) const;

  /// The questions asked, in the order of the labels. @param frames T
  std::vector<StsSlot> slots(int64_t frames) const;
};

/// Of all 14 and 13 labels, those that are asked for: places in the whole vectors.
std::vector<size_t> asked_motion(const StsMotionOptions& options);
std::vector<size_t> asked_appearance(const StsAppearanceOptions& options);

}  // namespace cstp
