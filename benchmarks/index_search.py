"""Search an index in a process of its own, so that the peak memory is its own; prints the seconds that the search took.

python -m benchmarks.index_search FOLDER QUERIES.npy FOUND.npy THREADS HITS [nprobe=32]
"""

from __future__ import annotations

import sys
import time


def main() -> int:
    """Load, search, save the rows found."""
    import numpy as np

    from expandr_repro.indexes.faiss_index import FaissIndex
    from expandr_repro.io.faiss_library import load_faiss

    faiss = load_faiss()
    folder, queries, found, threads, hits, *settings = sys.argv[1:]
    index = FaissIndex.load(folder)
    for setting in settings:
        name, _, value = setting.partition("=")
        faiss.ParameterSpace().set_index_parameter(index.index, name, float(value))
    vectors = np.load(queries)
    index.search(vectors[:10], int(hits), int(threads))
    begin = time.perf_counter()
    ranked = index.search(vectors, int(hits), int(threads))
    print(time.perf_counter() - begin)
    rows = np.full((len(ranked), int(hits)), -1, dtype=np.int64)
    for n, documents in enumerate(ranked):
        rows[n, : len(documents)] = [int(d) for d in documents]
    np.save(found, rows)
    return 0


if __name__ == "__main__":
    sys.exit(main())
