/// How the hot loops meet the machine.
///
/// CSTP_MULTIVERSION before a function: compiled for plain x86-64, AVX2 and AVX-512, chosen once when the program
/// starts, so one binary runs anywhere and is fast where it can be. The choice depends on the machine alone: a machine
/// gives the same bits on every run. Elsewhere (other processors, other compilers, sanitizers, whose run time is not
/// ready when the choice is made; CSTP_ONE_VERSION, for counting instructions) there is one version.
#pragma once

#if defined(__x86_64__) && defined(__GNUC__) && !defined(__clang__) && !defined(__SANITIZE_ADDRESS__) && \
    !defined(__SANITIZE_THREAD__) && !defined(CSTP_ONE_VERSION)
#define CSTP_MULTIVERSIONED
#define CSTP_MULTIVERSION __attribute__((target_clones("default", "arch=x86-64-v3", "arch=x86-64-v4")))
#else
#define CSTP_MULTIVERSION
#endif

namespace cstp {

/// Eight floats that a sum is kept in: compilers leave an array of sums in memory, and this in registers. Pointers to
/// it need no more alignment than a float, if their type is written out: `auto` forgets that part.
typedef float Lanes __attribute__((vector_size(32), aligned(4), may_alias));
/// The same in a register, aligned as machines like it.
typedef float FullLanes __attribute__((vector_size(32)));

}  // namespace cstp
