"""Very many topics: wall time and peak memory of `search`, `evaluate`, `compare` and `report` as the number of topics grows.

Everything is made up: passages and expansions of pocket's words, a tiny model, a hundred documents a topic. What is shown is the
memory that comes with topics; encoding a text takes as long as in the other benchmarks.
"""

from __future__ import annotations

import sys
from collections.abc import Iterator, Mapping
from functools import partial
from pathlib import Path
from typing import Any

from benchmarks.harness import Side, measure
from benchmarks.models import made_up_model
from benchmarks.options import Options
from benchmarks.processes import Ended, python
from benchmarks.results import Row, Sheet
from benchmarks.texts import differing_in, sentences
from expandr_repro.errors import CheckFailedError

sys.path.insert(0, str(Path(__file__).parents[1] / "tests"))
from many_topics import write_many  # type: ignore[import-not-found]

WORDS = 30


def run(options: Options) -> list[Sheet]:
    """Measure each size once: memory hardly varies."""
    sizes = (50, 200) if options.smallest else (10_000, 100_000)
    documents, hits = (500, 20) if options.smallest else (10_000, 100)
    model = made_up_model("tiny", options.work / "tiny")
    vocabulary = sorted({word for said in sentences() for word in said.split()})
    peaks: dict[str, list[float]] = {}
    rows: list[Row] = []
    for size in sizes:
        folder = options.work / str(size)
        write_many(folder, size, documents, WORDS, hits, vocabulary)
        distinct = differing_in(folder / "topics.jsonl", "title")
        sides = [Side(f"{name}, {size:,} topics", partial(python, words), size, distinct=distinct) for name, words in _commands(folder, model.options, hits)]  # fmt: skip
        for row in measure(sides, 1, partial(_same, size)):
            own = peaks.setdefault(row.name.removesuffix(f", {size:,} topics"), [])
            own.append(row.peak[0])
            if len(own) > 1:
                row.figures["bytes more a topic"] = round((own[-1] - own[0]) * 2**20 / (sizes[-1] - sizes[0]))
            rows.append(row)
    title = f"Many topics, each with an expansion of {WORDS} words: {documents:,} passages, {hits} hits a topic, {model.said}; whole commands"
    limit = "bytes: Python with the command's libraries, the topics' texts and judgements, and some thousand topics' vectors and rankings"
    return [Sheet("load", title, "topics", rows, rate=False, limit=limit)]


def _commands(folder: Path, encoder: list[str], hits: int) -> Iterator[tuple[str, list[object]]]:
    topics, qrels, corpus = folder / "topics.jsonl", folder / "qrels.txt", folder / "corpus.jsonl"
    runs = [folder / "none.trec", folder / "mean.trec"]
    search = ["-m", "expandr_repro.search", "--topics", topics, "--index", corpus, "--qrels", qrels, "--hits", hits, *encoder, "--device", "cpu", "--quiet", "--no-vector-cache"]  # fmt: skip
    yield "search, queries alone", [*search, "--fusion", "none", "--output", folder / "a.trec"]
    yield "search, mean beside the queries alone", [*search, "--output", folder / "b.trec"]
    yield "evaluate, two runs", ["-m", "expandr_repro.evaluate", *runs, "--qrels", qrels, "--quiet"]
    yield "compare, two runs", ["-m", "expandr_repro.compare", *runs, "--qrels", qrels, "--quiet"]
    yield "report, two runs", ["-m", "expandr_repro.report", *runs, "--qrels", qrels, "--topics", topics, "--corpus", corpus, "--quiet", "--output", folder / "page.html"]  # fmt: skip


def _same(size: int, results: Mapping[str, Any]) -> dict[str, str]:
    """Look at what the commands say: evaluate and compare have one figure of one run."""
    said = [ended.out for ended in results.values() if isinstance(ended, Ended)]
    line = next(line for line in said[2].splitlines() if line.startswith("none.trec"))
    if line.split()[1] not in said[3]:
        raise CheckFailedError(f"{size} topics: evaluate says {line!r}, and compare something else")
    return {}
