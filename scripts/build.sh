#!/usr/bin/env bash
# Configures and builds one preset. usage: scripts/build.sh [release|debug|asan-ubsan|tsan] [target...]
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."
preset=${1:-release}
shift || true
case $preset in
  release) folder=build ;;
  debug) folder=build-debug ;;
  asan-ubsan) folder=build-asan ;;
  tsan) folder=build-tsan ;;
  *) echo "build.sh: unknown preset '$preset'; wanted release, debug, asan-ubsan or tsan" >&2; exit 2 ;;
esac
if [ ! -f "$folder/build.ninja" ]; then
  cmake --preset "$preset" > "$folder.log" 2>&1 || { cat "$folder.log" >&2; exit 1; }
  grep -E 'GPU support|CUDA kernels' "$folder.log" || true
  rm -f "$folder.log"
fi
cmake --build "$folder" -- --quiet "$@"
