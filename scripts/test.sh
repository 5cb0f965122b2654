#!/usr/bin/env bash
# Sets up, builds and runs every test. usage: scripts/test.sh [--preset release|debug|asan-ubsan|tsan] [ctest arguments]
#
# Tests on real videos run where CSTP_TEST_DATA names a folder of them; elsewhere they skip and say so.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."
preset=release
if [ "${1:-}" = --preset ]; then
  preset=$2
  shift 2
fi
scripts/install_dependencies.sh --tests
# LibTorch is not built for ThreadSanitizer, so that runs what lies below it: reading, sampling, the loader, rendering.
targets=()
[ "$preset" = tsan ] && targets=(core_tests video_tests sampling_tests data_tests render_tests)
scripts/build.sh "$preset" "${targets[@]}"
folder=build
[ "$preset" = debug ] && folder=build-debug
if [ "$preset" = tsan ]; then
  folder=build-tsan
  export TSAN_OPTIONS="second_deadlock_stack=1"
  set -- --exclude-regex '_NOT_BUILT' "$@"
fi
if [ "$preset" = asan-ubsan ]; then
  folder=build-asan
  export ASAN_OPTIONS="detect_leaks=1:strict_string_checks=1"
  export UBSAN_OPTIONS="print_stacktrace=1"
fi
exec ctest --test-dir "$folder" --parallel "$(nproc)" --output-on-failure --no-tests=error "$@"
