/// What this process takes of the machine.
#pragma once
#include <cstdint>

namespace cstp {

/// Most memory that was resident at once since the start, in bytes; libraries and their code included.
int64_t peak_memory_bytes();

/// Processor time of all threads since the start, user and system.
double cpu_seconds();

}  // namespace cstp
