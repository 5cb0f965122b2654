#!/usr/bin/env bash
# Tests and measures everything that runs on a GPU, from a bundle of scripts/gpu_bundle.sh, and prints one table: what was
# measured, what was wanted, met or missed. The machine needs a driver for CUDA 13 and a Python with torch 2.11, no more;
# rivals that are torchvision's are left out where it has none.
#
# usage: scripts/gpu_check.sh BUNDLE [--python PYTHON] [--only PART]... [--model NAME]... [--seconds N] [--limit N]
#                             [--out FOLDER] [--json FILE]
#   BUNDLE     the archive, or the folder that it was unpacked to
#   --python   default: python3
#   --only     tests, render, decode, step or train; default: all, in this order
#   --model    of the step: r2plus1d18, r3d18, r3d50 or s3dg; default: all four
#   --seconds  of the training run; default: 300. Making and packing its videos takes a minute or two more
#   --limit    seconds for all of it; what has not ended by then is not measured. Default: 1700. With less time, ask for
#              one part, or one model, a call
#   --out      folder for the programs' own output; default: gpu_check beside the bundle
#   --json     the table as JSON, with the course of the training
# Exit code: 0 if every part ran (missed targets are in the table), 1 if some did not, 6 without a GPU: then it has been
# checked that the programs of the bundle start here.
set -euo pipefail
usage() {
  sed -n '6,18p' "$0" >&2
  exit 2
}

bundle= python=python3 parts=() models=() seconds=300 limit=1700 out= json=
while [ $# -gt 0 ]; do
  case $1 in
    --python | --only | --model | --seconds | --limit | --out | --json) [ $# -gt 1 ] || usage ;;&
    --python) python=$2; shift ;;
    --only) parts+=("$2"); shift ;;
    --model) models+=("$2"); shift ;;
    --seconds) seconds=$2; shift ;;
    --limit) limit=$2; shift ;;
    --out) out=$2; shift ;;
    --json) json=$2; shift ;;
    -*) usage ;;
    *) [ -z "$bundle" ] || usage; bundle=$1 ;;
  esac
  shift
