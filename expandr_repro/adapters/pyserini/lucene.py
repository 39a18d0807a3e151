"""BM25 through Anserini: the classes under Pyserini's LuceneIndexer and LuceneSearcher, without the seven seconds their import takes."""

from __future__ import annotations

import json
import tempfile
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from expandr_repro.adapters.pyserini.jvm import java_class
from expandr_repro.core.corpus import Document
from expandr_repro.core.errors import FormatError, SetupError
from expandr_repro.core.progress import progress
from expandr_repro.core.trec import Run

RM3: dict[str, float] = {"terms": 10, "documents": 10, "query_weight": 0.5}
ROCCHIO: dict[str, float] = {"terms": 10, "documents": 10, "query_weight": 1.0, "documents_weight": 0.75}
"""Anserini's default settings of feedback."""


@dataclass(frozen=True)
class Bm25:
    """BM25's parameters, and the feedback after it (None, `rm3` or `rocchio`, with Anserini's default settings)."""

    k1: float = 0.9
    b: float = 0.4
    feedback: str | None = None


def is_lucene_folder(path: Path) -> bool:
    """Say whether a folder holds a Lucene index."""
    return any(path.glob("segments_*")) if path.is_dir() else False


def build(documents: Iterable[Document], count: int, folder: Path, feedback: bool, threads: int) -> None:
    """Index documents as Anserini's 'flat' BEIR indexes do: one field, default English analyzer.

    Args:
        documents: to be indexed.
        count: how many, for the progress bar.
        folder: where the index goes; must be new.
        feedback: whether to store the document vectors that RM3 and Rocchio need (an index without is an eighth of the size, and its searches take
            less than half the time).
        threads: of the indexer.

    Raises:
        SetupError: Anserini wrote no index.
    """
    options = ["-storeDocvectors"] if feedback else []
    with tempfile.TemporaryDirectory(
        dir=folder, prefix=".corpus-"
    ) as scratch:  # goes with the folder, should the process be killed
        with (
            (Path(scratch) / "corpus.jsonl").open("w", encoding="utf-8") as file,
            progress(count, "prepare", "docs") as bar,
        ):
            for document in documents:
                file.write(json.dumps({"id": document.docid, "contents": document.lucene_text}) + "\n")
                bar.update(1)
        arguments = ["-collection", "JsonCollection", "-generator", "DefaultLuceneDocumentGenerator", "-input", scratch, "-index", str(folder),
                     "-threads", str(threads), "-optimize", "-quiet", *options]  # fmt: skip
        java_class("io.anserini.index.IndexCollection").main(arguments)
    if not is_lucene_folder(folder):
        raise SetupError(f"{folder}: Anserini wrote no index; is there room on the disk?")


def _searcher(folder: Path, settings: Bm25) -> Any:
    searcher = java_class("io.anserini.search.SimpleSearcher")(str(folder))
    searcher.set_bm25(float(settings.k1), float(settings.b))
    if settings.feedback and not searcher.reader.termVectors().get(0):
        raise SetupError(
            f"{folder}: this index stores no document vectors, which {settings.feedback} needs; build it with `encode --retriever bm25 --feedback`"
        )
    if settings.feedback == "rm3":
        searcher.set_rm3(None, RM3["terms"], RM3["documents"], RM3["query_weight"], False, True)
    elif settings.feedback == "rocchio":
        terms, documents = ROCCHIO["terms"], ROCCHIO["documents"]
        weights = (ROCCHIO["query_weight"], ROCCHIO["documents_weight"], 0.0)
        searcher.set_rocchio(None, terms, terms, documents, documents, *weights, False, False)
    return searcher


def search(folder: Path, qids: Sequence[str], texts: Sequence[str], hits: int, settings: Bm25, threads: int) -> Run:
    """Search texts, `threads` at a time; scores as Lucene gives them.

    Raises:
        FormatError: the folder's index cannot be opened.
    """
    import jnius

    try:
        searcher = _searcher(folder, settings)
    except jnius.JavaException as error:
        raise FormatError(
            folder, None, f"Lucene cannot open the index ({str(error).splitlines()[0]}); build it again"
        ) from error
    queries, names = java_class("java.util.ArrayList")(), java_class("java.util.ArrayList")()
    run: Run = {}
    with progress(len(qids), "search", "topics") as bar:
        for start in range(0, len(qids), 256):
            queries.clear()
            names.clear()
            for qid, text in zip(qids[start : start + 256], texts[start : start + 256], strict=True):
                names.add(qid)
                queries.add(text)
            found = searcher.batch_search(queries, names, int(hits), int(threads))
            for qid in qids[start : start + 256]:
                run[qid] = {hit.docid: float(hit.score) for hit in found.get(qid)}
            bar.update(len(qids[start : start + 256]))
    searcher.close()
    return run


def holds_any(folder: Path, docids: Iterable[str]) -> bool:
    """Say whether an index holds any of some documents."""
    searcher = java_class("io.anserini.search.SimpleSearcher")(str(folder))
    try:
        return any(searcher.doc(docid) is not None for docid in docids)
    finally:
        searcher.close()


def document_count(folder: Path) -> int:
    """Return how many documents an index holds."""
    searcher = java_class("io.anserini.search.SimpleSearcher")(str(folder))
    count = int(searcher.get_total_num_docs())
    searcher.close()
    return count


def lucene_facts(folder: Path) -> dict[str, Any]:
    """Return what tells an index's content from another's, as far as Lucene counts it."""
    searcher = java_class("io.anserini.search.SimpleSearcher")(str(folder))
    try:
        reader = searcher.reader
        return {
            "documents": int(reader.numDocs()),
            "postings": int(reader.getSumDocFreq("contents")),
            "tokens": int(reader.getSumTotalTermFreq("contents")),
        }
    finally:
        searcher.close()
