"""Search with BM25 through Anserini's classes, without the slow import of Pyserini's LuceneSearcher."""

from __future__ import annotations

import json
import tempfile
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import Any

from expandr_repro.console.progress import progress
from expandr_repro.data.corpus import Document
from expandr_repro.data.trec import Run
from expandr_repro.errors import FormatError, SetupError, reason_of
from expandr_repro.pyserini.jvm import java_class


@dataclass(frozen=True)
class Bm25:
    """BM25's parameters, and the feedback after it: None, `rm3` or `rocchio`, with its settings (by default Anserini's of RM3)."""

    k1: float = 0.9
    b: float = 0.4
    feedback: str | None = None
    terms: int = 10
    documents: int = 10
    query_weight: float = 0.5
    documents_weight: float = 0.75


def is_lucene_folder(path: Path) -> bool:
    """Return whether a folder contains a Lucene index."""
    return any(path.glob("segments_*")) if path.is_dir() else False


BLANKS = "".join(map(chr, range(33)))
"""What Java takes for white space: a document of nothing else is empty to Anserini."""


def build(documents: Iterable[Document], count: int, folder: Path, feedback: bool, threads: int) -> int:
    """Index documents as Anserini's 'flat' BEIR indexes do: one field, default English analyzer.

    Args:
        documents: to be indexed.
        count: how many, for the progress bar.
        folder: where the index goes; must be new.
        feedback: whether to store the document vectors that RM3 and Rocchio need (an index without is an eighth of the size, and its searches take
            less than half the time).
        threads: of the indexer.

    Returns:
        How many documents have no text: as Anserini does, they are left out.

    Raises:
        SetupError: Anserini wrote no index.
        FormatError: no document has any text.
    """
    indexer = java_class("io.anserini.index.IndexCollection")
    import jnius

    empty = 0
    options = ["-storeDocvectors"] if feedback else []
    with tempfile.TemporaryDirectory(
        dir=folder, prefix=".corpus-"
    ) as scratch:  # goes with the folder, should the process be killed
        with (
            (Path(scratch) / "corpus.jsonl").open("w", encoding="utf-8") as file,
            progress(count, "prepare", "docs") as bar,
        ):
            for document in documents:
                bar.update(1)
                if not document.lucene_text.strip(BLANKS):
                    empty += 1
                    continue
                file.write(json.dumps({"id": document.docid, "contents": document.lucene_text}) + "\n")
        if empty == count:
            raise FormatError(
                "the corpus", None, f"none of its {count} documents has any text, so there is nothing to index"
            )
        arguments = ["-collection", "JsonCollection", "-generator", "DefaultLuceneDocumentGenerator", "-input", scratch, "-index", str(folder),
                     "-threads", str(threads), "-optimize", "-quiet", *options]  # fmt: skip
        try:
            indexer.main(arguments)
        except jnius.JavaException as error:
            raise SetupError(f"{folder}: Anserini cannot index there ({reason_of(error, 1000)})") from error
    if not is_lucene_folder(folder):
        raise SetupError(f"{folder}: Anserini wrote no index; is there room on the disk?")
    return empty


def allow_long_queries() -> None:
    """Remove Lucene's limit of 1,024 distinct terms in a query: expansions may have more, and feedback counts alike."""
    java_class("org.apache.lucene.search.IndexSearcher").setMaxClauseCount(2**31 - 1)


def _open(folder: Path) -> Any:
    """Open an index.

    Raises:
        FormatError: Lucene cannot read it.
    """
    searcher = java_class("io.anserini.search.SimpleSearcher")
    import jnius

    try:
        return searcher(str(folder))
    except jnius.JavaException as error:
        if "is in the future" in str(error) or "IndexFormatTooNew" in str(error):
            problem = (
                "the index was written by a newer Lucene than the one in the Pyserini installed here (2.x, on Python 3.12 or newer, has Lucene 10); "
                "build it again here, or search it with the Python that built it"
            )
        else:
            problem = f"Lucene cannot open the index ({reason_of(error, 1000)}); build it again"
        raise FormatError(folder, None, problem) from error


def _searcher(folder: Path, settings: Bm25) -> Any:
    allow_long_queries()
    searcher = _open(folder)
    searcher.set_bm25(float(settings.k1), float(settings.b))
    if settings.feedback and not searcher.reader.termVectors().get(0):
        raise SetupError(
            f"{folder}: this index stores no document vectors, which {settings.feedback} needs; build it with `encode --retriever bm25 --feedback`"
        )
    if settings.feedback == "rm3":
        searcher.set_rm3(None, settings.terms, settings.documents, settings.query_weight, False, True)
    elif settings.feedback == "rocchio":
        terms, documents = settings.terms, settings.documents
        weights = (settings.query_weight, settings.documents_weight, 0.0)
        searcher.set_rocchio(None, terms, terms, documents, documents, *weights, False, False)
    return searcher


def search(folder: Path, qids: Sequence[str], texts: Sequence[str], hits: int, settings: Bm25, threads: int) -> Run:
    """Search texts, `threads` at a time; scores as Lucene gives them.

    Raises:
        FormatError: the folder's index cannot be opened.
    """
    searcher = _searcher(folder, settings)
    run: Run = {}
    with progress(len(qids), "search", "topics") as bar:
        for start in range(0, len(qids), 256):
            wanted = dict(zip(qids[start : start + 256], texts[start : start + 256], strict=True))
            depth = hits
            while wanted:
                short = _search_batch(searcher, wanted, run, hits, depth, threads)
                wanted = {qid: wanted[qid] for qid in short}
                depth *= 4
            bar.update(len(qids[start : start + 256]))
    searcher.close()
    return run


def _search_batch(searcher: Any, wanted: Mapping[str, str], run: Run, hits: int, depth: int, threads: int) -> list[str]:
    """Search `depth` deep, keep the best `hits`; return the topics for which more must be asked for, as docids occur there several times."""
    queries, names = java_class("java.util.ArrayList")(), java_class("java.util.ArrayList")()
    for qid, text in wanted.items():
        names.add(qid)
        queries.add(text)
    results = searcher.batch_search(queries, names, int(depth), int(threads))
    short = []
    for qid in wanted:
        listed = results.get(qid)
        best = best_scores((hit.docid, float(hit.score)) for hit in listed)
        if len(best) < hits and len(listed) == depth:
            short.append(qid)
        run[qid] = dict(islice(best.items(), hits))
    return short


def best_scores(listed: Iterable[tuple[str, float]]) -> dict[str, float]:
    """Return each document's score, the first and best one where an index of another toolkit has a docid several times."""
    best: dict[str, float] = {}
    for docid, score in listed:
        best.setdefault(docid, score)
    return best


def holds_any(folder: Path, docids: Iterable[str]) -> bool:
    """Return whether an index contains any of some documents."""
    searcher = _open(folder)
    try:
        return any(searcher.doc(docid) is not None for docid in docids)
    finally:
        searcher.close()


def document_count(folder: Path) -> int:
    """Return how many documents an index holds."""
    searcher = _open(folder)
    count = int(searcher.get_total_num_docs())
    searcher.close()
    return count


def lucene_facts(folder: Path) -> dict[str, Any]:
    """Return what tells an index's content from another's, as far as Lucene counts it."""
    searcher = _open(folder)
    try:
        reader = searcher.reader
        return {
            "documents": int(reader.numDocs()),
            "postings": int(reader.getSumDocFreq("contents")),
            "tokens": int(reader.getSumTotalTermFreq("contents")),
        }
    finally:
        searcher.close()
