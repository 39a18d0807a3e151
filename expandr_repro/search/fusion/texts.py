"""Fusions of texts: one text per topic, from its query and its expansions."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Annotated

from expandr_repro.registry import Within
from expandr_repro.search.fusion.registry import fusion


@fusion("none", of="texts", source="-", expands=False)
def none(query: str, expansions: Sequence[str]) -> str:
    """The query alone."""
    return query


@fusion("concat", of="texts", retrievers=("dense",), source="Query2Doc, dense (EMNLP 2023)")
def concat(query: str, expansions: Sequence[str], *, separator: str) -> str:
    """One text: query, the encoder's separator, expansions."""
    return concat_text(query, expansions, separator)


@fusion("repeat", of="texts", retrievers=("bm25",), source="Query2Doc, sparse (EMNLP 2023)")
def repeat(query: str, expansions: Sequence[str], *, n: Annotated[int, Within(1)] = 5) -> str:
    """One text: the query n times, then the expansions."""
    return repeat_text(query, expansions, n)


@fusion("expansion", of="texts", retrievers=("bm25",), source="ablation")
def expansion(query: str, expansions: Sequence[str]) -> str:
    """The expansions alone, joined."""
    return " ".join(expansions) or query


def repeat_text(query: str, expansions: Sequence[str], times: int) -> str:
    """Return the query `times` times and then the expansions, joined by single spaces (Query2Doc, section 2; times = 5)."""
    return " ".join([query] * times + list(expansions)) if expansions else query


def concat_text(query: str, expansions: Sequence[str], separator: str) -> str:
    """Return `query [SEP] expansions` (Query2Doc for dense retrieval, section 2)."""
    return f"{query} {separator} {' '.join(expansions)}" if expansions else query
