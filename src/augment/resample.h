/// Separable resampling of one 8-bit plane: which source samples each output sample reads, and the two passes.
///
/// A box is cut out first and resized then, as crop + resize of an image library: filters never read across the edge of
/// the box. What of the box lies off the plane reads as black.
#pragma once
#include <cstdint>
#include <vector>

#include "cstp/sampling/plan.h"
#include "pixel_math.h"
#include "row_ops.h"

namespace cstp {

/// One side of a box on a plane, in samples of that plane; the plane's sample j covers [j, j+1).
struct AxisBox {
  int64_t length = 0;  ///< samples that exist
  double start = 0;
  double extent = 0;  ///< > 0
  bool mirrored =
      false;  ///< the view runs against this axis; decides only which of two equally near samples is nearest
};

/// For each of S outputs, up to `width` consecutive source samples and their weights; weights of absent samples are 0.
struct Taps {
  int64_t width = 0;           ///< most taps of an output
  std::vector<int64_t> first;  ///< [S] first source sample, in [0, length)
  std::vector<int64_t> count;  ///< [S] taps in use; 0 where all is black
  std::vector<float> weight;   ///< [S, width]
  int64_t begin = 0, end = 0;  ///< source samples that are read at all
};

/// Nearest: the sample that holds the centre of the output (Pillow's rule). Bilinear and bicubic with `antialias`:
/// support widened by the shrink factor, cubic a = -0.5, weights renormalised at the edges of the box (Pillow;
/// torchvision's antialias=True). Without: the sample's 2 or 4 neighbours, cubic a = -0.75, edges replicated (PyTorch,
/// OpenCV).
Taps make_taps(const AxisBox& axis, int64_t size, Filter filter, bool antialias);

/// The same outputs in the opposite order: the view is mirrored along this axis.
Taps mirrored(const Taps& taps);

/// A plane of bytes; rows of consecutive samples.
struct BytePlane {
  const uint8_t* data = nullptr;
  int64_t stride = 0;
};

/// Length of a column in the result of resample_plane().
inline int64_t column_stride(int64_t size) { return (size + kRowBlock - 1) / kRowBlock * kRowBlock; }

/// kRowBlock rows of a plane after the vertical pass, column by column: the values of a column are neighbours, because
/// the horizontal pass runs down kRowBlock rows at once. Kept by the caller from block to block.
struct MixedBlock {
  CacheLines columns;  ///< [columns that are read, kRowBlock]
  CacheLines rows;
};

/// The vertical pass of rows `row` to row + kRowBlock - 1; rows past the last are black.
/// @param across only says which columns are read
/// @param black  taken away from every sample, so that black is 0
void mix_block(const BytePlane& plane, const Taps& across, const Taps& down, float black, int64_t row,
               MixedBlock& block);

/// The horizontal pass of the planes of a picture, whose chroma may be coarser, and the conversion to RGB.
/// @param luma, chroma taps across
/// @param from, end    outputs
/// @param out  [end - from, 3, kRowBlock]
void mix_to_rgb(const MixedBlock& y, const MixedBlock& cb, const MixedBlock& cr, const Taps& luma, const Taps& chroma,
                const YcbcrToRgb& coefficients, int64_t from, int64_t end, float* out);

/// Both passes of all rows of one plane.
/// @param out receives sample (row y, column x) at x*column_stride(S) + y; [S, column_stride(S)]
void resample_plane(const BytePlane& plane, const Taps& across, const Taps& down, float black, MixedBlock& scratch,
                    float* out);

}  // namespace cstp
