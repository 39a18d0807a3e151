"""Feedback fusions: search with the query alone, then move it towards the first documents; no expansion is used."""

from __future__ import annotations

from dataclasses import replace
from typing import Annotated, Any

from expandr_repro.indexes.lucene import Bm25
from expandr_repro.registry import Within
from expandr_repro.search.fusion.registry import fusion


@fusion("rocchio", of="feedback", retrievers=("dense",), source="Li et al. (TOIS 2022); Pyserini")
def rocchio(
    index: Any,
    vectors: Any,
    *,
    depth: Annotated[int, Within(1)] = 3,
    query_weight: Annotated[float, Within(0)] = 0.9,
    documents_weight: Annotated[float, Within(0)] = 0.1,
) -> Any:
    """Query alone, then Pyserini's Rocchio feedback."""
    from expandr_repro.pyserini.feedback import feed_back

    return feed_back(index, vectors, "rocchio", depth, query_weight, documents_weight)


@fusion("average", of="feedback", retrievers=("dense",), source="Li et al. (TOIS 2022); Pyserini")
def average(index: Any, vectors: Any, *, depth: Annotated[int, Within(1)] = 3) -> Any:
    """Query alone, then Pyserini's average vector feedback."""
    from expandr_repro.pyserini.feedback import feed_back

    return feed_back(index, vectors, "average", depth)


@fusion("rocchio", of="feedback", retrievers=("bm25",), source="Anserini")
def rocchio_of_terms(
    settings: Bm25,
    *,
    terms: Annotated[int, Within(1)] = 10,
    documents: Annotated[int, Within(1)] = 10,
    query_weight: Annotated[float, Within(0)] = 1.0,
    documents_weight: Annotated[float, Within(0)] = 0.75,
) -> Bm25:
    """Query alone, then Anserini's Rocchio feedback."""
    return replace(settings, feedback="rocchio", terms=terms, documents=documents,
                   query_weight=query_weight, documents_weight=documents_weight)  # fmt: skip


@fusion("rm3", of="feedback", retrievers=("bm25",), source="Abdul-Jaleel et al. (TREC 2004); Anserini")
def rm3(
    settings: Bm25,
    *,
    terms: Annotated[int, Within(1)] = 10,
    documents: Annotated[int, Within(1)] = 10,
    query_weight: Annotated[float, Within(0, 1)] = 0.5,
) -> Bm25:
    """Query alone, then Anserini's RM3 feedback."""
    return replace(settings, feedback="rm3", terms=terms, documents=documents, query_weight=query_weight)
