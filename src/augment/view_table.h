/// What the CUDA body reads: each sample's views packed by the thread that decoded them, then the table of a batch.
///
/// A sample's views are packed into one piece of memory that goes to the device in one copy: the planes, of which only
/// the rows and columns that some view reads are brought along, and the taps that make_geometry() worked out, so both
/// bodies resample by the same numbers. The table of a batch holds records alone; it says where the pieces lie there.
#pragma once
#include <cstdint>
#include <span>
#include <vector>

#include "cstp/augment/render.h"
#include "cstp/data/sample.h"
#include "view_geometry.h"
#include "view_records.h"

namespace cstp {

/// Room in a piece of memory, handed out in multiples of 16 bytes.
class Room {
 public:
  size_t take(size_t bytes) {
    const size_t at = taken_;
    taken_ += (bytes + 15) / 16 * 16;
    return at;
  }
  size_t taken() const { return taken_; }

 private:
  size_t taken_ = 0;
};

/// The views of one sample. Whoever packs gives the memory, of the kind that copies like.
class PackedViews {
 public:
  virtual ~PackedViews() = default;
  /// @return memory for so many bytes, beginning at a multiple of 16; called once
  virtual uint8_t* allocate(size_t bytes) = 0;

  int64_t size = 0;                 ///< S
  int64_t clip_frames = 0;          ///< T
  size_t bytes = 0;                 ///< of the memory
  bool own_planes = true;           ///< planes lie in the memory; else their addresses are already those of the device
  std::vector<ViewRecord> views;    ///< [V]; addresses count from the memory's beginning
  std::vector<FrameRecord> frames;  ///< [V,T]
  struct Geometry {
    ViewGeometry view;
    GeometryRecord record{};
    int choice = 0;               ///< first tile shape that fits
    std::vector<TileNeed> needs;  ///< of its tiles
  };
  std::vector<Geometry> geometries;
};

/// Planes that lie on the GPU (sample.on_gpu) are left there.
/// @throws DeviceError if the views' resampling does not fit into a GPU's shared memory
/// Thread safety: no shared state.
void pack_views(const Sample& sample, int64_t size, const InputOptions& input, PackedViews& to);

/// Records of a batch.
class ViewTable {
 public:
  struct Part {
    const PackedViews* views = nullptr;
    Address memory = 0;  ///< where its memory lies on the device
  };
  /// @param samples B, of equal V, T and S; their views become rows v*B + b
  explicit ViewTable(std::vector<Part> samples);

  size_t bytes() const { return bytes_; }
  /// @param to bytes() of them; what it holds points to where it will lie, `at`
  /// @return the launch but for its work space
  RenderLaunch write(uint8_t* to, Address at) const;

 private:
  std::vector<Part> samples_;
  int64_t views_ = 0;  ///< V
  RenderLaunch launch_{};
  size_t bytes_ = 0;
  size_t frames_at_ = 0, geometries_at_ = 0, needs_at_ = 0, contrast_at_ = 0, blurred_at_ = 0;
  std::vector<const PackedViews::Geometry*> geometries_;
  std::vector<std::vector<TileNeed>> needs_;  ///< of geometries whose own shape is not the batch's; else empty
  std::vector<int32_t> contrast_views_, blurred_views_;
};

/// Work space of a launch, in bytes: sums, then means, then what is to be blurred; each begins at a multiple of 16.
size_t work_space(const RenderLaunch& launch);
/// Puts it at `at`.
void set_work_space(RenderLaunch& launch, uint8_t* at);

}  // namespace cstp
