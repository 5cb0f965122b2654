#!/usr/bin/env bash
# Looks for bugs and waste with clang-tidy (.clang-tidy says for which), in files that the release build compiles.
#
# usage: scripts/tidy.sh [FILE]...    default: all of src and tools; ten seconds a file, a minute where LibTorch is included
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."
command -v clang-tidy > /dev/null || { echo "tidy.sh: clang-tidy is missing; install the package clang-tidy" >&2; exit 2; }
[ -f build/compile_commands.json ] || { echo "tidy.sh: there is no build yet; run scripts/build.sh release" >&2; exit 2; }
files=("$@")
[ $# -gt 0 ] || mapfile -t files < <(git ls-files 'src/*.cpp' 'tools/*.cpp')
# GCC's precompiled header and some of its flags mean nothing to it.
mkdir -p build/tidy
sed -E 's/-include [^ ]*cmake_pch\.hxx//; s/-fpch-preprocess//; s/-Winvalid-pch//' build/compile_commands.json > build/tidy/compile_commands.json
printf '%s\0' "${files[@]}" |
  xargs -0 -P "$(nproc)" -n 1 clang-tidy -p build/tidy --quiet --warnings-as-errors='*' --extra-arg=-Wno-unknown-warning-option --extra-arg=-Wno-ignored-optimization-argument \
    --extra-arg=-Wno-unused-command-line-argument 2> /dev/null
