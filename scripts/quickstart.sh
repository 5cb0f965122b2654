#!/usr/bin/env bash
# From nothing to a result: sets up, builds, makes synthetic videos, pre-trains CSTP on them, and compares the trained
# network with an untrained one. Everything lands in data/synthetic and runs/synthetic_quick; run again, it goes on
# where it stopped. usage: scripts/quickstart.sh [--set key=value ...]   (passed to every command)
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."
scripts/install_dependencies.sh
scripts/build.sh release cstp

cstp=build/cstp
run=runs/synthetic_quick
config=(--config synthetic_quick.yaml --set eval.feature_cache=$run/features "$@")   # probe, k-NN and retrieval share them
results=$run/results
mkdir -p "$results"

echo "== synthetic videos (the class is how the object moves; no single frame tells it)"
$cstp synth --output data/synthetic --set train_per_class=200 --set test_per_class=40 --set seed=2
echo "== pre-training: $run"
$cstp train "${config[@]}" --output $run

echo "== untrained against pre-trained"
measure() {  # measure NAME WEIGHTS...
  local name=$1
  shift
  $cstp --quiet eval "${config[@]}" "$@" --protocol linear --json > "$results/$name-linear.json" 2> "$results/$name.log"
  $cstp --quiet eval "${config[@]}" "$@" --protocol knn --json > "$results/$name-knn.json" 2>> "$results/$name.log"
  $cstp --quiet retrieve "${config[@]}" "$@" --json > "$results/$name-retrieve.json" 2>> "$results/$name.log"
  $cstp --quiet eval "${config[@]}" "$@" --protocol pretext --json > "$results/$name-pretext.json" 2>> "$results/$name.log"
}
measure untrained
measure pretrained --checkpoint $run

percent() {  # percent FILE FIELD
  sed -n "s/.*\"$2\":\([0-9.e+-]*\).*/\1/p" "$results/$1.json" | awk '{printf "%8.1f %%", $1 * 100}'
}
row() {  # row TITLE FIELD SUFFIX CHANCE
  printf '%-34s %12s %12s   %s\n' "$1" "$(percent "untrained-$3" "$2")" "$(percent "pretrained-$3" "$2")" "$4"
}
classes=$(sed -n 's/.*"classes":\([0-9]*\).*/\1/p' $results/pretrained-linear.json)
chance=$(awk -v k="$classes" 'BEGIN {printf "%.1f %%", 100 / k}')
constant() { percent pretrained-pretext "constant_$1" | sed 's/^ *//'; }
echo
printf '%-34s %12s %12s   %s\n' "" untrained pre-trained "chance"
row "linear probe, top-1" top1 linear "$chance"
row "k-NN, top-1" top1 knn "$chance"
row "retrieval, R@1" 1 retrieve "$chance"
row "spatial overlap, held-out pairs" accuracy_spatial pretext "$(constant spatial) (commonest label)"
row "temporal overlap, held-out pairs" accuracy_temporal pretext "$(constant temporal) (commonest label)"
