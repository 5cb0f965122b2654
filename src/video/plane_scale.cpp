#include "plane_scale.h"

#include <opencv2/core.hpp>
#include <opencv2/imgproc.hpp>

#include "cstp/core/error.h"

namespace cstp {
namespace {

cv::Mat plane_at(const uint8_t* bytes, int64_t width, int64_t height, int64_t stride) {
  return cv::Mat(static_cast<int>(height), static_cast<int>(width), CV_8UC1, const_cast<uint8_t*>(bytes),
                 static_cast<size_t>(stride));
}

/// After cv::rotate's codes for 1, 2 and 3 quarter turns counter-clockwise.
constexpr std::array<int, 4> kTurns = {-1, cv::ROTATE_90_COUNTERCLOCKWISE, cv::ROTATE_180, cv::ROTATE_90_CLOCKWISE};

void scale_plane(const cv::Mat& from, int turns, cv::Mat& to) {
  const cv::Size lying = turns % 2 == 0 ? to.size() : cv::Size(to.rows, to.cols);  // before it is turned
  const bool shrinks = lying.width < from.cols || lying.height < from.rows;
  const cv::Mat* scaled = &from;
  cv::Mat resized;
  if (lying != from.size()) {
    cv::resize(from, resized, lying, 0, 0, shrinks ? cv::INTER_AREA : cv::INTER_LINEAR);
    scaled = &resized;
  }
  const uint8_t* const memory = to.data;
  if (turns == 0) {
    scaled->copyTo(to);
  } else {
    cv::rotate(*scaled, to, kTurns[static_cast<size_t>(turns)]);
  }
  check(to.data == memory, "scale_upright: OpenCV wrote elsewhere");
}

}  // namespace

void scale_upright(const Frame& frame, int64_t width, int64_t height, const PlaneTargets& to) {
  check(width % 2 == 0 && height % 2 == 0 && frame.uv_step == 1, "scale_upright: odd sizes or mixed chroma");
  const std::array<const uint8_t*, 3> planes = {frame.y, frame.u, frame.v};
  for (size_t i = 0; i < planes.size(); ++i) {
    const bool luma = i == 0;
    const cv::Mat from = plane_at(planes[i], luma ? frame.width : frame.chroma_width(),
                                  luma ? frame.height : frame.chroma_height(), luma ? frame.y_stride : frame.uv_stride);
    cv::Mat target = plane_at(to.planes[i], luma ? width : width / 2, luma ? height : height / 2, to.strides[i]);
    scale_plane(from, frame.quarter_turns, target);
  }
}

}  // namespace cstp
