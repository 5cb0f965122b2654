#!/usr/bin/env bash
# Brings everything the build needs: Debian/Ubuntu packages and, in .venv, the pinned LibTorch wheel. Asks nothing;
# a second run finds everything there and installs nothing.
#
# usage: scripts/install_dependencies.sh [--tests] [--tvl1] [--faiss] [--bench]
#   --tests  also what only the tests need
#   --bench  also what only scripts/benchmark.sh needs
#   --tvl1   also OpenCV's contrib modules (400 MB): TV-L1 optical flow, for STS as published
#   --faiss  also FAISS: retrieval through an index, for galleries past a million videos
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."
source scripts/versions.sh

fail() {
  echo "install_dependencies.sh: $*" >&2
  exit 1
}

with_tests=0
with_tvl1=0
with_bench=0
with_faiss=0
for option in "$@"; do
  case "$option" in
    --tests) with_tests=1 ;;
    --tvl1) with_tvl1=1 ;;
    --faiss) with_faiss=1 ;;
    --bench) with_bench=1 ;;
    *) fail "unknown option '$option'; there are --tests, --tvl1, --faiss and --bench" ;;
  esac
done

# Older releases have FFmpeg 4 and GCC 10 or 11, which the code does not build with.
. /etc/os-release 2> /dev/null || true
case "${ID:-unknown}" in
  debian) oldest=12 ;;
  ubuntu) oldest=24 ;;
  *) oldest=none ;;
esac
release=${VERSION_ID:-999}   # Debian testing names none
if [ "$oldest" = none ] || [ "${release%%.*}" -lt "$oldest" ] || ! command -v apt-get > /dev/null; then
  fail "this is ${PRETTY_NAME:-an unknown distribution}; the script knows Debian 12 or later and Ubuntu 24.04 or later. Elsewhere, install the packages named in scripts/versions.sh and the torch wheel by hand, then run cmake --preset release"
fi

as_root=()
if [ "$(id -u)" -ne 0 ]; then
  command -v sudo > /dev/null || fail "packages are missing and installing them needs root; run it as root, or install sudo"
  as_root=(sudo)
fi

packages=("${CSTP_PACKAGES[@]}")
[ "$with_tests" = 1 ] && packages+=("${CSTP_TEST_PACKAGES[@]}")
[ "$with_tvl1" = 1 ] && packages+=("${CSTP_TVL1_PACKAGES[@]}")
[ "$with_bench" = 1 ] && packages+=("${CSTP_BENCH_PACKAGES[@]}")
[ "$with_faiss" = 1 ] && packages+=("${CSTP_FAISS_PACKAGES[@]}")
missing=()
for package in "${packages[@]}"; do
  dpkg-query -W -f '${Status}' "$package" 2> /dev/null | grep -q 'install ok installed' || missing+=("$package")
done

python_packages=("torch==$CSTP_TORCH_VERSION" "${CSTP_CUDA_COMPILER[@]}")
[ "$with_tests" = 1 ] && python_packages+=("torchvision==$CSTP_TORCHVISION_VERSION" "safetensors==$CSTP_SAFETENSORS_VERSION"
                                           "selenium==$CSTP_SELENIUM_VERSION")
stamp=.venv/cstp-installed-$with_tests
wanted="${python_packages[*]}"
venv_ready=0
[ -x .venv/bin/python ] && [ -f "$stamp" ] && [ "$(cat "$stamp")" = "$wanted" ] && venv_ready=1

[ ${#missing[@]} -eq 0 ] && [ "$venv_ready" = 1 ] && exit 0

free_mb=$(df --output=avail -m . | tail -1 | tr -d ' ')
if [ ! -d .venv ] && [ "$free_mb" -lt "$CSTP_DISK_NEEDED_MB" ]; then
  fail "too little disk: $free_mb MB are free here, a first set-up needs $CSTP_DISK_NEEDED_MB MB (most of it LibTorch with its CUDA libraries)"
fi

if [ ${#missing[@]} -gt 0 ]; then
  echo "installing packages: ${missing[*]}"
  export DEBIAN_FRONTEND=noninteractive
  "${as_root[@]}" apt-get update -qq ||
    fail "the package lists could not be fetched; is there a network? (missing packages: ${missing[*]})"
  "${as_root[@]}" env DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends "${missing[@]}" > /dev/null ||
    fail "the packages could not be installed; is there a network, and disk? (missing: ${missing[*]})"
fi

if [ "$venv_ready" = 0 ]; then
  echo "installing LibTorch $CSTP_TORCH_VERSION and a CUDA compiler into .venv (about 5 GB, most of it CUDA libraries)"
  python=/usr/bin/python3
  [ -x "$python" ] || python=python3
  [ -x .venv/bin/python ] || "$python" -m venv .venv || fail "the virtual environment .venv could not be made"
  .venv/bin/pip install -q --disable-pip-version-check "${python_packages[@]}" ||
    fail "LibTorch could not be installed into .venv; is there a network, and is there disk (it needs 6 GB)?"
  # The tests' packages include the program's, so one stamp may stand for both.
  echo "$wanted" > "$stamp"
  [ "$with_tests" = 1 ] && echo "torch==$CSTP_TORCH_VERSION ${CSTP_CUDA_COMPILER[*]}" > .venv/cstp-installed-0
fi
exit 0
