#include "cstp/core/process.h"

#include <sys/resource.h>

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

double cpu_seconds() {
  const rusage usage = usage_now();
  return seconds(usage.ru_utime) + seconds(usage.ru_stime);
}

}  // namespace cstp
