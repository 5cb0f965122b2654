/// What this process takes of the machine.
#pragma once
#include <cstdint>

namespace cstp {

/// Most memory that was resident at once since the start, in bytes; libraries and their code included.
int64_t peak_memory_bytes();

/// Lets this process keep the memory that it frees. A training step frees and takes the same blocks again and again;
/// given back to the system in between, each comes anew page by page, zeroed, which costs more than many a layer. The
/// process then holds the most that it ever needed. Call first thing in main().
void keep_freed_memory();

/// Processor time of all threads since the start, user and system.
double cpu_seconds();

}  // namespace cstp
