#include "cstp/video/flow.h"

#include <algorithm>
#include <array>
#include <limits>
#include <opencv2/core.hpp>
#include <opencv2/video/tracking.hpp>
#ifdef CSTP_TVL1
#include <opencv2/optflow.hpp>
#endif
#include <utility>
#include <vector>

#include "cstp/core/error.h"
#include "cstp/core/text.h"

namespace cstp {
namespace {

// DIS refuses pictures below 12 pixels and picks other patches below about 32; smaller ones are continued by their
// edge.
constexpr int kSmallestSide = 32;

// Before main(), as OpenCV's thread pool must not be changed while another thread draws or resizes a picture.
[[maybe_unused]] const bool kOneThread = [] {
  cv::setNumThreads(1);
  return true;
}();

/// OpenCV's presets, and `fine`: medium, but solved down to single pixels, where medium stops at every second one and
/// the others at every fourth.
cv::Ptr<cv::DenseOpticalFlow> make_dis(const std::string& preset) {
  const std::vector<std::pair<std::string, int>> presets = {{"ultrafast", cv::DISOpticalFlow::PRESET_ULTRAFAST},
                                                            {"fast", cv::DISOpticalFlow::PRESET_FAST},
                                                            {"medium", cv::DISOpticalFlow::PRESET_MEDIUM},
                                                            {"fine", cv::DISOpticalFlow::PRESET_MEDIUM}};
  for (const auto& [name, number] : presets) {
    if (preset != name) continue;
    const auto dis = cv::DISOpticalFlow::create(number);
    if (name == "fine") dis->setFinestScale(0);
    return dis;
  }
  throw ConfigError(
      cat("optical flow: the preset '", preset, "' does not exist; of dis there are ultrafast, fast, medium and fine"));
}

#ifdef CSTP_TVL1
/// The numbers are OpenCV's defaults, spelled out so that a version with others gives the same flow.
cv::Ptr<cv::DenseOpticalFlow> make_tvl1() {
  constexpr double kTau = 0.25, kLambda = 0.15, kTheta = 0.3, kEpsilon = 0.01, kScaleStep = 0.8, kGamma = 0;
  constexpr int kScales = 5, kWarps = 5, kInner = 30, kOuter = 10, kMedian = 5;
  return cv::optflow::DualTVL1OpticalFlow::create(kTau, kLambda, kTheta, kScales, kWarps, kEpsilon, kInner, kOuter,
                                                  kScaleStep, kGamma, kMedian, false);
}
#else
cv::Ptr<cv::DenseOpticalFlow> make_tvl1() {
  throw ConfigError(
      "optical flow: this build has no 'tvl1', because OpenCV's contrib modules were not found; install the package "
      "libopencv-contrib-dev (scripts/install_dependencies.sh --tvl1), configure and build again, or use 'dis'");
}
#endif

cv::Ptr<cv::DenseOpticalFlow> make_method(const FlowOptions& options) {
  if (options.method == "dis") return make_dis(options.preset);
  if (options.method == "tvl1") return make_tvl1();
  throw ConfigError(cat("optical flow: the method '", options.method, "' does not exist; there are 'dis' and 'tvl1'"));
}

/// OpenCV's view of the bytes, or a larger copy that continues the last column and the last row.
cv::Mat at_least_smallest(const uint8_t* grey, int width, int height) {
  const cv::Mat picture(height, width, CV_8UC1, const_cast<uint8_t*>(grey));  // only read
  if (width >= kSmallestSide && height >= kSmallestSide) return picture;
  cv::Mat larger;
  cv::copyMakeBorder(picture, larger, 0, std::max(0, kSmallestSide - height), 0, std::max(0, kSmallestSide - width),
                     cv::BORDER_REPLICATE);
  return larger;
}

}  // namespace

struct FlowSolver::Impl {
  cv::Ptr<cv::DenseOpticalFlow> method;
};

FlowSolver::FlowSolver(const FlowOptions& options) : impl_(std::make_unique<Impl>(Impl{make_method(options)})) {}
FlowSolver::~FlowSolver() = default;
FlowSolver::FlowSolver(FlowSolver&&) noexcept = default;
FlowSolver& FlowSolver::operator=(FlowSolver&&) noexcept = default;

void FlowSolver::solve(const uint8_t* from, const uint8_t* to, int64_t width, int64_t height, float* u, float* v) {
  constexpr int64_t kLargestSide = std::numeric_limits<int16_t>::max();
  check(width > 0 && height > 0 && width <= kLargestSide && height <= kLargestSide,
        "FlowSolver::solve: sides must be 1 to 32767");
  const int w = static_cast<int>(width), h = static_cast<int>(height);
  cv::Mat flow;  // empty: DIS starts from what it finds in there
  impl_->method->calc(at_least_smallest(from, w, h), at_least_smallest(to, w, h), flow);
  std::array<cv::Mat, 2> planes = {cv::Mat(h, w, CV_32FC1, u), cv::Mat(h, w, CV_32FC1, v)};
  cv::split(flow(cv::Rect(0, 0, w, h)), planes.data());
}

bool FlowSolver::has_tvl1() {
#ifdef CSTP_TVL1
  return true;
#else
  return false;
#endif
}

}  // namespace cstp
