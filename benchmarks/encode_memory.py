"""Peak memory of `encode` as the corpus grows, next to sentence-transformers' `encode`: whole commands, a tiny model, short passages."""

from __future__ import annotations

import statistics
from collections.abc import Callable, Mapping
from functools import partial
from pathlib import Path
from typing import Any

from benchmarks.harness import Side, measure, peer, wrong
from benchmarks.models import made_up_model
from benchmarks.options import Options
from benchmarks.processes import python
from benchmarks.results import Row, Sheet
from benchmarks.texts import differing_in, write_corpus

PEER = "sentence-transformers"
WORDS = 12


def run(options: Options) -> list[Sheet]:
    """Measure each size once: memory hardly varies."""
    model = made_up_model("tiny", options.work / "tiny")
    rows: list[Row] = []
    peaks: dict[str, list[float]] = {}
    sizes = (200, 2000) if options.smallest else (5_000, 50_000, 500_000)
    for size in [n for n in sizes if n <= (options.passages or n)]:
        corpus = write_corpus(options.work / "corpus.jsonl", size, WORDS)
        index, vectors = options.work / f"index.{size}", options.work / "vectors.npy"
        ours = ["-m", "expandr_repro.encode", "--corpus", corpus, *model.options, "--device", "cpu", "--output", index, "--quiet"]  # fmt: skip
        theirs = ["-m", "benchmarks.peers.sentence_transformers_corpus", model.folder, corpus, vectors, model.max_length]  # fmt: skip
        sides = [Side(f"this project, {size:,} passages", partial(python, ours), size, distinct=differing_in(corpus))]
        if not (options.smallest and size == sizes[-1]):
            sides.append(Side(f"{PEER}, {size:,} passages", partial(peer, theirs), size, distinct=sides[0].distinct))
        for row in measure(sides, 1, _same(index, vectors)):
            if row.peak:
                own = peaks.setdefault(row.name.partition(",")[0], [])
                own.append(statistics.median(row.peak))
                row.figures["MiB more than the smallest"] = own[-1] - own[0]
                row.figures["vectors MiB"] = size * model.config.hidden_size * 4 / 2**20
            rows.append(row)
    title = f"Peak memory of encoding passages of about {WORDS} words, {model.said}: the whole command"
    limit = "bytes: Python with torch, the model, and a chunk of passages; the vectors need not stay in memory"
    return [Sheet("encode_memory", title, "passages", rows, limit=limit)]


def _same(index: Path, vectors: Path) -> Callable[[Mapping[str, Any]], dict[str, str]]:
    """Compare the vectors in the index with those in the file."""

    def check(results: Mapping[str, Any]) -> dict[str, str]:
        import numpy as np

        from expandr_repro.indexes.faiss_index import FaissIndex

        if len(results) < 2:
            return {}
        found = FaissIndex.load(index).index
        theirs = np.load(vectors)
        most = float(np.abs(found.reconstruct_n(0, found.ntotal) - theirs).max())
        if most > 1e-5:
            raise wrong(PEER, f"a component differs by {most:.1e}")
        return dict.fromkeys(results, f"within {most:.0e}")

    return check
