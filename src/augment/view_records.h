/// A batch's views as a kernel reads them: flat records that view_table.h writes and both compilers understand, and the
/// shape of a launch. C++17, as the .cu files are.
#pragma once
#include <cstdint>

#include "pixel_math.h"

namespace cstp {

/// A place in memory, as a number: a plane of which only a part was brought along begins before that memory does.
using Address = uint64_t;

/// Source samples [first, first + count) make one output.
struct TapSpan {
  int32_t first, count;
};

/// The taps of resample.h along one axis: TapSpan [S] and float [S, width].
struct AxisTaps {
  Address spans, weights;
  int64_t width;
};

/// A tile, and what a block of threads must have of a frame to make it: rows of the resampled square, and of the source
/// the columns that its pixels read, in groups of four that begin at multiples of four.
struct TileNeed {
  int32_t row, rows;
  int32_t luma_from, luma_fours;
  int32_t chroma_from, chroma_fours;
  int32_t tile_row, tile_column;  ///< where its pixels begin: of the square, or, with a tilt, of the view
};

/// How a view lies on frames of one size (view_geometry.h).
struct GeometryRecord {
  AxisTaps luma_across, luma_down, chroma_across, chroma_down;
  Address tiles;  ///< TileNeed [row_tiles, column_tiles]
  Tilt tilt;
  Placement column, row;  ///< with a tilt: of the square, from where tilted_source() points to
  int32_t turned, tilted;
};

/// One frame of one view.
struct FrameRecord {
  Address y, cb, cr;  ///< of the sample in row 0 and column 0, there or not
  int32_t y_stride, uv_stride, uv_step;
  int32_t luma_end, chroma_end;  ///< columns before it can be read
  int32_t geometry;
  int32_t grey_channel;  ///< -1: none
  YcbcrToRgb coefficients;
};

/// As ColorOp.
enum ViewOperation : int32_t { kBrightness, kContrast, kSaturation, kHue };

/// What is done to all pixels of a view.
struct ViewRecord {
  int32_t operations;  ///< of the jitter
  int32_t contrast;    ///< which of them is the contrast; `operations` if none is
  int32_t operation[4];
  float amount[4];
  int32_t tensorflow;  ///< whose formulas
  int32_t grey;
  int32_t contrast_slot, blur_slot;  ///< among the batch's views that have one; -1: none
  float solarize;
  InputAffine range;
  int32_t blur_radius;
  int32_t blur_zero;     ///< beyond the border lies zero, not the picture mirrored
  Address blur_weights;  ///< float [padded_blur_taps(blur_radius)]
};

/// Weights are read by fours; those past the last are zero.
CSTP_HD int32_t padded_blur_taps(int32_t radius) { return (2 * radius + 4) / 4 * 4; }

/// A block makes `rows` x `columns` pixels of the resampled square with kThreadRows * columns threads; a thread makes
/// pixels of one column.
struct TileShape {
  int32_t rows, columns;
  int32_t row_tiles, column_tiles;
  int32_t threads() const { return 4 * columns; }
};
inline constexpr int32_t kThreadRows = 4;

/// Of the blurring pass: a block makes `rows` x `columns` pixels of a view.
struct BlurShape {
  int32_t rows, columns;
  int32_t row_tiles, column_tiles;
  int32_t radius;  ///< the largest of the batch
};
inline constexpr int32_t kBlurThreads = 256;
inline constexpr int32_t kMeanThreads = 128;

/// Pieces of at most `most` pixels that cut S into nearly equal parts; whole groups of eight, so that rows of pieces
/// begin at multiples of 16 bytes.
CSTP_HD int32_t piece_of(int32_t size, int32_t most) {
  const int32_t pieces = (size + most - 1) / most;
  return ((size + pieces - 1) / pieces + 7) / 8 * 8;
}

/// A block of a launch. Its three numbers are the grid's: blocks of a frame come first, so that rows they share are
/// still in the second-level cache.
struct BlockNumber {
  int32_t tile;  ///< of the frame
  int32_t t;     ///< frame of the clip
  int32_t slot;  ///< view among those of the launch
};

/// A launch: everything that kernels are told by value.
struct RenderLaunch {
  const ViewRecord* views;           ///< [N]
  const FrameRecord* frames;         ///< [N, T]
  const GeometryRecord* geometries;  ///< as FrameRecord::geometry counts
  const int32_t* contrast_views;     ///< views with a contrast, in order
  const int32_t* blurred_views;      ///< views with a blur
  int32_t view_count, contrast_count, blurred_count;
  int32_t clip_frames;  ///< T
  int32_t size;         ///< S
  TileShape tile;
  int32_t mixed_floats;  ///< shared memory of the vertical pass
  BlurShape blur;
  float* sums;          ///< [contrast_count, T * tiles, 3]
  float* means;         ///< [contrast_count, 3]
  uint16_t* unblurred;  ///< [blurred_count, T, S, S, 3], in 65535ths
};

/// Tiles of a frame; the grid of a pass over them is tiles x T x views.
CSTP_HD int32_t tiles_of(const RenderLaunch& launch) { return launch.tile.row_tiles * launch.tile.column_tiles; }
CSTP_HD int32_t blur_tiles_of(const RenderLaunch& launch) { return launch.blur.row_tiles * launch.blur.column_tiles; }

/// Where a block's sums stand among those of all.
CSTP_HD int64_t sums_place(const RenderLaunch& launch, BlockNumber block) {
  return (int64_t{block.slot} * launch.clip_frames + block.t) * tiles_of(launch) + block.tile;
}

}  // namespace cstp
