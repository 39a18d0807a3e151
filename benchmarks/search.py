"""The whole dense search, Python's start included, next to `python -m pyserini.search.faiss` on the same index with the same model."""

from __future__ import annotations

import shutil
from collections.abc import Sequence
from pathlib import Path

from benchmarks.checks import same_runs
from benchmarks.harness import Side, measure, peer
from benchmarks.machine import bert_operations, matmul_rate
from benchmarks.models import Model, model_for
from benchmarks.options import Options
from benchmarks.processes import python
from benchmarks.results import Sheet
from benchmarks.texts import differing
from expandr_repro.data.topics import read_topics, write_topics
from expandr_repro.io.paths import data_dir

STOCK = "pyserini.search.faiss"
TORCH = "query alone, torch in place of ONNX Runtime"


def run(options: Options) -> list[Sheet]:
    """Measure query-only search and search with expansions, with an empty cache and a full one, next to stock Pyserini."""
    from expandr_repro.data.collections import find_topics

    collection, expansions = _collection(options)
    model = model_for(options)
    index = _index(collection, model, options)
    work, hits = options.work, 10 if options.smallest else 1000
    topics = work / "topics.jsonl"
    write_topics(topics, find_topics(collection).topics)
    names = [
        "query alone",
        "query alone, cache full",
        TORCH,
        "query and expansions",
        "query and expansions, cache full",
    ]
    names = ["query alone", "query and expansions"] if options.smallest else names
    runs = {f"this project, {name}": work / f"ours.{n}.trec" for n, name in enumerate(names)} | {STOCK: work / "stock.trec"}  # fmt: skip
    sides = [
        _ours(name, model, ["--topics", topics, "--index", index, "--hits", hits, "--threads", options.threads, "--device", options.device, "--output", runs[name],
                            *(["--expansions", expansions, "--no-baseline"] if "expansions" in name else ["--fusion", "none"])], work)
        for name in runs if name != STOCK
    ]  # fmt: skip
    stock = ["-m", STOCK, "--topics", topics, "--index", index, "--encoder", model.folder, "--encoder-class", "auto", "--pooling", "mean", "--l2-norm",
             "--max-length", model.max_length, "--hits", hits, "--threads", options.threads, "--batch-size", 128, "--device", options.device, "--output", runs[STOCK]]  # fmt: skip
    sides.append(Side(STOCK, lambda: peer(stock, java=True)))
    asked = read_topics(topics)
    titles = [t.title for t in asked]
    texts = [*titles, *(text for t in read_topics(expansions) for text in t.texts)]
    operations = _operations(model, titles, index)
    rate = matmul_rate(options.device, "fp32", 256 if options.smallest else 2048)
    for side in sides:
        side.limit = None if "expansions" in side.name else operations / rate
        side.distinct = differing(texts if "expansions" in side.name else titles)
    groups = {name: next(iter(runs)) for name in runs if "expansions" not in name}
    groups |= {name: f"this project, {names[-1].split(',')[0]}" for name in runs if "expansions" in name}
    groups |= {STOCK: next(iter(runs))}
    rows = measure(sides, options.repeat, same_runs(runs, groups, 1e-5))
    title = f"Search of {len(asked)} topics of {collection}, {hits:,} hits, {model.said}, {options.threads} threads: the whole command"
    limit = f"operations: {operations / 1e9:.3g} billion for queries and inner products, at {rate / 1e9:,.0f} GFLOP/s; all else is start-up"
    return [Sheet("search", title, "topics", rows, [STOCK], rate=False, limit=limit)]


def _collection(options: Options) -> tuple[str, Path | str]:
    folder = data_dir()
    kept = folder / "expansions" / "scifact.test.query2doc-zs.gpt-4.1.jsonl" if folder else None
    if options.smallest or kept is None or not kept.is_file():
        from expandr_repro.io.paths import resource

        return "pocket", resource("pocket") / "queries.jsonl"
    return "scifact", kept


def _index(collection: str, model: Model, options: Options) -> Path:
    """Return the collection's index: the one of the user's cache, as `search` builds it, or a new one of a random model."""
    target = options.work / "index"
    python(["-m", "expandr_repro.encode", "--corpus", collection, *model.options, "--device", options.device, "--output", target, "--overwrite", "--quiet"])  # fmt: skip
    return target


def _ours(name: str, model: Model, words: Sequence[object], work: Path) -> Side:
    cache = work / ("cache." + "".join(c for c in name if c.isalnum()))
    command = ["-m", "expandr_repro.search", *words, *model.options, "--quiet"]
    environment = {"EXPANDR_CACHE": str(cache)}
    if TORCH in name:  # as where it is not installed
        hidden = work / "hidden" / "onnxruntime.py"
        hidden.parent.mkdir(exist_ok=True)
        hidden.write_text("raise ImportError\n")
        environment["PYTHONPATH"] = str(hidden.parent)
    if "cache full" in name:
        return Side(name, lambda: python(command, environment), before=lambda: cache.is_dir() or python(command, environment))  # fmt: skip
    return Side(name, lambda: python(command, environment), before=lambda: shutil.rmtree(cache, ignore_errors=True))


def _operations(model: Model, texts: list[str], index: Path) -> float:
    from expandr_repro.indexes.faiss_index import FaissIndex

    encoder = model.load("cpu")
    lengths = [len(ids) for ids in encoder.tokenize(texts, "query")]
    found = FaissIndex.load(index).index
    return bert_operations(model.config, lengths) + 2.0 * len(texts) * float(found.ntotal * found.d)
