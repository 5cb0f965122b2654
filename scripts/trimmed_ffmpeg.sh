#!/usr/bin/env bash
# FFmpeg with little in it: H.264, HEVC, MPEG-4, VP9 and AV1 out of MP4 files, on the CPU, H.264 by NVDEC too; H.264 (libx264) and
# MPEG-4 into them; scaling. 6 MB, where the distribution's comes to 100 MB with all that it needs. For machines that
# have none (scripts/gpu_bundle.sh).
#
# usage: scripts/trimmed_ffmpeg.sh FOLDER    leaves FOLDER/lib/libav*.so.*; kept where it is there already
#   JOBS=N in the environment: compilers at a time; default: cores
#
# It is the distribution's own source package, in the version installed here, so that programs linked with the installed
# FFmpeg run with this one. Nothing is installed: packages that the build needs are unpacked beside it.
set -euo pipefail
fail() {
  echo "trimmed_ffmpeg.sh: $*" >&2
  exit 1
}
[ $# -eq 1 ] || { sed -n '6,7p' "$0" >&2; exit 2; }
mkdir -p "$1"
folder=$(cd "$1" && pwd)
for tool in apt-get dpkg-source make gcc; do
  command -v "$tool" > /dev/null || fail "$tool was not found; this works on Debian and Ubuntu with dpkg-dev, make and gcc"
done
version=$(dpkg-query -W -f '${Version}' libavcodec-dev 2> /dev/null) || fail "libavcodec-dev is not installed; run scripts/install_dependencies.sh"
exec 9> "$folder/lock"
flock 9   # another call may be building it
if [ -f "$folder/built" ] && [ "$(cat "$folder/built")" = "$version" ]; then
  exit 0
fi
rm -rf "$folder/lib" "$folder/work" "$folder/built"
mkdir -p "$folder"/work/{lists,cache/archives,parts}/partial "$folder/work/root"
cd "$folder/work"

# Sources stand in lists of their own, which apt on this machine need not know.
apt-cache madison libavcodec-dev | awk -F'|' -v v="$version" 'index($2, v) {split($3, a, " "); split(a[2], s, "/"); print "deb-src", a[1], s[1], s[2]}' |
  sed -n '1p' > sources.list
[ -s sources.list ] || fail "apt does not know where FFmpeg $version comes from; run apt-get update"
own=(-qq -o "Dir::Etc::sourcelist=$PWD/sources.list" -o "Dir::Etc::sourceparts=$PWD/parts" -o "Dir::State::lists=$PWD/lists" -o "Dir::Cache=$PWD/cache"
     -o APT::Sandbox::User=root)
apt-get "${own[@]}" update || fail "the list of sources could not be fetched; is there a network?"
apt-get "${own[@]}" source --download-only "ffmpeg=$version" || fail "the source of FFmpeg $version could not be fetched"
dpkg-source --no-check -x ffmpeg_*.dsc source > /dev/null
apt-get -qq -o APT::Sandbox::User=root download nasm libx264-dev libffmpeg-nvenc-dev || fail "nasm, libx264-dev and libffmpeg-nvenc-dev could not be fetched"
for package in ./*.deb; do dpkg -x "$package" root; done
triplet=$(gcc -print-multiarch)
x264=$(readlink "root/usr/lib/$triplet/libx264.so")
[ -e "/usr/lib/$triplet/$x264" ] || fail "/usr/lib/$triplet/$x264 is missing (package libx264)"
ln -sf "/usr/lib/$triplet/$x264" "root/usr/lib/$triplet/$x264"

cd source
export PATH=$folder/work/root/usr/bin:$PATH PKG_CONFIG_SYSROOT_DIR=$folder/work/root
export PKG_CONFIG_LIBDIR=$folder/work/root/usr/lib/$triplet/pkgconfig:$folder/work/root/usr/share/pkgconfig
each() { local kind=$1; shift; printf -- "--enable-$kind=%s " "$@"; }
./configure --prefix="$folder" --disable-everything --disable-autodetect --disable-programs --disable-doc --disable-network \
  --disable-avdevice --disable-avfilter --disable-postproc --disable-swresample --disable-debug --disable-static --enable-shared \
  --enable-gpl --enable-libx264 --enable-ffnvcodec --enable-nvdec --enable-protocol=file \
  $(each demuxer mov) $(each muxer mp4) $(each encoder libx264 mpeg4) \
  $(each decoder h264 hevc mpeg4 vp9 av1) --enable-hwaccel=h264_nvdec \
  $(each parser h264 hevc mpeg4video vp9 av1) \
  $(each bsf h264_mp4toannexb hevc_mp4toannexb mpeg4_unpack_bframes extract_extradata vp9_superframe vp9_superframe_split av1_frame_split) \
  > ../log 2>&1 || { tail -20 ../log >&2; fail "FFmpeg could not be configured"; }
make -j"${JOBS:-$(nproc)}" >> ../log 2>&1 && make install-libs >> ../log 2>&1 || { tail -20 ../log >&2; fail "FFmpeg could not be built"; }
strip --strip-unneeded "$folder"/lib/*.so.*.*.*
cp "/usr/lib/$triplet/$x264" "$folder/lib/"
echo "$version" > "$folder/built"
rm -rf "$folder/work"
