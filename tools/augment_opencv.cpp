#include "augment_opencv.h"

#include <algorithm>
#include <cmath>
#include <opencv2/core.hpp>
#include <opencv2/imgproc.hpp>
#include <vector>

namespace cstp {
namespace {

int interpolation(const ViewPlan& plan, OpencvShrink shrink) {
  if (plan.antialias && shrink == OpencvShrink::area) return cv::INTER_AREA;
  return plan.filter == Filter::bicubic ? cv::INTER_CUBIC : cv::INTER_LINEAR;
}

struct Scratch {
  cv::Mat rgb, small, other, grey, hsv, table;
};

void convert(const Frame& frame, const BenchCase& bench, cv::Mat& rgb) {
  const cv::Mat planes(static_cast<int>(bench.height * 3 / 2), static_cast<int>(bench.width), CV_8UC1,
                       const_cast<uint8_t*>(frame.y));
  cv::cvtColor(planes, rgb, cv::COLOR_YUV2RGB_I420);
}

void cut(const Frame& frame, const BenchCase& bench, const ViewPlan& plan, OpencvShrink shrink, Scratch& scratch) {
  const auto size = static_cast<int>(bench.size);
  convert(frame, bench, scratch.rgb);
  const PixelCrop box = pixel_crop(bench, plan);
  const cv::Rect rect(static_cast<int>(box.x), static_cast<int>(box.y), static_cast<int>(box.w),
                      static_cast<int>(box.h));
  cv::resize(scratch.rgb(rect), scratch.small, {size, size}, 0, 0, interpolation(plan, shrink));
  if (plan.quarter_turns > 0) {
    const int codes[] = {0, cv::ROTATE_90_COUNTERCLOCKWISE, cv::ROTATE_180, cv::ROTATE_90_CLOCKWISE};
    cv::rotate(scratch.small, scratch.other, codes[plan.quarter_turns]);
    std::swap(scratch.small, scratch.other);
  }
  if (plan.flip) {
    cv::flip(scratch.small, scratch.other, 1);
    std::swap(scratch.small, scratch.other);
  }
  if (plan.tilt_degrees != 0) {
    const cv::Point2f centre(static_cast<float>(size - 1) / 2, static_cast<float>(size - 1) / 2);
    cv::warpAffine(scratch.small, scratch.other, cv::getRotationMatrix2D(centre, plan.tilt_degrees, 1), {size, size},
                   cv::INTER_NEAREST, cv::BORDER_CONSTANT);
    std::swap(scratch.small, scratch.other);
  }
}

/// Turns the hue through a table: OpenCV's 8-bit hue has 256 steps (COLOR_RGB2HSV_FULL).
void turn_hue(cv::Mat& rgb, double shift, Scratch& scratch) {
  scratch.table.create(1, 256, CV_8UC3);
  const int steps = static_cast<int>(std::lround(256 * shift));
  for (int i = 0; i < 256; ++i) {
    const auto byte = static_cast<uint8_t>(i);
    scratch.table.at<cv::Vec3b>(i) = cv::Vec3b(static_cast<uint8_t>(i + steps), byte, byte);
  }
  cv::cvtColor(rgb, scratch.hsv, cv::COLOR_RGB2HSV_FULL);
  cv::LUT(scratch.hsv, scratch.table, scratch.hsv);
  cv::cvtColor(scratch.hsv, rgb, cv::COLOR_HSV2RGB_FULL);
}

double mean_grey(const cv::Mat& rgb, Scratch& scratch) {
  cv::cvtColor(rgb, scratch.grey, cv::COLOR_RGB2GRAY);
  return cv::mean(scratch.grey)[0];
}

void jitter(cv::Mat& rgb, ColorOp op, const ColorPlan& color, double mean, Scratch& scratch) {
  switch (op) {
    case ColorOp::brightness: rgb.convertTo(rgb, CV_8U, color.brightness); break;
    case ColorOp::contrast: rgb.convertTo(rgb, CV_8U, color.contrast, (1 - color.contrast) * mean); break;
    case ColorOp::saturation:
      cv::cvtColor(rgb, scratch.grey, cv::COLOR_RGB2GRAY);
      cv::cvtColor(scratch.grey, scratch.other, cv::COLOR_GRAY2RGB);
      cv::addWeighted(rgb, color.saturation, scratch.other, 1 - color.saturation, 0, rgb);
      break;
    case ColorOp::hue: turn_hue(rgb, color.hue, scratch); break;
  }
}

void finish(cv::Mat& rgb, const BenchCase& bench, const ColorPlan& color, size_t t, Scratch& scratch, float* out) {
  if (color.grey || !color.grey_channel.empty()) {
    if (color.grey) {
      cv::cvtColor(rgb, scratch.grey, cv::COLOR_RGB2GRAY);
    } else {
      cv::extractChannel(rgb, scratch.grey, color.grey_channel[t]);
    }
    cv::cvtColor(scratch.grey, rgb, cv::COLOR_GRAY2RGB);
  }
  if (color.blur_sigma > 0) {
    const int taps = static_cast<int>(blur_taps(color));
    cv::GaussianBlur(rgb, scratch.other, {taps, taps}, color.blur_sigma, color.blur_sigma, cv::BORDER_REFLECT_101);
    std::swap(rgb, scratch.other);
  }
  if (color.solarize <= 1) {
    scratch.table.create(1, 256, CV_8UC1);
    for (int i = 0; i < 256; ++i)
      scratch.table.at<uint8_t>(i) = static_cast<uint8_t>(i >= 255 * color.solarize ? 255 - i : i);
    cv::LUT(rgb, scratch.table, rgb);
  }
  const bool is_signed = bench.input.range == "signed";
  cv::Mat floats(rgb.rows, rgb.cols, CV_32FC3, out);
  rgb.convertTo(floats, CV_32F, (is_signed ? 2 : 1) / 255.0, is_signed ? -1 : 0);
}

}  // namespace

std::vector<uint8_t> rgb_clips(const BenchCase& bench) {
  std::vector<uint8_t> bytes;
  cv::Mat rgb;
  for (const Sample& clip : bench.clips) {
    for (const Frame& frame : clip.frames) {
      convert(frame, bench, rgb);
      bytes.insert(bytes.end(), rgb.data, rgb.data + rgb.total() * 3);
    }
  }
  return bytes;
}

void render_opencv(const BenchCase& bench, const BenchView& view, OpencvShrink shrink, std::span<float> out) {
  thread_local Scratch scratch;
  thread_local std::vector<cv::Mat> clip;
  const ColorPlan& color = view.plan.color;
  clip.resize(view.plan.frames.size());
  const size_t frame_floats = out.size() / clip.size();
  const auto contrast = std::ranges::find(color.jitter, ColorOp::contrast);
  double mean = 0;
  for (size_t t = 0; t < clip.size(); ++t) {
    cut(bench.clips[view.clip].frames[t], bench, view.plan, shrink, scratch);
    std::swap(clip[t], scratch.small);
    for (auto op = color.jitter.begin(); op != contrast; ++op) jitter(clip[t], *op, color, 0, scratch);
    if (contrast != color.jitter.end()) {
      mean += mean_grey(clip[t], scratch) / static_cast<double>(clip.size());
    } else {
      finish(clip[t], bench, color, t, scratch, out.data() + t * frame_floats);
    }
  }
  if (contrast == color.jitter.end()) return;
  for (size_t t = 0; t < clip.size(); ++t) {
    for (auto op = contrast; op != color.jitter.end(); ++op) jitter(clip[t], *op, color, mean, scratch);
    finish(clip[t], bench, color, t, scratch, out.data() + t * frame_floats);
  }
}

}  // namespace cstp
