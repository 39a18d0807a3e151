"""Fusions of texts: one text per topic, from its query and its expansions; the parts are joined by single spaces, as QueryGym joins them."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Annotated, Literal

from expandr_repro.registry import Within
from expandr_repro.search.fusion.registry import fusion


@fusion("none", of="texts", source="-", expands=False)
def none(query: str, expansions: Sequence[str]) -> str:
    """The query alone."""
    return query


@fusion("concat", of="texts", retrievers=("dense",), source="Query2Doc, dense (EMNLP 2023)")
def concat(query: str, expansions: Sequence[str], *, separator: str) -> str:
    """One text: query, the encoder's separator (bm25: a space), expansions."""
    return concat_text(query, expansions, separator)


@fusion("concat", of="texts", retrievers=("bm25",), source="Query2Doc (EMNLP 2023), the query once")
def concat_for_bm25(query: str, expansions: Sequence[str]) -> str:
    """One text: query, expansions."""
    return repeat_text(query, expansions, 1)


@fusion("repeat", of="texts", retrievers=("bm25",), source="Query2Doc, sparse (EMNLP 2023)")
def repeat(query: str, expansions: Sequence[str], *, n: Annotated[int, Within(1)] = 5, lowercase: bool = False) -> str:
    """One text: the query n times, then the expansions."""
    text = repeat_text(query, expansions, n)
    return text.lower() if lowercase else text


@fusion("adaptive", of="texts", source="MuGI (EMNLP 2024); by words: ThinkQE (2025)")
def adaptive(
    query: str,
    expansions: Sequence[str],
    *,
    divisor: Annotated[int, Within(1)] = 6,
    by: Literal["characters", "words"] = "characters",
    lowercase: bool = False,
) -> str:
    """One text: the query as often as the expansions' length asks for, then the expansions.

    The query stands there `max(1, length of the expansions // length of the query // divisor)` times, lengths in characters (of the
    expansions joined by spaces) or in words. MuGI divides by 6, ThinkQE counts words and divides by 3.
    """
    joined = " ".join(expansions)
    longer, shorter = (len(joined.split()), len(query.split())) if by == "words" else (len(joined), len(query))
    text = repeat_text(query, expansions, max(1, longer // max(1, shorter) // divisor))
    return text.lower() if lowercase else text


@fusion("interleave", of="texts", source="LameR (ACL 2024)")
def interleave(query: str, expansions: Sequence[str]) -> str:
    """One text: the query before each of the expansions."""
    return " ".join(part for text in expansions for part in (query, text)) or query


@fusion("sandwich", of="texts", source="QueryGym, query_sandwich")
def sandwich(query: str, expansions: Sequence[str]) -> str:
    """One text: the query, the expansions, the query again."""
    return " ".join([query, *expansions, query]) if expansions else query


@fusion("replace", of="texts", source="ReFormeR (2026); QueryGym, generated_only")
def replace(query: str, expansions: Sequence[str]) -> str:
    """One text: the expansions in place of the query."""
    return " ".join(expansions) or query


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
