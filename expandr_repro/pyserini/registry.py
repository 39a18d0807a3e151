"""Names that the installed Pyserini knows, read without importing it (an import takes seconds, and with 2.4 a network)."""

from __future__ import annotations

import functools

from expandr_repro.pyserini import tables


@functools.cache
def faiss_indexes() -> frozenset[str]:
    """Return the names of Pyserini's prebuilt Faiss indexes.

    Raises:
        SetupError: this version of Pyserini keeps its names where this toolkit does not look.
    """
    return frozenset(tables.indexes("faiss").entries)


@functools.cache
def lucene_indexes() -> frozenset[str]:
    """Return the names of Pyserini's prebuilt inverted indexes for BM25, with the errors of `faiss_indexes`."""
    return frozenset(tables.indexes("lucene").entries)


@functools.cache
def topics_names() -> frozenset[str]:
    """Return the names of Pyserini's topics, with the errors of `faiss_indexes`; `cacm` is in Anserini's jar alone."""
    return frozenset(tables.topics().entries) | {"cacm"}


@functools.cache
def qrels_names() -> frozenset[str]:
    """Return the names of Pyserini's qrels, with the errors of `faiss_indexes`; `cacm` is in Anserini's jar alone."""
    return frozenset(tables.qrels().entries) | {"cacm"}


@functools.cache
def _documents() -> dict[str, int]:
    """Map the names of prebuilt indexes to the number of documents that Pyserini states for them."""
    entries = {**tables.indexes("lucene").entries, **tables.indexes("faiss").entries}
    return {name: entry["documents"] for name, entry in entries.items() if isinstance(entry.get("documents"), int)}


def index_documents(name: str) -> int | None:
    """Return how many documents Pyserini states for a prebuilt index, or None where it states none."""
    return _documents().get(name)
