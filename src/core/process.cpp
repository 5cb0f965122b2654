#include "cstp/core/process.h"

#include <sys/resource.h>
#include <unistd.h>

#include <cstdlib>
#include <filesystem>
#include <system_error>

#ifdef __GLIBC__
#include <malloc.h>
#endif

namespace cstp {
namespace {

rusage usage_now() {
  rusage usage{};
  ::getrusage(RUSAGE_SELF, &usage);
  return usage;
}

double seconds(const timeval& time) {
  return static_cast<double>(time.tv_sec) + 1e-6 * static_cast<double>(time.tv_usec);
}

}  // namespace

int64_t peak_memory_bytes() { return int64_t{1024} * usage_now().ru_maxrss; }

void keep_freed_memory() {
#ifdef __GLIBC__
  mallopt(M_MMAP_MAX, 0);  // blocks of their own are unmapped when they are freed
  constexpr int kNever = 2147483647;
  mallopt(M_TRIM_THRESHOLD, kNever);
#endif
}

void restart_tuned(char** argv) {
  if (std::getenv("GOMP_SPINCOUNT") != nullptr || std::getenv("OMP_WAIT_POLICY") != nullptr) return;
  std::error_code error;
  const auto program =
      std::filesystem::read_symlink("/proc/self/exe", error);  // by its path: it is listed under its name
  ::setenv("GOMP_SPINCOUNT", "30000", 1);
  ::setenv("GLIBC_TUNABLES", "glibc.malloc.hugetlb=1", 0);
  if (!error) ::execv(program.c_str(), argv);
}

double cpu_seconds() {
  const rusage usage = usage_now();
  return seconds(usage.ru_utime) + seconds(usage.ru_stime);
}

}  // namespace cstp
