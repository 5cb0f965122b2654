/// Optical flow between two grey pictures: DIS (Kroeger et al., "Fast Optical Flow using Dense Inverse Search", ECCV
/// 2016), or TV-L1 (Zach et al., "A Duality Based Approach for Realtime TV-L1 Optical Flow", DAGM 2007) with which the
/// authors of STS computed theirs. Both are OpenCV's; TV-L1 is in its contrib modules, which a build may lack.
#pragma once
#include <cstdint>
#include <memory>
#include <string>

namespace cstp {

struct FlowOptions {
  std::string method = "dis";     ///< dis | tvl1 (OpenCV's defaults, which the published extractor leaves as they are)
  std::string preset = "medium";  ///< of dis: ultrafast | fast | medium | fine. Slower is finer and smoother.
};

/// Optical flow between consecutive grey pictures of one size. Not thread-safe: one a thread.
///
/// What a pair gives depends on that pair alone, not on those before it nor on the number of threads: OpenCV's own
/// threads are switched off in a program that uses this class (DIS would cut the picture into as many stripes).
class FlowSolver {
 public:
  /// @throws ConfigError if the method or the preset does not exist, or the method was left out of this build
  explicit FlowSolver(const FlowOptions& options);
  ~FlowSolver();
  FlowSolver(FlowSolver&&) noexcept;
  FlowSolver& operator=(FlowSolver&&) noexcept;

  /// Point (x, y) of `from` is at (x+u, y+v) of `to`: u grows to the right, v downwards.
  /// @param from, to height*width grey bytes, row-major; any size from 1x1 up
  /// @param u, v receive the same number of floats, in pixels
  void solve(const uint8_t* from, const uint8_t* to, int64_t width, int64_t height, float* u, float* v);

  /// False where the build did not find OpenCV's contrib modules.
  static bool has_tvl1();

 private:
  struct Impl;
  std::unique_ptr<Impl> impl_;
};

}  // namespace cstp
