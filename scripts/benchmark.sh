#!/usr/bin/env bash
# Our speed beside everybody else's, measured in turn in one session; prints ratios. Each rival runs in an environment of its
# own (.venv-bench), over the same lists, which are made here.
#
# usage: scripts/benchmark.sh [loader|pack|augment|step|retrieval]... [--json FILE] [--rounds N] [--out DIR]
#   loader     two clips of 16 frames out of a video file, cropped and resized; rivals: torchcodec, decord, PyAV, OpenCV
#   pack       the same out of packed data (cstp data pack), beside rivals on the originals and on the packed files
#   augment    decoded frames to views: crop, resize, colours; rivals: torchvision v2, OpenCV
#   step       a training step of R(2+1)D-18, f32 and bf16; rivals: PyTorch eager, channels-last, torch.compile
#   retrieval  exact nearest neighbours of 100,000 embeddings; rival: faiss-cpu
#   --device cpu (default) or cuda, of the step
#   --rounds times that everybody has a turn; default: 5. Medians over rounds are printed, ratios are taken within a round.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."
source scripts/versions.sh
source scripts/web_videos.sh

parts=() json= rounds=5 out=runs/benchmark device=cpu
while [ $# -gt 0 ]; do
  case $1 in
    loader | pack | augment | step | retrieval) parts+=("$1") ;;
    --json) json=$2; shift ;;
    --device) device=$2; shift ;;
    --rounds) rounds=$2; shift ;;
    --out) out=$2; shift ;;
    *) sed -n '2,13p' "$0" >&2; exit 2 ;;
  esac
  shift
