"""Rounds of scripts/benchmark.sh as rows and ratios.

usage: summary.py loader [--views FOLDER]... -- ROUNDS.jsonl...   one JSON document on stdout
       summary.py pack -- ROUNDS.jsonl...                         the same; sets: original, packed, intra
       summary.py step -- LINES.jsonl                             the same; lines of bench_step, f32 and bf16
       summary.py print [--json FILE] -- PART.json...             tables on stdout
A ratio is ours over theirs within a round, so that a slow spell of the machine hits both; the median over rounds counts.
"""
import argparse
import collections
import json
import os
import statistics

import numpy as np

OURS, DECODING, LIMIT = "cstp", "cstp_decoding", "limit"  # DECODING: ours without rendering, which the limit is a limit of


def psnr(ours, theirs):
    a, b = (np.fromfile(file, np.uint8).astype(np.float64) for file in (ours, theirs))
    if a.size != b.size:
        return None
    error = np.mean((a - b) ** 2)
    return None if error == 0 else 10 * np.log10(255 ** 2 / error)


def is_rival(reader):
    return reader not in (OURS, DECODING, LIMIT)


def over(readers, one, other):
    """Median over rounds of one's rate over the other's."""
    return statistics.median(readers[one][r] / readers[other][r] for r in set(readers[one]) & set(readers[other]))


def loader(rounds, views):
    """rounds: {set: {reader: {round: clips a CPU second}}}"""
    rows, ratios = [], {}
    for which, readers in rounds.items():
        folder = next((v for v in views if v.rstrip("/").endswith(which)), None)
        best = None
        for reader, rates in readers.items():
            shared = sorted(set(rates) & set(readers[OURS]))
            ratio = statistics.median(readers[OURS][r] / rates[r] for r in shared)
            row = {"set": which, "reader": reader, "clips_per_cpu_second": statistics.median(rates.values()),
                   "most": max(rates.values()), "ours_over_it": ratio, "rounds": len(rates)}
            file = os.path.join(folder or "", reader.removesuffix("_apart") + ".rgb")
            if folder and is_rival(reader) and os.path.exists(file):
                row["psnr_to_ours"] = psnr(os.path.join(folder, OURS + ".rgb"), file)
            rows.append(row)
            if is_rival(reader) and (best is None or ratio < best[1]):
                best = (reader, ratio)
        apart = [row["ours_over_it"] for row in rows if row["set"] == which and row["reader"].endswith("_apart")]
        ratios[which] = {"best_peer": best[0], "ratio_best_peer": best[1], "ratio_best_peer_clip_by_clip": min(apart),
                         "ratio_limit": over(readers, DECODING, LIMIT), "ratio_limit_rendered": over(readers, OURS, LIMIT)}
    least = ("ratio_best_peer", "ratio_limit", "ratio_limit_rendered")
    return {"rows": rows, "sets": ratios} | {key: min(r[key] for r in ratios.values()) for key in least}


def pack(rounds):
    """Ours on the packed files against rivals on the originals, on the packed files, and libavcodec on those."""
    ours = rounds["packed"][OURS]
    rows = [{"set": which, "reader": reader, "clips_per_cpu_second": statistics.median(rates.values()), "most": max(rates.values()),
             "packed_cstp_over_it": over({OURS: ours, "it": rates}, OURS, "it"), "rounds": len(rates)}
            for which, readers in rounds.items() for reader, rates in readers.items()]

    def best(which):
        return min((row["packed_cstp_over_it"], row["reader"]) for row in rows if row["set"] == which and is_rival(row["reader"]))

    return {"rows": rows, "best_peer_original": best("original")[1], "ratio_best_peer_original": best("original")[0],
            "best_peer_packed": best("packed")[1], "ratio_best_peer_packed": best("packed")[0],
            "ratio_limit": over(rounds["packed"], DECODING, LIMIT), "ratio_limit_rendered": over(rounds["packed"], OURS, LIMIT),
            "ratio_limit_intra": over(rounds["intra"], DECODING, LIMIT), "intra_over_packed": over({"i": rounds["intra"][OURS], "p": ours}, "i", "p")}


def step(lines):
    """A step of ours against PyTorch's: by CPU seconds on a CPU, which other work disturbs less, else by wall time."""
    rows, out = [], {}
    for line in lines:
        if line["kind"] == "machine":
            machine = line
            continue
        ours = line["who"] == "ours"
        ratio = None if ours else line["ratio_cpu" if line["device"] == "cpu" else "ratio_wall"]
        rows.append({"precision": line["precision"], "who": "cstp" if ours else line["variant"],
                     "seconds": line["seconds_median"], "cpu_seconds": line["cpu_seconds_median"], "ours_over_it": ratio,
                     "gemm_fraction": line["gemm_fraction"], "peak_mb": line["peak_bytes"] / 1e6})
        precision = line["precision"]
        if ours:
            out["gemm_fraction_" + precision] = line["gemm_fraction"]
            out["gemm_gflops_" + precision] = machine["gemm_flops_per_second"] / 1e9
            continue
        if line["variant"] == "eager":
            out["ratio_eager_" + precision] = ratio
        key = "ratio_best_python_" + precision
        out[key] = min(ratio, out.get(key, ratio))
    return {"rows": rows} | out


def read_rounds(files):
    rounds = collections.defaultdict(lambda: collections.defaultdict(dict))
    for name in files:
        with open(name, encoding="utf-8") as file:
            for line in map(json.loads, file):
                if "error" not in line:
                    rounds[line["set"]][line["reader"]][line["round"]] = line["clips_per_cpu_second"]
    return rounds


def text(value):
    return "" if value is None else f"{value:.3g}" if isinstance(value, float) else str(value)


def show(name, part):
    print(f"\n### {name}\n")
    keys = list(dict.fromkeys(key for row in part["rows"] for key in row))
    print("| " + " | ".join(keys) + " |\n|" + "---|" * len(keys))
    for row in part["rows"]:
        print("| " + " | ".join(text(row.get(key)) for key in keys) + " |")
    print()
    for key, value in part.items():
        if key != "rows":
            print(f"{key}: {json.dumps(value) if isinstance(value, dict) else text(value)}")


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("action", choices=["loader", "pack", "step", "print"])
    parser.add_argument("--views", nargs="*", default=[])
    parser.add_argument("--json", default="")
    parser.add_argument("files", nargs="+")
    options = parser.parse_args()
    if options.action == "loader":
        print(json.dumps(loader(read_rounds(options.files), options.views), indent=1))
        return
    if options.action == "step":
        lines = [json.loads(line) for name in options.files for line in open(name, encoding="utf-8")]
        print(json.dumps(step(lines), indent=1))
        return
    if options.action == "pack":
        print(json.dumps(pack(read_rounds(options.files)), indent=1))
        return
    parts = {}
    for name in options.files:
        with open(name, encoding="utf-8") as file:
            parts[os.path.basename(name).removesuffix(".json")] = json.load(file)
    for name, part in parts.items():
        show(name, part)
    if options.json:
        with open(options.json, "w", encoding="utf-8") as file:
            json.dump(next(iter(parts.values())) if len(parts) == 1 else parts, file, indent=1)


if __name__ == "__main__":
    main()
