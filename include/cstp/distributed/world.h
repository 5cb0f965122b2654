/// Who this process is among the ranks of a run. A value passed to those who need it; nobody asks a global.
#pragma once
#include <cstdint>
#include <memory>

namespace cstp {

class RankGroup;  ///< process group, meeting point and signs of life; private to src/distributed

struct World {
  int64_t rank = 0;
  int64_t size = 1;
  int64_t local_rank = 0;            ///< among the ranks of this machine
  int64_t local_size = 1;            ///< ranks of this machine
  std::shared_ptr<RankGroup> group;  ///< null in a world of one
  bool is_first() const { return rank == 0; }
};

}  // namespace cstp
