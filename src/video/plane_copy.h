/// libav's pictures as packed 8-bit 4:2:0 planes.
#pragma once
#include "cstp/video/frame.h"
#include "cstp/video/video_reader.h"
#include "ffmpeg.h"

namespace cstp {

/// Matrix and range of a picture whose samples have this format.
void set_color(const AVFrame& source, AVPixelFormat format, Frame& frame);

/// Keeps the scaler between pictures of one size and format.
class PlaneCopier {
 public:
  /// Rows tightly packed: y, then u, then v. 4:2:0 of 8 bits is copied, anything else goes through swscale once, at the
  /// same size, keeping the source's matrix and range.
  /// @return false if swscale cannot read the pixel format
  bool copy(const AVFrame& source, const FrameMemory& memory, Frame& frame);

 private:
  const AVFrame* convert(const AVFrame& source, const Frame& frame);
  struct Shape {
    int width = 0, height = 0, format = -1;
    ColorMatrix matrix = ColorMatrix::bt601;
    ColorRange range = ColorRange::limited;
    bool operator==(const Shape&) const = default;
  };
  Shape shape_;  ///< that the scaler is for
  ScalerPtr scaler_;
  FramePtr converted_;
};

}  // namespace cstp
