#include "cstp/core/process.h"

#include <gtest/gtest.h>

#include <vector>

namespace cstp {
namespace {

TEST(Process, PeakMemoryGrowsByWhatIsTouchedAndStaysWhenItIsGivenBack) {
  const int64_t before = peak_memory_bytes();
  constexpr int64_t kBytes = 256 << 20;
  int64_t within = 0;
  {
    const std::vector<char> block(kBytes, 1);
    within = peak_memory_bytes() + block[17] - 1;
  }
  EXPECT_GE(within, before + kBytes / 2);
  EXPECT_LE(within, before + 2 * kBytes);
  EXPECT_GE(peak_memory_bytes(), within);
}

TEST(Process, ProcessorTimeIsThatOfWork) {
  const double before = cpu_seconds();
  volatile double sum = 0;
  while (cpu_seconds() < before + 0.02) {
    for (int i = 0; i < 1000; ++i) sum = sum + i;
  }
  EXPECT_GT(sum, 0);
}

}  // namespace
}  // namespace cstp
