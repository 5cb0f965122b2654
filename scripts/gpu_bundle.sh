#!/usr/bin/env bash
# Everything that scripts/gpu_check.sh runs on a machine with a GPU, in one archive under 60 MB: the tests named Cuda*, the
# benchmarks, the program, the libraries that they need beside Python's torch, and videos to decode.
#
# usage: scripts/gpu_bundle.sh OUT.tar.xz    prints what it holds, by part
#
# Picture formats are left out (OpenCV's library of them brings 150 MB), and FFmpeg is a trimmed one
# (scripts/trimmed_ffmpeg.sh); what could not be had is left out and said.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."
fail() {
  echo "gpu_bundle.sh: $*" >&2
  exit 1
}
[ $# -eq 1 ] && [[ $1 == *.tar.xz ]] || { sed -n '5p' "$0" >&2; exit 2; }
most_mb=60
out=$1
stage=build/gpu_bundle
source scripts/web_videos.sh

scripts/install_dependencies.sh
programs=(bench_step bench_render_cuda bench_loader cstp)
scripts/build.sh release gpu_tests "${programs[@]}" || fail "the programs could not be built; bench_render_cuda wants a CUDA compiler"
trimmed=$PWD/build/trimmed_ffmpeg
scripts/trimmed_ffmpeg.sh "$trimmed" || { echo "without FFmpeg: whatever reads videos is left out" >&2; trimmed=; }

rm -rf "$stage"
mkdir -p "$stage"/{bin,lib,peers,videos,configs}
mapfile -t tests < build/gpu_tests.txt
[ -n "${tests[0]:-}" ] || fail "build/gpu_tests.txt names no tests; is this a build without tests?"
cp "${tests[@]}" "${programs[@]/#/build/}" "$stage/bin/"
cp tools/peers/{step,networks,render_cuda,gpu_facts,gpu_table}.py "$stage/peers/"
cp scripts/gpu_check.sh "$stage/"
cp configs/k400_stor_contrast.yaml "$stage/configs/"
[ -z "$trimmed" ] || find "$trimmed/lib" -regex '.*\.so\.[0-9]+' -exec cp -L {} "$stage/lib/" \;

# path_of PROGRAM LIBRARY: where the loader finds what PROGRAM needs
export LD_LIBRARY_PATH=$PWD/$stage/lib
path_of() { ldd "$1" | awk -v name="$2" 'index($1, name) == 1 && !found++ {print $3}'; }
pictures=$(path_of "$stage/bin/cstp" libopencv_imgcodecs)
if [ -n "$pictures" ]; then
  name=$(readelf -d "$pictures" | sed -n 's/.*SONAME.*\[\(.*\)\]/\1/p')
  compiler=$(sed -n 's/^CMAKE_CXX_COMPILER:[A-Z]*=//p' build/CMakeCache.txt)
  include=$(sed -n 's/^OPENCV_INCLUDE:[A-Z]*=//p' build/CMakeCache.txt)
  "$compiler" -O1 -shared -fPIC "-I$include" "-Wl,-soname,$name" tools/no_picture_files.cpp -o "$stage/lib/$name" "$(path_of "$stage/bin/cstp" libopencv_core)"
fi

# What programs need and a machine with Python's torch may lack: all but the C and C++ runtimes, and torch's own.
system='^(linux-vdso|ld-linux|libc|libm|libdl|librt|libpthread|libstdc\+\+|libgcc_s|libresolv|libutil)[.-]'
torch=$(sed -n 's/^CSTP_TORCH:[A-Z]*=//p' build/CMakeCache.txt)
[ -n "$torch" ] || torch=$(echo .venv/lib/python3*/site-packages/torch)
site=$(realpath "$torch/..")
for program in "$stage"/bin/*; do
  ldd "$program" > "$stage/ldd"
  ! grep -q 'not found' "$stage/ldd" || fail "$(basename "$program"): $(grep -m1 'not found' "$stage/ldd" | xargs)"
  if [ -z "$trimmed" ] && grep -q libavcodec "$stage/ldd"; then
    echo "left out: $(basename "$program") (needs FFmpeg)" >&2
    rm "$program"
    continue
  fi
  awk '$2 == "=>" {print $1, $3}' "$stage/ldd" | while read -r name path; do
    [[ ! $name =~ $system ]] || continue
    case $(realpath "$path") in
      "$site"/* | "$PWD/$stage"/* | "${trimmed:-/nowhere}"/*) continue ;;
    esac
    cp -n "$path" "$stage/lib/$name"
  done
done
unset LD_LIBRARY_PATH
rm "$stage/ldd"
strip --strip-unneeded "$stage"/bin/* "$stage"/lib/*

if [ ! -x "$stage/bin/bench_loader" ]; then
  rmdir "$stage/videos"
elif command -v ffmpeg > /dev/null; then
  web_videos build/bundle_videos 240p 320x240
  web_videos build/bundle_videos 720p 1280x720 1
  cp build/bundle_videos/*.mp4 "$stage/videos/"
else
  rmdir "$stage/videos"
  echo "left out: videos to decode (scripts/install_dependencies.sh --bench brings the program that makes them)" >&2
fi
git describe --always --dirty --abbrev=10 > "$stage/commit" 2> /dev/null || true

mkdir -p "$(dirname "$out")"
XZ_OPT=-6 tar -C "$stage" --owner=0 --group=0 -cJf "$out" .
echo "unpacked: $(du -sm --apparent-size "$stage"/* | awk '{n = split($2, p, "/"); printf "%s%s %d MB", (NR > 1 ? ", " : ""), p[n], $1}')"
size=$(du -m --apparent-size "$out" | cut -f1)
if [ "$size" -ge "$most_mb" ]; then
  mv "$out" "$out.too_large"
  fail "the bundle has $size MB, wanted is less than $most_mb; it is at $out.too_large, and the largest parts are $(du -m --apparent-size "$stage"/bin/* "$stage"/lib/* "$stage"/videos/* 2> /dev/null | sort -rn | head -5 | awk '{n = split($2, p, "/"); printf "%s%s (%d MB)", (NR > 1 ? ", " : ""), p[n], $1}')"
fi
echo "$out: $size MB; on the machine: tar -xJf $(basename "$out") ./gpu_check.sh && ./gpu_check.sh $(basename "$out")"
