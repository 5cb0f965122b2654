/// A decoded picture as the project passes it around: 8-bit 4:2:0 planes, never RGB before a view needs it.
#pragma once
#include <cstdint>

namespace cstp {

/// YCbCr -> RGB coefficients of a picture. Unspecified streams count as bt601, as swscale assumes.
enum class ColorMatrix : uint8_t { bt601, bt709, bt2020, fcc, smpte240m };
/// limited: Y in [16,235], C in [16,240]; full: [0,255].
enum class ColorRange : uint8_t { limited, full };

/// One picture, in its coded orientation. Sizes may change within a file, so every frame says its own. Does not own its
/// planes. Chroma planes have ceil(width/2) x ceil(height/2) samples; NV12 has v = u + 1 and uv_step 2, planar has
/// uv_step 1.
struct Frame {
  const uint8_t* y = nullptr;
  const uint8_t* u = nullptr;
  const uint8_t* v = nullptr;
  int64_t y_stride = 0;   ///< bytes from row to row
  int64_t uv_stride = 0;  ///< bytes from chroma row to chroma row
  int64_t uv_step = 1;    ///< bytes from chroma sample to chroma sample
  int64_t width = 0;      ///< coded orientation
  int64_t height = 0;
  int quarter_turns = 0;  ///< counter-clockwise quarter turns (0..3) that bring it upright for display
  ColorMatrix matrix = ColorMatrix::bt601;
  ColorRange range = ColorRange::limited;

  int64_t chroma_width() const { return (width + 1) / 2; }
  int64_t chroma_height() const { return (height + 1) / 2; }
  int64_t display_width() const { return quarter_turns % 2 == 0 ? width : height; }
  int64_t display_height() const { return quarter_turns % 2 == 0 ? height : width; }
};

/// What a file says, and what was counted where it lies.
struct VideoInfo {
  int64_t frames = 0;  ///< frames that really decode; frame numbers run from 0 to frames-1 in presentation order
  double fps = 0;      ///< mean rate; 25 where the file does not say
  int64_t width = 0;   ///< displayed, rotation metadata applied, of the first frame
  int64_t height = 0;
  double seconds = 0;  ///< frames / fps
};

}  // namespace cstp
