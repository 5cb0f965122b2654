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

/// Starts the program anew with what its libraries read before main, unless the user has set it. For what computes;
/// call first thing in main(). Where it cannot be done, the program goes on as it is.
/// Spinning: threads that wait at a barrier of libgomp, LibTorch's, spin for tens of milliseconds before they sleep.
/// Beside other work on the same cores a training then all but stands still: 20 steps in 5 s become more than a minute.
/// A tenth of that time costs nothing on free cores.
/// Huge pages: a step goes through gigabytes, and with pages of 4 KiB much of its time goes into finding them.
void restart_tuned(char** argv);

/// Processor time of all threads since the start, user and system.
double cpu_seconds();

}  // namespace cstp
