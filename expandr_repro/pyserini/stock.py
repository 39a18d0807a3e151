"""Search with Pyserini's own searchers, to check that they find the same."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from expandr_repro.data.trec import Run
from expandr_repro.indexes.faiss_index import cores
from expandr_repro.indexes.lucene import Bm25, allow_long_queries, best_scores
from expandr_repro.pyserini.jvm import start

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray


def faiss_search(folder: Path, qids: Sequence[str], vectors: NDArray[np.float32], hits: int, threads: int) -> Run:
    """Search vectors with `pyserini.search.faiss.FaissSearcher`."""
    start()
    from pyserini.encode import QueryEncoder
    from pyserini.search.faiss import FaissSearcher

    searcher = FaissSearcher(str(folder), QueryEncoder())
    hits_of = searcher.batch_search(vectors, list(qids), k=min(hits, searcher.num_docs), threads=threads or cores())
    return {qid: best_scores((hit.docid, float(hit.score)) for hit in hits_of[qid]) for qid in qids}


def lucene_search(
    folder: Path, qids: Sequence[str], texts: Sequence[str], hits: int, settings: Bm25, threads: int
) -> Run:
    """Search texts with `pyserini.search.lucene.LuceneSearcher`."""
    start()
    allow_long_queries()
    from pyserini.search.lucene import LuceneSearcher

    searcher = LuceneSearcher(str(folder))
    searcher.set_bm25(settings.k1, settings.b)
    if settings.feedback == "rm3":
        searcher.set_rm3(settings.terms, settings.documents, settings.query_weight)
    elif settings.feedback == "rocchio":
        terms, documents = settings.terms, settings.documents
        searcher.set_rocchio(terms, documents, terms, documents, settings.query_weight, settings.documents_weight)
    hits_of = searcher.batch_search(list(texts), list(qids), k=hits, threads=threads or cores())
    return {qid: best_scores((hit.docid, float(hit.score)) for hit in hits_of[qid]) for qid in qids}
