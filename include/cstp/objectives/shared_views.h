/// Whether one objective can learn from the views that another draws: what each says of itself, from its options alone,
/// so that a joint objective that cannot work is refused while its configuration is read.
#pragma once
#include <cstdint>
#include <limits>
#include <string>
#include <vector>

#include "cstp/objectives/backbone_pass.h"

namespace cstp {

/// What an objective's plan() draws.
struct ViewsDrawn {
  std::string text;          ///< for messages: "two clips of a video, near in time more often than far"
  int64_t count = 1;         ///< V
  bool overlap = false;      ///< SamplePlan::overlap is set
  bool rates = false;        ///< ViewPlan::stride is drawn, and differs between videos
  bool same_frames = false;  ///< the first two views have the same frames
  bool upright = true;       ///< no view is turned or tilted
};

/// What an objective's loss_of() needs of the views, whoever draws them.
struct ViewNeeds {
  static constexpr int64_t kAny = std::numeric_limits<int64_t>::max();

  std::string text;                ///< for messages: "two clips of a video"
  std::string way_out;             ///< for messages: the options that need less, "" if none does
  int64_t least = 1, most = kAny;  ///< V
  bool overlap = false, rates = false, same_frames = false, upright = false;
  bool flow = false, raw_bytes = false;   ///< asked of whoever draws: SamplePlan::flow, SamplePlan::raw_bytes
  std::vector<std::string> drawing_keys;  ///< own options ("crop", "tc.max_gap") that only the own plan() reads

  bool accepts(const ViewsDrawn& views) const {
    return views.count >= least && views.count <= most && (views.overlap || !overlap) && (views.rates || !rates) &&
           (views.same_frames || !same_frames) && (views.upright || !upright);
  }
};

/// What an options struct that can be part of a joint objective gives by shared_views().
struct SharedViews {
  ViewsDrawn draws;
  ViewNeeds needs;
  Passing passing;
  std::string passing_option;  ///< for messages: the option that decided it, "" if none does
};

}  // namespace cstp