done
[ ${#parts[@]} -gt 0 ] || parts=(loader pack augment step retrieval)
mkdir -p "$out"

scripts/install_dependencies.sh --bench
export OMP_NUM_THREADS=1 OPENBLAS_NUM_THREADS=1
python=.venv-bench/bin/python
if [ ! -f .venv-bench/rivals ] || [ "$(cat .venv-bench/rivals)" != "${CSTP_RIVALS[*]}" ]; then
  rm -rf .venv-bench
  python3 -m venv .venv-bench
  # PyTorch is there already, 5 GB of it: the rivals use the same.
  for site in .venv/lib/python3*/site-packages; do (cd "$site" && pwd); done > "$(echo .venv-bench/lib/python3*/site-packages)/project.pth"
  echo "installing the rivals into .venv-bench"
  .venv-bench/bin/pip install --quiet --disable-pip-version-check "${CSTP_RIVALS[@]}"
  echo "${CSTP_RIVALS[*]}" > .venv-bench/rivals
fi

bench_loader() {
  scripts/build.sh release bench_loader
  web_videos "$out/videos" 240p 320x240
  web_videos "$out/videos" 720p 1280x720
  local rivals=(torchcodec_exact torchcodec_approximate decord pyav opencv)
  local set count
  for set in 240p 720p; do
    count=$([ $set = 240p ] && echo 16 || echo 4)   # pairs a round
    build/bench_loader --make-pairs $((count * rounds)) --seed 1 "$out"/videos/${set}_?.mp4 > "$out/pairs_$set.jsonl"
    : > "$out/loader_$set.jsonl"
    for round in $(seq 0 $((rounds - 1))); do
      local part=(--pairs "$out/pairs_$set.jsonl" --first $((round * count)) --count "$count") dump=()
      [ "$round" != 0 ] || { dump=(--dump "$out/views_$set"); mkdir -p "$out/views_$set"; }
      {
        build/bench_loader "${part[@]}" ${dump:+--dump "$out/views_$set/cstp.rgb"}
        build/bench_loader "${part[@]}" --decode-only
        build/bench_loader "${part[@]}" --limit
        $python tools/peers/loader.py "${part[@]}" "${dump[@]}" "${rivals[@]}" "${rivals[@]/%/_apart}"
      } | sed "s/^{/{\"round\":$round,\"set\":\"$set\",/" >> "$out/loader_$set.jsonl"
      echo "loader, $set: round $((round + 1)) of $rounds"
    done
  done
  $python tools/peers/summary.py loader --views "$out"/views_240p "$out"/views_720p -- \
    "$out"/loader_240p.jsonl "$out"/loader_720p.jsonl > "$out/loader.json"
}

bench_pack() {
  scripts/build.sh release bench_loader cstp
  web_videos "$out/videos" 240p 320x240
  local source=$out/pack_source kind option
  mkdir -p "$source/train/all"
  ln -sf "$(realpath "$out/videos")"/240p_?.mp4 "$source/train/all/"
  for kind in packed intra; do
    option=()
    [ $kind = packed ] || option=(--intra)
    build/cstp --quiet data pack --config synthetic_quick.yaml --set "data.root=$source" --set data.videos=0 --split train \
      --output "$out/$kind" "${option[@]}"
    # We read out of the shards; rivals get the same videos as files.
    mkdir -p "$out/${kind}_files"
    tar -xf "$out/$kind/shard-000000.tar" -C "$out/${kind}_files"
  done
  local count=16 set
  build/bench_loader --make-pairs $((count * rounds)) --seed 1 "$out"/videos/240p_?.mp4 > "$out/pairs_original.jsonl"
  for set in packed intra; do
    build/bench_loader --make-pairs $((count * rounds)) --seed 1 "$out/${set}_files"/*.mp4 > "$out/pairs_${set}_files.jsonl"
    $python tools/peers/packed_pairs.py "$out/$set" "$out/pairs_${set}_files.jsonl" > "$out/pairs_$set.jsonl"
  done
  local rivals=(torchcodec_exact torchcodec_approximate decord pyav opencv) round
  : > "$out/pack.jsonl"
  for round in $(seq 0 $((rounds - 1))); do
    local part=(--first $((round * count)) --count "$count")
    {
      $python tools/peers/loader.py --pairs "$out/pairs_original.jsonl" "${part[@]}" "${rivals[@]}" | sed 's/^{/{"set":"original",/'
      for set in packed intra; do
        {
          build/bench_loader --pairs "$out/pairs_$set.jsonl" "${part[@]}"
          build/bench_loader --pairs "$out/pairs_$set.jsonl" "${part[@]}" --decode-only
          build/bench_loader --pairs "$out/pairs_$set.jsonl" "${part[@]}" --limit
          $python tools/peers/loader.py --pairs "$out/pairs_${set}_files.jsonl" "${part[@]}" "${rivals[@]}"
        } | sed "s/^{/{\"set\":\"$set\",/"
      done
    } | sed "s/^{/{\"round\":$round,/" >> "$out/pack.jsonl"
    echo "pack: round $((round + 1)) of $rounds"
  done
  $python tools/peers/summary.py pack -- "$out/pack.jsonl" > "$out/pack.json"
}

bench_augment() {
  scripts/build.sh release bench_augment
  build/bench_augment "$out/augment" --rounds "$rounds" --json "$out/augment.json" --peer $python tools/peers/augment.py
}

bench_step() {
  scripts/build.sh release bench_step
  local precision batch=2 variants=(eager channels_last compile)
  [ "$device" = cpu ] || { batch=32; variants+=(max_autotune); }
  : > "$out/step.jsonl"
  for precision in f32 bf16; do
    build/bench_step --device "$device" --precision $precision --batch $batch --steps 1 --rounds "$rounds" --variants "${variants[@]}" \
      --peer $python tools/peers/step.py >> "$out/step.jsonl"
    echo "step, $precision: done"
  done
  $python tools/peers/summary.py step -- "$out/step.jsonl" > "$out/step.json"
}

bench_retrieval() {
  scripts/build.sh release bench_retrieval
  build/bench_retrieval --rounds "$rounds" --json "$out/retrieval.json" --peer $python tools/peers/retrieval.py
}

for part in "${parts[@]}"; do "bench_$part"; done
$python tools/peers/summary.py print ${json:+--json "$json"} -- $(printf "$out/%s.json " "${parts[@]}")
