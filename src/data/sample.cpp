#include "cstp/data/sample.h"

#include <algorithm>

#include "cstp/core/error.h"

namespace cstp {

const Frame& Sample::frame(int64_t number) const {
  const auto found = std::lower_bound(frame_numbers.begin(), frame_numbers.end(), number);
  check(found != frame_numbers.end() && *found == number, "Sample::frame: this frame was not asked for");
  const auto index = static_cast<size_t>(found - frame_numbers.begin());
  check(index < frames.size(), "Sample::frame: the frames were released or never decoded");
  return frames[index];
}

}  // namespace cstp
