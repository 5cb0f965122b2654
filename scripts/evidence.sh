#!/usr/bin/env bash
# What each objective and each part of CSTP teaches: every row of docs/evidence.md, pre-trained, probed, written as tables.
# A finished cell (set, row, seed, fold) is kept, so the sweep can be stopped at any time and run again.
#
# usage: scripts/evidence.sh [--set NAME]... [--row NAME]... [--seed N]... [--out DIR] [--jobs N] [--ut FOLDER] [--cost]
#   --set    motion, appearance, order, pace (synthetic) or ut (UT-Interaction, needs --ut); default: motion.
#            Pre-training uses no labels and runs on the motion scenes (1,600); the other synthetic sets (320) probe the
#            same weights, so they need the motion cells, but for the supervised row, which is trained on each set's own
#            classes. Every training has as many steps.
#   --row    see the table below; default: all
#   --seed   default: 1 2 3. Seed N draws its own weights, samples and, in the synthetic sets, its own scenes (100 + N),
#            none of which the recipe was chosen on.
#   --jobs   cells at a time, one thread each; default: cores
#   --ut     folder of the segmented UT-Interaction clips, named [SET_]CLIP_SEQUENCE_CLASS.avi; two folds, each tests the
#            sequences of one parity
#   --cost   instead: seconds and memory of a step of each row, three rounds over the rows; wants the machine to itself
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."

sts="targets: standard, flow: {preset: fast, margin: 8}"
# What synthetic_quick.yaml says of CSTP's pairs and heads, for a part of a sum, which takes nothing from there.
stor="preset: clean, head_hidden: 32, max_rate: 2, tries: 500, crop_area_max: 0.5,
 weights: {contrast: 0, spatial: 1, temporal: 1, rate: 1, rotation: 0}, color: {strong: 0.3, jitter: 0.8, grey: 0.2, blur: 0.5, flip: 0}"
declare -A recipe=(   # what a row changes in the recipe; an empty one is the recipe itself
  [untrained]=""
  [mean_frame]="model={name: mean_frame}"
  [frame_difference]="model={name: frame_difference}"
  [supervised]="objective={name: supervised, stride: 4, color: {flip: 0}}"
  [contrast]="objective.weights={contrast: 0.1, spatial: 0, temporal: 0, rate: 0, rotation: 0}"
  [overlap]="objective.weights={contrast: 0, spatial: 1, temporal: 1, rate: 0, rotation: 0}"
  [contrast_overlap]="objective.weights={contrast: 0.1, spatial: 1, temporal: 1, rate: 0, rotation: 0}"
  [rate]="objective.weights={contrast: 0, spatial: 0, temporal: 0, rate: 1, rotation: 0}"
  [overlap_rate]="objective.weights={contrast: 0, spatial: 1, temporal: 1, rate: 1, rotation: 0}"
  [rate_rotation]="objective.weights={contrast: 0, spatial: 0, temporal: 0, rate: 1, rotation: 1}"
  [all]="objective.weights={contrast: 0.1, spatial: 1, temporal: 1, rate: 1, rotation: 1}"
  [recipe]=""
  [spatial]="objective.weights={contrast: 0, spatial: 1, temporal: 0, rate: 0, rotation: 0}"
  [temporal]="objective.weights={contrast: 0, spatial: 0, temporal: 1, rate: 0, rotation: 0}"
  [cvrl_linear]="objective={name: cvrl, gap: linear}"
  [cvrl_uniform]="objective={name: cvrl, gap: uniform}"
  [hdc_uniform]="objective={name: hdc, weights: uniform}"
  [hdc_geometric]="objective={name: hdc, weights: geometric}"
  [hdc_sc]="objective={name: hdc, weights: geometric, tc: {weight: 0}}"
  [hdc_tc]="objective={name: hdc, weights: geometric, sc: {weight: 0}}"
  [sts]="objective={name: sts, $sts}"
  [sts_motion]="objective={name: sts, $sts, appearance: {weight: 0}}"
  [sts_appearance]="objective={name: sts, $sts, motion: {weight: 0}}"
  [stor_cvrl_hdc]="objective={name: joint, parts: [{weight: 1, name: cstp, contrast: none, $stor}, {weight: 0.1, name: cvrl},
 {weight: 0.1, name: hdc, sc: {weight: 0}, weights: geometric}]}"
  [cvrl_sts]="objective={name: joint, parts: [{weight: 0.1, name: cvrl}, {weight: 1, name: sts, $sts}]}"
)
all_rows=(untrained mean_frame frame_difference supervised contrast overlap contrast_overlap rate overlap_rate rate_rotation all recipe spatial temporal
          cvrl_linear cvrl_uniform hdc_uniform hdc_geometric hdc_sc hdc_tc sts sts_motion sts_appearance stor_cvrl_hdc cvrl_sts)

