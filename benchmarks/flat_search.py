"""Flat search of a large batch: this project's threads next to Faiss's, to one thread, and to torch's product and selection.

All in one process, in turns. The vectors are random, of unit length: what a flat search does is the same for all. Products and selection apart show
where the time goes.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from benchmarks.harness import NotHereError, Side, measure, wrong
from benchmarks.machine import matmul_rate
from benchmarks.options import Options
from benchmarks.results import Sheet

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

HITS = 100
BLOCK = 1024
"""Vectors that Faiss multiplies with the queries at a time."""


def run(options: Options) -> list[Sheet]:
    """Search in every round by each way."""
    import numpy as np
    import torch

    from expandr_repro.indexes.faiss_index import FaissIndex, faiss_threads, new_index, search_flat, vectors_of
    from expandr_repro.io.faiss_library import load_faiss

    faiss = load_faiss()
    count, dimension, queries = (4000, 128, 1000) if options.smallest else (options.vectors or 1_000_000, 384, 1000)
    draw, threads = np.random.default_rng(42), options.threads
    index = new_index(dimension, "Flat")
    for begin in range(0, count, 50_000):
        index.add(_unit(draw.standard_normal((min(50_000, count - begin), dimension), dtype=np.float32)))
    asked = _unit(draw.standard_normal((queries, dimension), dtype=np.float32))
    rows, ours = vectors_of(index), FaissIndex(Path(), index, [str(n) for n in range(count)], None)
    at_once = torch.from_numpy(asked), torch.from_numpy(rows)

    def by_faiss(number: int) -> NDArray[np.float32]:
        with faiss_threads(number):
            return np.asarray(index.search(asked, HITS)[0])

    def by_slices() -> NDArray[np.float32]:
        with faiss_threads(threads):
            return search_flat(asked, rows, HITS)[0]

    def by_torch(device: str, block: int) -> NDArray[np.float32]:
        if device == "cuda" and not torch.cuda.is_available():
            raise NotHereError("no GPU")
        some, best = at_once[0].to(device), None
        for begin in range(0, count, block):
            scores = (some @ resident[device][begin : begin + block].T).topk(min(HITS, count - begin)).values
            best = scores if best is None else torch.cat([best, scores], 1).topk(HITS).values
        return best.cpu().numpy() if best is not None else asked[:, :0]

    def products(block: int) -> None:
        for begin in range(0, count, block):
            at_once[0] @ at_once[1][begin : begin + block].T

    torch.set_num_threads(threads)
    resident = {"cpu": at_once[1], **({"cuda": at_once[1].to("cuda")} if torch.cuda.is_available() and options.gpu else {})}  # fmt: skip
    limit = 2.0 * queries * count * dimension / matmul_rate("cpu", "fp32", 256 if options.smallest else 2048)
    names = [f"this project, {threads} threads", f"Faiss's own threads, {threads}"]
    sides = [
        Side(names[0], by_slices, queries, limit),
        Side("this project, ranked by docid", lambda: _scores(ours.search(asked, HITS, threads)), queries, limit),
        Side(names[1], lambda: by_faiss(threads), queries, limit),
        Side("Faiss, 1 thread", lambda: by_faiss(1), queries, limit),
        Side(f"torch, product and topk of {16 * BLOCK:,} vectors", lambda: by_torch("cpu", 16 * BLOCK), queries, limit),
        Side(f"torch, products of {BLOCK:,} vectors alone", lambda: products(BLOCK), queries, limit),
        Side(f"torch, products of {16 * BLOCK:,} vectors alone", lambda: products(16 * BLOCK), queries, limit),
    ]
    if "cuda" in resident:
        sides.append(Side("torch on the GPU, product and topk", lambda: by_torch("cuda", 128 * BLOCK), queries))
    measured = measure(sides, options.repeat, _agree)
    title = f"Flat search of {count:,} vectors of {dimension} dimensions, {queries:,} queries together, {HITS} hits, {threads} threads, Faiss {faiss.__version__}"
    said = "operations: 2 for each query, vector and dimension, at the measured rate of a square matrix product"
    name = "flat_search.gpu" if options.gpu else "flat_search"
    return [Sheet(name, title, "queries", measured, [names[1]], limit=said)]


def _unit(vectors: NDArray[np.float32]) -> NDArray[np.float32]:
    import numpy as np

    return np.asarray(vectors / np.linalg.norm(vectors, axis=1, keepdims=True), dtype=np.float32)


def _scores(found: list[dict[str, float]]) -> NDArray[np.float32]:
    import numpy as np

    return np.array([list(ranked.values()) for ranked in found], dtype=np.float32)


def _agree(results: Mapping[str, Any]) -> dict[str, str]:
    """Compare the scores with Faiss's on one thread."""
    import numpy as np

    reference = results["Faiss, 1 thread"]
    said = {}
    for name, scores in results.items():
        if scores is None:
            continue
        apart = float(np.abs(scores - reference).max())
        if apart > 1e-5 and "GPU" not in name:
            raise wrong(name, f"a score differs by {apart:.1e}")
        said[name] = "bit for bit" if not apart else f"within {apart:.0e}"
    return said
