#!/usr/bin/env bash
# Counts the instructions of a fixed piece of rendering and of drawing (tools/counted_work.cpp) and compares them with
# the stored counts: a check of speed that no noise can touch. usage: scripts/count_instructions.sh [--update]
#
#   --update  stores what was counted
#
# Exit code 1 where a count grew by more than 3 %; 77, and a line that says why, where nothing can be compared: counts
# hold for one compiler, and for machines with AVX2, which valgrind passes on to the program.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."
stored=tests/augment/instruction_counts.txt
tolerance_percent=3

skip() {
  echo "count_instructions.sh: skipped: $*"
  exit 77
}

command -v valgrind > /dev/null || skip "valgrind is not installed"
[ "$(uname -m)" = x86_64 ] || skip "the counts are those of an x86-64 machine, this is $(uname -m)"
grep -q '^flags.* avx2.* ' /proc/cpuinfo && grep -q '^flags.* fma ' /proc/cpuinfo || skip "this processor has no AVX2 and FMA"
scripts/build.sh release counted_work
compiler=$(sed -n 's/^CMAKE_CXX_COMPILER:[A-Z]*=//p' build/CMakeCache.txt)
version="$("$compiler" -dumpfullversion) $("$compiler" --version | head -1 | cut -d' ' -f1)"

folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
# count FUNCTION: instructions of the function and of all that it calls
count() {
  valgrind --tool=callgrind --collect-atstart=no --toggle-collect="$1" --callgrind-out-file="$folder/$1" \
    build/counted_work > "$folder/log" 2>&1 || { cat "$folder/log" >&2; exit 1; }
  sed -n 's/^summary: //p' "$folder/$1"
}
render=$(count counted_rendering)
draw=$(count counted_drawing)

if [ "${1:-}" = --update ]; then
  printf 'compiler %s\nrender %s\ndraw %s\n' "$version" "$render" "$draw" > "$stored"
  cat "$stored"
  exit 0
fi
stored_version=$(sed -n 's/^compiler //p' "$stored")
[ "$version" = "$stored_version" ] || skip "the counts are those of compiler $stored_version, this one is $version (found: render $render, draw $draw)"

failed=0
for part in render draw; do
  expected=$(sed -n "s/^$part //p" "$stored")
  found=${!part}
  change=$(awk -v a="$expected" -v b="$found" 'BEGIN {printf "%+.2f", 100 * (b - a) / a}')
  echo "$part: $found instructions, $change % against $expected"
  if awk -v change="$change" -v most="$tolerance_percent" 'BEGIN {exit !(change > most)}'; then
    echo "count_instructions.sh: $part takes $change % more instructions than stored in $stored (allowed: $tolerance_percent %); find out why, or store the new count with --update" >&2
    failed=1
  elif awk -v change="$change" -v most="$tolerance_percent" 'BEGIN {exit !(change < -most)}'; then
    echo "$part became cheaper; store the new count with --update"
  fi
done
exit $failed
