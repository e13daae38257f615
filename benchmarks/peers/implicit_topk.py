"""The best items of each user by `implicit`, seen ones left out: run by benchmarks/top_n.py in implicit's environment.

Usage: python implicit_topk.py FOLDER K THREADS

FOLDER: users.npy and items.npy, vectors; seen_start.npy and seen_item.npy, the items that each user has seen. The last
line of output is JSON with seconds, reading them left out.
"""

import json
import sys
import time
from pathlib import Path

import numpy as np
from implicit.cpu.topk import topk
from scipy import sparse


def ranked(folder: Path, k: int, threads: int) -> float:
    """Seconds."""
    users, items, start, seen = (
        np.load(folder / f"{name}.npy") for name in ("users", "items", "seen_start", "seen_item")
    )
    started = time.perf_counter()
    ones = np.ones(len(seen), np.float32)
    matrix = sparse.csr_matrix((ones, seen, start), shape=(len(users), len(items)))
    topk(items, users, k, filter_query_items=matrix, num_threads=threads)
    return time.perf_counter() - started


if __name__ == "__main__":
    seconds = ranked(Path(sys.argv[1]), int(sys.argv[2]), int(sys.argv[3]))
    sys.stdout.write(json.dumps({"stages": [{"stage": "topk", "seconds": seconds}]}) + "\n")
