#!/usr/bin/env bash
# CSTP on UT-Interaction, four folds that leave whole sequences out: pre-training and probe see three quarters of the
# sequences, the rest is tested. Resumes where it stopped. usage: scripts/ut_interaction.sh FOLDER [OUTPUT]
#   FOLDER: the segmented clips anywhere below it, named [SET_]CLIP_SEQUENCE_CLASS.avi (0 handshake ... 5 push)
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."
[ $# -ge 1 ] || { echo "usage: scripts/ut_interaction.sh FOLDER [OUTPUT]" >&2; exit 2; }
folder=$(cd "$1" && pwd)
out=${2:-runs/ut_interaction}
scripts/install_dependencies.sh
scripts/build.sh release cstp
mkdir -p "$out"

find "$folder" -name '*_*_[0-5].avi' -printf '%P\n' | sort > "$out/all.txt"
count=$(wc -l < "$out/all.txt")
[ "$count" -gt 0 ] || { echo "ut_interaction.sh: no clips named CLIP_SEQUENCE_CLASS.avi below $folder" >&2; exit 3; }
echo "$count clips"
for fold in 0 1 2 3; do
  dir=$out/fold$fold
  mkdir -p "$dir"
  # The sequence is the last number but one of the name, the class the last.
  awk -v fold=$fold -v dir="$dir" '{
    n = split($0, part, /[_.]/); sequence = part[n - 2]; label = part[n - 1]
    print $0, label > (dir "/" ((sequence - 1) % 4 == fold ? "test.txt" : "train.txt"))
  }' "$out/all.txt"
  config=(--config ut_interaction.yaml --set data.root="$folder" --set data.train="$PWD/$dir/train.txt"
          --set data.test="$PWD/$dir/test.txt" --set data.videos=0 --output "$dir/run")
  case $dir in /*) config=(--config ut_interaction.yaml --set data.root="$folder" --set data.train="$dir/train.txt"
                           --set data.test="$dir/test.txt" --set data.videos=0 --output "$dir/run") ;; esac
  echo "== fold $fold: $(wc -l < "$dir/train.txt") clips to train on, $(wc -l < "$dir/test.txt") to test"
  build/cstp train "${config[@]}"
  for weights in untrained pretrained; do
    checkpoint=()
    [ $weights = pretrained ] && checkpoint=(--checkpoint "$dir/run")
    for protocol in linear pretext; do
      build/cstp --quiet eval "${config[@]}" "${checkpoint[@]}" --protocol $protocol --json > "$dir/$weights-$protocol.json"
    done
    build/cstp --quiet retrieve "${config[@]}" "${checkpoint[@]}" --json > "$dir/$weights-retrieve.json"
  done
done

mean() {  # mean WEIGHTS-PROTOCOL FIELD: over the folds
  cat "$out"/fold[0-3]/"$1".json | sed -n "s/.*\"$2\":\([0-9.e+-]*\).*/\1/p" | awk '{sum += $1} END {printf "%.3f", sum / NR}'
}
echo
printf '%-34s %10s %12s\n' "mean of four folds" untrained pre-trained
printf '%-34s %10s %12s\n' "linear probe, top-1" "$(mean untrained-linear top1)" "$(mean pretrained-linear top1)"
printf '%-34s %10s %12s\n' "1-NN, top-1 (retrieval R@1)" "$(mean untrained-retrieve 1)" "$(mean pretrained-retrieve 1)"
printf '%-34s %10s %12s\n' "spatial overlap, held-out pairs" "$(mean untrained-pretext accuracy_spatial)" "$(mean pretrained-pretext accuracy_spatial)"
printf '%-34s %10s %12s\n' "temporal overlap, held-out pairs" "$(mean untrained-pretext accuracy_temporal)" "$(mean pretrained-pretext accuracy_temporal)"
