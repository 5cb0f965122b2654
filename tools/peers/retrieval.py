"""faiss-cpu's flat index, for tools/bench_retrieval.cpp: answers a line of standard input with a line.

version                              -> ok NAME
load CHANNELS GALLERY QUERIES        -> ok            both files raw f32
search THREADS K FILE                -> ok WALL CPU   seconds of one search; the rows found go to FILE, raw i64
"""
import sys
import time

import faiss
import numpy as np

index = queries = None
for line in sys.stdin:
    command, *rest = line.split()
    if command == "version":
        print("ok", f"faiss-cpu {faiss.__version__} IndexFlatIP ({faiss.get_compile_options().strip()})", flush=True)
    elif command == "load":
        channels = int(rest[0])
        gallery, queries = (np.fromfile(path, np.float32).reshape(-1, channels) for path in rest[1:])
        index = faiss.IndexFlatIP(channels)
        index.add(gallery)
        del gallery
        print("ok", flush=True)
    elif command == "search":
        faiss.omp_set_num_threads(int(rest[0]))
        wall, cpu = time.perf_counter(), time.process_time()
        _, rows = index.search(queries, int(rest[1]))
        wall, cpu = time.perf_counter() - wall, time.process_time() - cpu
        rows.astype(np.int64).tofile(rest[2])
        print("ok", wall, cpu, flush=True)
    else:
        print("unknown command", command, flush=True)