sets=() rows=() seeds=() out=runs/evidence jobs=$(nproc) ut= cost=
while [ $# -gt 0 ]; do
  case $1 in
    --cost) cost=1; shift; continue ;;
    --set) sets+=("$2") ;;
    --row) rows+=("$2") ;;
    --seed) seeds+=("$2") ;;
    --out) out=$2 ;;
    --jobs) jobs=$2 ;;
    --ut) ut=$(cd "$2" && pwd) ;;
    *) sed -n '2,15p' "$0" >&2; exit 2 ;;
  esac
  shift 2
done
[ ${#sets[@]} -gt 0 ] || sets=(motion)
[ ${#rows[@]} -gt 0 ] || rows=("${all_rows[@]}")
[ ${#seeds[@]} -gt 0 ] || seeds=(1 2 3)
for row in "${rows[@]}"; do
  [ -n "${recipe[$row]+x}" ] || { echo "evidence.sh: there is no row '$row'; there are ${all_rows[*]}" >&2; exit 2; }
done
mkdir -p "$out"
out=$(cd "$out" && pwd)
cstp=${CSTP:-build/cstp}
if [ -z "${CSTP:-}" ]; then
  scripts/install_dependencies.sh
  scripts/build.sh release cstp evidence_table
fi

# cell FOLDER ROW RUN CONFIG ASSIGNMENT...: trains into RUN, where that is not done and the row has a training, and measures
# into FOLDER, which a file named done closes.
cell() {
  local folder=$1 row=$2 run=$3 config=$4
  shift 4
  [ -f "$folder/done" ] && return 0
  mkdir -p "$folder"
  local arguments=(--config "$config" --set train.threads=1 --set loader.cache_mb=4096) weights=()   # one thread a cell wastes least
  local assignment
  for assignment in "$@"; do arguments+=(--set "$assignment"); done
  case $row in
    untrained | mean_frame | frame_difference) ;;
    *)
      if [ "$run" = "$folder/run" ]; then
        $cstp train "${arguments[@]}" --output "$run" 2> "$folder/train.log" > /dev/null
      fi
      weights=(--checkpoint "$run") ;;
  esac
  arguments+=(--output "$folder/eval" --set "eval.feature_cache=$folder/features")
  local protocol
  for protocol in linear knn; do
    $cstp --quiet eval "${arguments[@]}" "${weights[@]}" --protocol $protocol --json > "$folder/$protocol.json" 2> "$folder/eval.log"
  done
  $cstp --quiet retrieve "${arguments[@]}" "${weights[@]}" --json > "$folder/retrieve.json" 2>> "$folder/eval.log"
  case $row:$run in
    untrained:* | mean_frame:* | frame_difference:* | supervised:*) ;;
    *:"$folder/run") $cstp --quiet eval "${arguments[@]}" "${weights[@]}" --protocol pretext --json > "$folder/pretext.json" 2>> "$folder/eval.log" ;;
  esac
  rm -rf "$folder/features"
  touch "$folder/done"
  echo "done: ${folder#"$out"/}"
}
export -f cell
export cstp out

if [ -n "$cost" ]; then   # cost/ROW.txt: "seconds a step, MB at most" of every round, of steps 21 to 60 on decoded videos
  videos=$out/data/cost
  mkdir -p "$out/cost"
  $cstp --quiet synth --output "$videos" --set seed=100 --set train_per_class=4 --set test_per_class=1 > /dev/null
  for round in 1 2 3; do
    for row in "${rows[@]}"; do
      case $row in untrained | mean_frame | frame_difference) continue ;; esac
      run=$out/data/cost_run
      rm -rf "$run"
      arguments=(--config synthetic_quick.yaml --set "data.root=$videos" --set data.videos=32 --set loader.cache_mb=256 --set train.threads=1
                 --set train.epochs=30 --set train.log_every=20 --output "$run" --json)
      [ -z "${recipe[$row]}" ] || arguments+=(--set "${recipe[$row]//$'\n'/}")
      memory=$($cstp --quiet train "${arguments[@]}" | sed 's/.*"peak_memory_mb":\([0-9.]*\).*/\1/')
      sed -n 's/.*"step":\(20\|60\),.*"seconds":\([0-9.]*\).*/\2/p' "$run/metrics.jsonl" |
        awk -v memory="$memory" 'NR == 1 {start = $1} END {printf "%.4f %.0f\n", ($1 - start) / 40, memory}' >> "$out/cost/$row.txt"
      echo "cost, round $round, $row: $(tail -n 1 "$out/cost/$row.txt")"
    done
  done
  build/evidence_table "$out"
  exit 0
fi

# Two lists: what is trained, and what only probes the weights of a cell of the first. One cell a line, tabs between its fields.
trained=$out/trained.txt probed=$out/probed.txt
: > "$trained"
: > "$probed"
add() { local list=$1; shift; (IFS=$'\t'; printf '%s\n' "$*" >> "$list"); }
for seed in "${seeds[@]}"; do
  for set in "${sets[@]}"; do
    if [ "$set" = ut ]; then
      [ -n "$ut" ] || { echo "evidence.sh: the set 'ut' needs --ut FOLDER" >&2; exit 2; }
      for fold in 0 1; do
        lists=$out/data/ut/fold$fold
        mkdir -p "$lists"
        find "$ut" -name '*_*_[0-5].avi' -printf '%P\n' | sort | awk -v fold=$fold -v dir="$lists" '{
          n = split($0, part, /[_.]/); print $0, part[n - 1] > (dir "/" (part[n - 2] % 2 == fold ? "test.txt" : "train.txt"))}'
        for row in "${rows[@]}"; do
          fields=("$out/ut/$row/seed$seed/fold$fold" "$row" "$out/ut/$row/seed$seed/fold$fold/run" ut_interaction.yaml "seed=$seed" "data.root=$ut"
                  "data.train=$lists/train.txt" "data.test=$lists/test.txt" data.videos=0 clip.size=48)   # 64 costs twice as much
          [ -z "${recipe[$row]}" ] || fields+=("${recipe[$row]//$'\n'/}")
          add "$trained" "${fields[@]}"
        done
      done
    else
      videos=$out/data/$set-$((100 + seed))
      per_class=40
      [ "$set" != motion ] || per_class=200
      $cstp --quiet synth --output "$videos" --set kind="$set" --set seed=$((100 + seed)) --set train_per_class=$per_class \
        --set test_per_class=40 > /dev/null
      count=$(find "$videos/train" -name '*.mp4' | wc -l)
      for row in "${rows[@]}"; do
        folder=$out/$set/$row/seed$seed/fold0 list=$trained
        run=$folder/run
        if [ "$set" != motion ] && [ "$row" != supervised ]; then
          list=$probed
          run=$out/motion/$row/seed$seed/fold0/run
        fi
        fields=("$folder" "$row" "$run" synthetic_quick.yaml "seed=$seed" "data.root=$videos" "data.videos=$count"
                "train.epochs=$((38400 / count))")
        [ -z "${recipe[$row]}" ] || fields+=("${recipe[$row]//$'\n'/}")
        add "$list" "${fields[@]}"
      done
    fi
  done
done
run_cells() {  # run_cells LIST
  tr '\n' '\0' < "$1" |
    xargs -0 -P "$jobs" -I{} bash -euo pipefail -c 'IFS=$'"'"'\t'"'"' read -r -a fields <<< "$1"; cell "${fields[@]}"' _ {}
}
echo "$(cat "$trained" "$probed" | wc -l) cells, $jobs at a time"
run_cells "$trained"
run_cells "$probed"
build/evidence_table "$out"