done
[ -n "$bundle" ] || usage
[ ${#parts[@]} -gt 0 ] || parts=(tests render decode step train)
[ ${#models[@]} -gt 0 ] || models=(r2plus1d18 r3d18 r3d50 s3dg)
for part in "${parts[@]}"; do [[ $part =~ ^(tests|render|decode|step|train)$ ]] || usage; done
declare -A shape=([r2plus1d18]="16 112 64" [r3d18]="16 112 64" [r3d50]="16 224 32" [s3dg]="64 224 16")   # frames, pixels, clips a step
for model in "${models[@]}"; do [ -n "${shape[$model]:-}" ] || usage; done
fail() {
  echo "gpu_check.sh: $2" >&2
  exit "$1"
}

[ -e "$bundle" ] || fail 2 "there is no bundle at $bundle; scripts/gpu_bundle.sh makes one"
"$python" -c '' 2> /dev/null || fail 2 "$python does not start; name a Python that has torch 2.11 with --python"
out=${out:-$(dirname "$bundle")/gpu_check}
if [ -e "$out" ] && [ ! -e "$out/.gpu_check" ] && [ -n "$(ls -A "$out")" ]; then
  fail 2 "$out is not empty, and holds nothing of this script; give another folder with --out"
fi
rm -rf "$out"
mkdir -p "$out"
out=$(cd "$out" && pwd)
touch "$out/.gpu_check"
if [ ! -d "$bundle" ]; then
  unpacked=$(mktemp -d)
  trap 'rm -rf "$unpacked"' EXIT
  "$python" -c 'import sys, tarfile; tarfile.open(sys.argv[1]).extractall(sys.argv[2])' "$bundle" "$unpacked" 2> "$out/unpack.log" ||
    fail 2 "$bundle cannot be unpacked ($(tail -n 1 "$out/unpack.log"))"
  bundle=$unpacked
fi
bundle=$(cd "$bundle" && pwd)
[ -d "$bundle/bin" ] && [ -f "$bundle/peers/gpu_facts.py" ] || fail 2 "$bundle is no bundle of scripts/gpu_bundle.sh"

# The bundle's libraries are for its own programs; Python runs with the machine's.
libraries=$("$python" "$bundle/peers/gpu_facts.py" libraries) || fail 2 "$python has no torch; name a Python that has with --python"
ours=(env "LD_LIBRARY_PATH=$bundle/lib:$libraries${LD_LIBRARY_PATH:+:$LD_LIBRARY_PATH}")
theirs=$out/python
printf '#!/bin/sh\nLD_LIBRARY_PATH=%q exec %q "$@"\n' "${LD_LIBRARY_PATH:-}" "$(command -v "$python")" > "$theirs"
chmod +x "$theirs"

started=0
for program in "$bundle"/bin/*; do
  ask=--help
  [[ $program != *_tests ]] || ask=--gtest_list_tests
  "${ours[@]}" "$program" $ask > "$out/start.log" 2>&1 ||
    fail 1 "$(basename "$program") of the bundle does not start here: $(tail -n 1 "$out/start.log")"
  started=$((started + 1))
done
code=0
"$python" "$bundle/peers/gpu_facts.py" machine > "$out/machine.json" 2> "$out/machine.log" || code=$?
[ $code != 6 ] || fail 6 "no GPU is usable here: nothing was measured; the $started programs of the bundle start"
[ $code = 0 ] || fail 1 "the machine's facts could not be had: $(tail -n 1 "$out/machine.log")"

failed=0
lack() {  # lack PART NAME WHY
  "$python" -c 'import json, sys; print(json.dumps(dict(zip(("part", "name", "why"), sys.argv[1:]))))' "$@" >> "$out/lacks.jsonl"
  echo "  not done: $3" >&2
  failed=1
}
# attempt PART NAME SECONDS OUTPUT COMMAND...: what fails is written down, and the rest goes on
attempt() {
  local part=$1 name=$2 most=$3 output=$4 left=$((limit - SECONDS)) code=0
  shift 4
  echo "$part: $name ($SECONDS s)" >&2
  [ "$left" -ge "$most" ] || most=$left
  if [ "$most" -lt 10 ]; then
    lack "$part" "$name" "the time given was up (--limit)"
    return 1
  fi
  timeout -k 10 "$most" "$@" >> "$output" 2> "$out/$part-$name.log" || code=$?
  case $code in
    0) return 0 ;;
    124 | 137) lack "$part" "$name" "stopped after $most s" ;;
    *) lack "$part" "$name" "$(tail -n 1 "$out/$part-$name.log") (exit code $code)" ;;
  esac
  return 1
}

check_tests() {
  local program name
  for program in "$bundle"/bin/*_tests; do
    name=$(basename "$program")
    attempt tests "$name" 200 "$out/tests.log" "${ours[@]}" "$program" '--gtest_filter=Cuda*:*/Cuda*' "--gtest_output=json:$out/$name.json" || true
  done
}

check_render() {
  attempt render cstp 200 "$out/render.jsonl" "${ours[@]}" "$bundle/bin/bench_render_cuda" --plans "$out/plans.json" || true
  attempt render torchvision 200 "$out/render.jsonl" "$theirs" "$bundle/peers/render_cuda.py" "$out/plans.json" || true
}

check_decode() {
  local set reader=$bundle/bin/bench_loader cores
  cores=$(nproc)
  [ -x "$reader" ] && [ -d "$bundle/videos" ] || { lack decode cpu "the bundle has no videos or no reader of them"; return; }
  for set in 240p 720p; do
    "${ours[@]}" "$reader" --make-pairs $([ $set = 240p ] && echo 256 || echo 96) --seed 1 "$bundle"/videos/${set}_*.mp4 > "$out/pairs_$set.jsonl" || true
    attempt decode "cpu_$set" 60 "$out/decode_${set}_cpu.json" "${ours[@]}" "$reader" --pairs "$out/pairs_$set.jsonl" --decode-only --repeat 4 --threads "$cores" || true
    if ! "${ours[@]}" "$reader" --help | grep -q -- '--decode .*cuda'; then
      lack decode "cuda_$set" "this bundle's bench_loader has no --decode cuda"
      continue
    fi
    attempt decode "cuda_$set" 60 "$out/decode_${set}_cuda.json" "${ours[@]}" "$reader" --pairs "$out/pairs_$set.jsonl" --decode-only --decode cuda --repeat 4 --threads "$cores" || true
  done
}

check_step() {
  local model frames size batch command most=500
  [ ${#parts[@]} = 1 ] || most=280
  for model in "${models[@]}"; do
    read -r frames size batch <<< "${shape[$model]}"
    attempt step "${model}_bytes" 60 "$out/step.jsonl" "$theirs" "$bundle/peers/networks.py" "$model" "$frames" "$size" || true
    command=("${ours[@]}" "$bundle/bin/bench_step" --device cuda --precision bf16 --model "$model" --frames "$frames" --size "$size"
             --batch "$batch" --steps 5 --rounds 7 --variants eager channels_last compile max_autotune
             --peer "$theirs" "$bundle/peers/step.py")
    attempt step "$model" "$most" "$out/step.jsonl" "${command[@]}" --cuda-graph && continue
    grep -qs "\"ours\",\"model\":\"$model\"" "$out/step.jsonl" || attempt step "${model}_without_graph" 300 "$out/step.jsonl" "${command[@]}" || true
  done
}

check_train() {
  local program=("${ours[@]}" "$bundle/bin/cstp") work=$out/train videos=480 recipe rate
  mkdir -p "$work"
  [ -x "$bundle/bin/cstp" ] || { lack train run "the bundle was made without FFmpeg, so the program is not in it"; return; }
  recipe=(--config "$bundle/configs/k400_stor_contrast.yaml" --set data.format=packed --set "data.root=$work/pack" --set data.videos=0
          --set train.device=cuda --set train.precision=bf16 --set train.batch=96 --set train.log_every=10)
  attempt train videos 240 "$out/train.log" "${program[@]}" synth --output "$work/videos" --set train_per_class=$((videos / 8)) --set test_per_class=0 \
    --set frames=250 --set width=340 --set height=256 || return 0
  attempt train packing 240 "$out/train.log" "${program[@]}" data pack --config "$bundle/configs/k400_stor_contrast.yaml" --set data.format=folder \
    --set "data.root=$work/videos" --set data.videos=0 --split train --output "$work/pack" || return 0
  # A short run tells how many epochs the time is, so that the learning rate goes through its whole course.
  attempt train trial 120 "$out/trial.json" "${program[@]}" train "${recipe[@]}" --set train.max_steps=60 --json --output "$work/trial" || return 0
  rate=$("$python" -c 'import json, sys; print(json.load(open(sys.argv[1]))["clips_per_second"])' "$out/trial.json") ||
    { lack train run "the trial run told no rate"; return 0; }
  recipe+=(--set "train.epochs=$("$python" -c "print(max(2, int($seconds * $rate / 2 / $videos)))")")
  attempt train run $((seconds * 3 / 2 + 60)) "$out/train.json" "${program[@]}" train "${recipe[@]}" --json --output "$work/run" || true
  cp "$work/run/metrics.jsonl" "$out/train_metrics.jsonl" 2> /dev/null || true
  rm -rf "$work"
}

for part in "${parts[@]}"; do "check_$part"; done
"$python" "$bundle/peers/gpu_table.py" "$out" --parts "${parts[@]}" --models "${models[@]}" ${json:+--json "$json"}
exit $failed
