"""A list of pairs (bench_loader --make-pairs) of videos unpacked from a pack's shards, named where they lie in the shards.

usage: packed_pairs.py PACK PAIRS.jsonl > OUT.jsonl
"""
import json
import os
import sys

pack, pairs = sys.argv[1:]
places = {}
with open(os.path.join(pack, "index.jsonl"), encoding="utf-8") as index:
    for entry in map(json.loads, index):
        if "video" in entry:
            shard = os.path.join(pack, f"shard-{entry['shard']:06d}.tar")
            places[f"{entry['video']:09d}.mp4"] = f"{shard}#{entry['offset']}+{entry['size']}/{entry['path']}"
with open(pairs, encoding="utf-8") as lines:
    for pair in map(json.loads, lines):
        print(json.dumps(pair | {"path": places[os.path.basename(pair["path"])]}))
