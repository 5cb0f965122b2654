#include "cstp/sampling/plan.h"

#include <algorithm>
#include <cmath>

#include "cstp/core/error.h"

namespace cstp {

double temporal_overlap(const ViewPlan& a, const ViewPlan& b) {
  check(!a.frames.empty() && a.frames.size() == b.frames.size() && a.stride == b.stride,
        "temporal_overlap: the clips differ in length or stride");
  const int64_t span = (static_cast<int64_t>(a.frames.size()) - 1) * a.stride;
  const int64_t shift = std::abs(b.frames.front() - a.frames.front());
  if (shift == 0) return 1.0;  // also for one-frame clips, whose span is zero
  return shift >= span ? 0.0 : static_cast<double>(span - shift) / static_cast<double>(span);
}

double spatial_overlap(const CropBox& a, const CropBox& b) {
  check(a.w > 0 && a.h > 0, "spatial_overlap: empty box");
  const double w = std::min(a.x + a.w, b.x + b.w) - std::max(a.x, b.x);
  const double h = std::min(a.y + a.h, b.y + b.h) - std::max(a.y, b.y);
  return w <= 0 || h <= 0 ? 0.0 : w * h / (a.w * a.h);
}

double overlap_to_iou(double gamma) { return gamma / (2.0 - gamma); }

int64_t overlap_class(double gamma) { return std::clamp<int64_t>(std::lround((1.0 - gamma) * 5.0), 0, 4); }

std::vector<int64_t> frames_wanted(const SamplePlan& plan) {
  std::vector<int64_t> wanted;
  for (const ViewPlan& view : plan.views) wanted.insert(wanted.end(), view.frames.begin(), view.frames.end());
  if (plan.frame_after >= 0) wanted.push_back(plan.frame_after);
  std::sort(wanted.begin(), wanted.end());
  wanted.erase(std::unique(wanted.begin(), wanted.end()), wanted.end());
  return wanted;
}

}  // namespace cstp
