/// Who this process is among the ranks of a run. A value passed to those who need it; nobody asks a global.
#pragma once
#include <cstdint>

namespace cstp {

struct World {
  int64_t rank = 0;
  int64_t size = 1;
  bool is_first() const { return rank == 0; }
};

}  // namespace cstp
