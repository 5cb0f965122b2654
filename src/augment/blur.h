/// Separable Gaussian blur of a picture that comes block by block: along its rows while a block is in the nearest
/// cache, then down its columns, row by row as the rows below arrive.
#pragma once
#include <cstdint>
#include <span>
#include <vector>

#include "block_ops.h"
#include "cstp/sampling/plan.h"

namespace cstp {

/// Weights of a Gaussian out to three sigma, summing to 1; fewer where the picture is too small to reflect so many.
/// @param taps odd number of them instead; 0: out to three sigma
std::vector<float> gaussian_kernel(double sigma, int64_t size, int64_t taps = 0);

/// A kernel without its outer weights, as far as they sum to less than a float tells from nothing beside 1 (2^-23).
std::span<const float> without_tails(std::span<const float> kernel);

class Blur {
 public:
  /// The next picture, of size x size pixels. Beyond the border lies what is reflected without repeating the edge pixel
  /// (as in torchvision's gaussian_blur), or zero.
  /// @param kernel 2*radius + 1 weights, radius < size; kept by the caller
  void begin(int64_t size, std::span<const float> kernel, BlurBorder border);
  /// The picture's next rows.
  void add(const PixelBlock& block);
  /// Rows that can be taken: those whose neighbours have come.
  int64_t ready() const;
  /// One or two rows as interleaved pixels, from row y on.
  /// @param second nullptr: only one
  void take(int64_t y, float* first, float* second);

 private:
  int64_t source(int64_t i) const;  ///< where pixel i of an axis is read: inside, reflected, or -1 for zero

  int64_t size_ = 0, radius_ = 0, come_ = 0;
  std::span<const float> kernel_;
  bool reflects_ = true;
  CacheLines rows_;                     ///< [S, 3S] blurred along
  CacheLines columns_;                  ///< a block blurred along
  CacheLines nothing_;                  ///< a column or row of zeros
  std::vector<const float*> pointers_;  ///< what is mixed
};

}  // namespace cstp
