"""Rounds of scripts/benchmark.sh as rows and ratios.

usage: summary.py loader [--views FOLDER]... -- ROUNDS.jsonl...   one JSON document on stdout
       summary.py print [--json FILE] -- PART.json...             tables on stdout
A ratio is ours over theirs within a round, so that a slow spell of the machine hits both; the median over rounds counts.
"""
import argparse
import collections
import json
import os
import statistics

import numpy as np

OURS, LIMIT = "cstp", "limit"


def psnr(ours, theirs):
    a, b = (np.fromfile(file, np.uint8).astype(np.float64) for file in (ours, theirs))
    if a.size != b.size:
        return None
    error = np.mean((a - b) ** 2)
    return None if error == 0 else 10 * np.log10(255 ** 2 / error)


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
            if folder and reader not in (OURS, LIMIT) and os.path.exists(file):
                row["psnr_to_ours"] = psnr(os.path.join(folder, OURS + ".rgb"), file)
            rows.append(row)
            if reader not in (OURS, LIMIT) and (best is None or ratio < best[1]):
                best = (reader, ratio)
        apart = [row["ours_over_it"] for row in rows if row["set"] == which and row["reader"].endswith("_apart")]
        ratios[which] = {"best_peer": best[0], "ratio_best_peer": best[1], "ratio_best_peer_clip_by_clip": min(apart),
                         "ratio_limit": statistics.median(readers[OURS][r] / readers[LIMIT][r] for r in readers[OURS])}
    return {"rows": rows, "sets": ratios, "ratio_best_peer": min(r["ratio_best_peer"] for r in ratios.values()),
            "ratio_limit": min(r["ratio_limit"] for r in ratios.values())}


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
    parser.add_argument("action", choices=["loader", "print"])
    parser.add_argument("--views", nargs="*", default=[])
    parser.add_argument("--json", default="")
    parser.add_argument("files", nargs="+")
    options = parser.parse_args()
    if options.action == "loader":
        print(json.dumps(loader(read_rounds(options.files), options.views), indent=1))
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
