"""The topics on which two runs differ most, with their queries."""

from __future__ import annotations

import logging
from collections.abc import Mapping, Sequence

from expandr_repro.compare.comparison import Comparison
from expandr_repro.console.tables import Table
from expandr_repro.data.collections import collection_meant, find_topics, has_topics
from expandr_repro.errors import ExpandrError, MismatchError
from expandr_repro.evaluate.scoring import Figures

log = logging.getLogger(__name__)

LONGEST = 80
"""Characters of a query that a table shows."""


def queries_of(topics: str | None, qrels: str, searched: Sequence[str | None], qids: Sequence[str]) -> dict[str, str]:
    """Return the query of each topic by qid; empty, with a warning, where the topics are neither given nor known.

    Args:
        topics: by name or path, where given.
        qrels: by name or path; its collection's topics are taken where none are given.
        searched: the collections that the runs' manifests name.
        qids: of the topics that are compared.

    Raises:
        ExpandrError: topics were given and cannot be read, or are others than those that are compared.
    """
    known = collection_meant(qrels, *searched)
    name = topics or (qrels if has_topics(qrels) else str(known) if known else None)
    try:
        queries = {t.qid: t.title for t in find_topics(name).topics} if name else _unknown(f"of the topics of {qrels}")
    except ExpandrError as error:
        if topics:
            raise
        return _unknown(str(error))
    if topics and queries.keys().isdisjoint(qids):
        raise MismatchError(f"--topics {topics}: has none of the {len(qids)} topics that are compared (first: {qids[0]!r}); name theirs")  # fmt: skip
    return queries


def _unknown(why: str) -> dict[str, str]:
    log.warning("the queries are not known and not shown; give --topics (%s)", why)
    return {}


def largest(
    comparison: Comparison, figures: Mapping[str, Figures], queries: Mapping[str, str], count: int
) -> list[dict[str, object]]:
    """Return the topics of largest loss, then of largest gain: qid, query (None where not known), both scores, difference."""
    c, qids = comparison, figures[comparison.a].qids
    return [
        {
            "qid": qids[row],
            "query": queries.get(qids[row]),
            "a": float(figures[c.a].per_topic[c.measure][row]),
            "b": float(figures[c.b].per_topic[c.measure][row]),
            "difference": float(c.per_topic[row]),
        }
        for row in c.extremes(qids, count)
    ]


def as_table(comparison: Comparison, topics: Sequence[Mapping[str, object]]) -> Table:
    """Return a table of what `largest` found."""
    rows = [[*(t[key] for key in ("qid", "a", "b", "difference")), _short(t["query"])] for t in topics]
    return Table([str(comparison.measure), comparison.a, comparison.b, "Δ", "query"], rows)


def _short(query: object) -> str | None:
    text = None if query is None else " ".join(str(query).split())
    return text if text is None or len(text) <= LONGEST else f"{text[: LONGEST - 3]}..."
