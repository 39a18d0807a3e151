"""What `search` tells of its searches: the query alone beside the fusion, the difference and its p-value."""

from __future__ import annotations

import json
import logging
from collections.abc import Sequence
from typing import Any

from expandr_repro.core.errors import ExpandrError
from expandr_repro.core.tables import Table
from expandr_repro.core.terminal import one_line, printable
from expandr_repro.models.interface import TextEncoder
from expandr_repro.pipeline.encoders import say_truncated
from expandr_repro.pipeline.gaps import warn_of_gaps
from expandr_repro.pipeline.searching import Outcome

log = logging.getLogger(__name__)


def print_summary(outcomes: Sequence[Outcome], form: str, encoder: TextEncoder | None) -> None:
    """Print what was searched and found: a table for each collection, and the macro mean of several.

    Args:
        outcomes: one a collection.
        form: a format of tables, or `json`.
        encoder: for how many texts it cut.
    """
    if form == "json":
        print(printable(json.dumps([_as_json(o) for o in outcomes], indent=2, ensure_ascii=False)))
        return
    for outcome in outcomes:
        expanded = sum(bool(t.texts) for t in outcome.topics.topics)
        print(f"topics  {one_line(outcome.topics.label)}: {len(outcome.topics.topics)}, {expanded} with expansions")
        print(
            f"search  {one_line(outcome.index)}, fusion {outcome.fusion}, {outcome.searcher.hits if outcome.searcher else 0} hits"
        )
        if outcome.without_expansion:
            log.warning(
                "%d of %d topics have no expansion and were searched by their query alone",
                outcome.without_expansion,
                len(outcome.topics.topics),
            )
        if outcome.figures:
            warn_of_gaps(outcome.topics.label, outcome.figures, searched=True)
            print("\n" + _table(outcome).render(form) + "\n")
        else:
            log.info("no judgements are known for these topics; give --qrels for figures")
    if len(outcomes) > 1 and all(o.figures for o in outcomes):
        print(_macro(outcomes).render(form))
    say_truncated(encoder)


def _table(outcome: Outcome) -> Table:
    figures = outcome.figures
    if figures is None:
        raise ExpandrError("no judgements")
    if outcome.baseline is None:
        return Table(
            ["", *map(str, outcome.measures)],
            [[_row_name(outcome.fusion), *(figures.mean(m) for m in outcome.measures)]],
        )
    header = ["", "query only", outcome.fusion, "Δ", "p"]
    rows: list[list[Any]] = [
        [
            str(m),
            outcome.baseline.mean(m),
            figures.mean(m),
            figures.mean(m) - outcome.baseline.mean(m),
            outcome.p_values[m],
        ]
        for m in outcome.measures
    ]
    return Table(header, rows)


def _row_name(fusion: str) -> str:
    return "query only" if fusion == "none" else fusion


def _macro(outcomes: Sequence[Outcome]) -> Table:
    measures = outcomes[0].measures
    rows: list[list[Any]] = [
        [o.topics.label, *(o.figures.mean(m) if o.figures else None for m in measures)] for o in outcomes
    ]
    rows.append(
        ["macro mean", *(sum(o.figures.mean(m) for o in outcomes if o.figures) / len(outcomes) for m in measures)]
    )
    return Table(["", *map(str, measures)], rows)


def _as_json(outcome: Outcome) -> dict[str, Any]:
    result: dict[str, Any] = dict(outcome.facts)
    for name, figures in (("figures", outcome.figures), ("query_only", outcome.baseline)):
        if figures:
            result[name] = {str(m): figures.mean(m) for m in outcome.measures}
    if outcome.p_values:
        result["p_values"] = {str(m): p for m, p in outcome.p_values.items()}
    return result
