"""Flat, SQ8, HNSW and IVF indexes of the same vectors: time to build, size, memory, recall against flat, queries a second.

Built by `encode --merge FLAT --factory ...`, searched by this project's own index class; `nprobe` and `efSearch`, where they are given, are set
on the index by Faiss. The vectors are made up: a mixture of Gaussians in 32 dimensions, turned into 384 with a little noise, unit length.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from benchmarks.harness import Side, measure, wrong
from benchmarks.machine import matmul_rate
from benchmarks.options import Options
from benchmarks.processes import Ended, python
from benchmarks.results import Sheet

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

HITS = 100
INNER = 32


def run(options: Options) -> list[Sheet]:
    """Build each index once; search each in every round."""
    count = options.vectors or (20_000 if options.smallest else 1_000_000)
    dimension, queries, lists = (32, 100, 64) if options.smallest else (384, 1000, 4096 if count >= 200_000 else 256)
    asked = options.work / "queries.npy"
    make_flat(options.work / "made", asked, count, dimension, queries)
    pieces = 4 if options.smallest else 48
    wanted = [("Flat", ""), ("SQ8", ""), ("HNSW32", ""), ("HNSW32", "efSearch=128"), (f"IVF{lists},Flat", ""),
              (f"IVF{lists},Flat", "nprobe=32"), (f"IVF{lists},PQ{pieces}", ""), (f"IVF{lists},PQ{pieces}", "nprobe=32")]  # fmt: skip
    if options.smallest:
        wanted = [w for w in wanted if w[0] in ("Flat", "SQ8") or "nprobe" in w[1]]
    limit = 2.0 * queries * count * dimension / matmul_rate("cpu", "fp32", 256 if options.smallest else 2048)
    built: dict[str, dict[str, Any]] = {}
    sides: list[Side] = []
    found: dict[str, Path] = {}
    for factory, setting in wanted:
        folder = options.work / factory.replace(",", "-")
        if factory not in built:
            built[factory] = build(options.work / "made", folder, factory)
        name = f"{factory}, {setting}" if setting else f"{factory}, as `search` searches"
        found[name] = options.work / f"found.{len(found)}.npy"
        words = ["-m", "benchmarks.index_search", folder, asked, found[name], options.threads, HITS, *([setting] if setting else [])]  # fmt: skip
        sides.append(
            Side(name, partial(_search, words), queries, limit if factory == "Flat" else None, figures=built[factory])
        )
    recalls: dict[str, float] = {}
    rows = measure(sides, options.repeat, lambda results: _recalls(results, found, recalls))
    for row in rows:
        row.figures["recall@100"] = recalls[row.name]
    title = f"Indexes of {count:,} vectors of {dimension} dimensions, {queries:,} queries together, {HITS} hits, {options.threads} threads"
    said = (
        "operations, for Flat: 2 for each query, vector and dimension, at the measured rate of a square matrix product"
    )
    return [Sheet("scale_index", title, "queries", rows, [rows[0].name], limit=said)]


def make_flat(folder: Path, queries: Path, count: int, dimension: int, asked: int) -> None:
    """Write the vectors as a flat index in Pyserini's layout, whose docids are the row numbers, and queries of the same kind."""
    import numpy as np

    from expandr_repro.indexes.faiss_index import new_index, save_index
    from expandr_repro.io.manifest import NAME, write_manifest

    draw = np.random.default_rng(42)
    centres = draw.standard_normal((max(16, count // 50), INNER)).astype(np.float32)
    turn = draw.standard_normal((INNER, dimension)).astype(np.float32) / np.sqrt(INNER)

    def some(many: int) -> NDArray[np.float32]:
        inner = centres[draw.integers(0, len(centres), many)] + 0.5 * draw.standard_normal((many, INNER), dtype=np.float32)  # fmt: skip
        made = inner @ turn + 0.1 * draw.standard_normal((many, dimension), dtype=np.float32)
        return np.asarray(made / np.linalg.norm(made, axis=1, keepdims=True), dtype=np.float32)

    np.save(queries, some(asked))
    index = new_index(dimension, "Flat")
    for begin in range(0, count, 50_000):
        index.add(some(min(50_000, count - begin)))
    folder.mkdir(parents=True, exist_ok=True)
    save_index(index, [str(n) for n in range(count)], folder)
    facts = {"encoder": {"name": "made up", "dimension": dimension}, "corpus": {"source": "made up", "documents": count},
             "factory": "Flat", "metric": "inner product", "documents": count, "shard": {"number": 0, "count": 1}}  # fmt: skip
    write_manifest(folder / NAME, "faiss-index", facts)


def build(made: Path, folder: Path, factory: str) -> dict[str, Any]:
    """Build an index by the command; return its scores."""
    done = python(["-m", "expandr_repro.encode", "--merge", made, "--factory", factory, "--output", folder, "--overwrite", "--quiet"])  # fmt: skip
    size = (folder / "index").stat().st_size
    return {"building, seconds": done.seconds, "building, peak MiB": done.peak, "index MB": size / 1e6}


def _search(words: list[object]) -> Ended:
    done = python(words)
    return dataclasses.replace(done, seconds=float(done.out.strip().splitlines()[-1]))


def _recalls(results: Mapping[str, Any], found: Mapping[str, Path], recalls: dict[str, float]) -> dict[str, str]:
    """Compare with flat; flat itself must have found just so many rows for each query, all different."""
    import numpy as np

    reference = next(iter(found))
    exact = np.load(found[reference])
    if (exact < 0).any() or any(len(set(row)) != HITS for row in exact.tolist()):
        raise wrong(reference, f"not {HITS} different rows for each query")
    for name in results:
        rows = np.load(found[name])
        shared = [len(set(a) & set(b)) for a, b in zip(exact.tolist(), rows.tolist(), strict=True)]
        recalls[name] = sum(shared) / exact.size
    return {}
