"""The whole BM25 search, start included, next to `python -m pyserini.search.lucene`; with stored vectors and texts, and without."""

from __future__ import annotations

from functools import partial
from pathlib import Path

from benchmarks.checks import same_runs
from benchmarks.harness import Side, measure, peer
from benchmarks.machine import copy_rate
from benchmarks.options import Options
from benchmarks.processes import python
from benchmarks.results import Sheet
from benchmarks.texts import differing
from expandr_repro.data.topics import write_topics
from expandr_repro.io.files import atomic_text
from expandr_repro.io.paths import data_dir

STOCK = "pyserini.search.lucene"


def run(options: Options) -> list[Sheet]:
    """Measure one search of all topics on two indexes of the same documents."""
    from expandr_repro.data.collections import find_topics

    folder, work = data_dir(), options.work
    collection = "pocket" if options.smallest or not (folder and (folder / "scifact").is_dir()) else "scifact"
    hits = 10 if options.smallest else 1000
    topics = work / "topics.jsonl"
    write_topics(topics, find_topics(collection).topics)
    asked = differing(t.title for t in find_topics(collection).topics)
    full, lean = _indexes(collection, options)
    runs: dict[str, Path] = {}
    sides: list[Side] = []
    for index, said in ((full, "index with vectors and texts"), (lean, "lean index")):
        ours, theirs = f"this project, {said}", f"{STOCK}, {said}"
        runs |= {ours: work / f"ours.{index.name}.trec", theirs: work / f"stock.{index.name}.trec"}
        if options.smallest and index == lean:
            theirs = ""
        common = ["--topics", topics, "--index", index, "--hits", hits, "--threads", options.threads]
        figures = {"index MB": _megabytes(index)}
        command = ["-m", "expandr_repro.search", "--retriever", "bm25", "--fusion", "none", "--quiet", *common, "--output", runs[ours]]  # fmt: skip
        least = figures["index MB"] * 1e6 / copy_rate()
        sides.append(Side(ours, partial(python, command), limit=least, figures=figures, distinct=asked))
        if theirs:
            stock = ["-m", STOCK, "--bm25", *common, "--batch-size", 128, "--output", runs[theirs]]
            sides.append(Side(theirs, partial(peer, stock, java=True), limit=least, figures=figures, distinct=asked))
    first = next(iter(runs))
    rows = measure(sides, options.repeat, same_runs(runs, {name: first for name in runs if name != first}, 2e-4))
    title = f"BM25 search of {len(find_topics(collection).topics)} topics of {collection}, {hits:,} hits, {options.threads} threads: the whole command"
    limit = (
        "bytes: the index read once at the measured rate of copying memory; all else is start-up, scoring and writing"
    )
    bases = [s.name for s in sides if s.name == f"{STOCK}, index with vectors and texts"]
    return [Sheet("bm25", title, "topics", rows, bases, rate=False, limit=limit)]


def _indexes(collection: str, options: Options) -> tuple[Path, Path]:
    """Build the index as Pyserini's documentation does (positions, vectors, texts), and this project's, which stores none of them."""
    import json

    from expandr_repro.data.collections import find_corpus

    full, lean, documents = options.work / "full", options.work / "lean", options.work / "documents"
    documents.mkdir(exist_ok=True)
    with atomic_text(documents / "corpus.jsonl") as file:
        for document in find_corpus(collection).read():
            file.write(json.dumps({"id": document.docid, "contents": document.lucene_text}) + "\n")
    words = ["--collection", "JsonCollection", "--input", documents, "--index", full, "--generator", "DefaultLuceneDocumentGenerator", "--threads",
             options.threads, "--storePositions", "--storeDocvectors", "--storeRaw"]  # fmt: skip
    python(["-m", "expandr_repro.pyserini", "index.lucene", *words])
    python(["-m", "expandr_repro.encode", "--corpus", collection, "--retriever", "bm25", "--threads", options.threads, "--output", lean, "--overwrite", "--quiet"])  # fmt: skip
    return full, lean


def _megabytes(folder: Path) -> float:
    return sum(f.stat().st_size for f in folder.iterdir()) / 1e6
