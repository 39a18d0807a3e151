"""Print the results of a search: the query alone next to the fusion, the difference and its p-value."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from typing import Any

from expandr_repro.console.tables import Table, number
from expandr_repro.console.terminal import one_line, print_json
from expandr_repro.encoders.loading import say_truncated
from expandr_repro.encoders.protocol import TextEncoder
from expandr_repro.evaluate.gaps import warn_of_gaps
from expandr_repro.evaluate.metrics import Measure
from expandr_repro.evaluate.scoring import Figures
from expandr_repro.evaluate.seen import Split, split_topics
from expandr_repro.evaluate.significance import paired_p
from expandr_repro.search.run import Outcome

log = logging.getLogger(__name__)


def print_summary(outcomes: Sequence[Outcome], form: str, encoder: TextEncoder | None) -> None:
    """Print what was searched and found: a table for each collection, and the macro mean of several.

    Args:
        outcomes: one a collection.
        form: a format of tables, or `json`.
        encoder: for how many texts it cut.
    """
    if form == "json":
        print_json([_as_json(o) for o in outcomes])
        return
    for outcome in outcomes:
        expanded = sum(bool(t.texts) for t in outcome.topics.topics)
        print(f"topics  {one_line(outcome.topics.label)}: {len(outcome.topics.topics)}, {expanded} with expansions")
        print(f"search  {one_line(outcome.index)}, fusion {outcome.chosen}, {outcome.searcher.hits} hits")
        if outcome.choices is not None:
            refused = sum(not c.expanded and c.value is not None for c in outcome.choices)
            print(
                f"gate    {outcome.gate}: {refused} of {expanded} topics with expansions are searched by their query alone"
            )
        for sentence in _split(outcome).sentences:
            print(f"seen    {one_line(sentence)}")
        if outcome.without_expansion:
            log.warning(
                "%d of %d topics have no expansion and were searched by their query alone",
                outcome.without_expansion,
                len(outcome.topics.topics),
            )
        if outcome.figures:
            warn_of_gaps(outcome.topics.label, outcome.figures, searched=True)
            print("\n" + _table(outcome, outcome.figures).render(form) + "\n")
        else:
            log.info("no relevance judgments are known for these topics; give --qrels for scores")
    if len(outcomes) > 1 and all(o.figures for o in outcomes):
        print(_macro(outcomes).render(form))
    say_truncated(encoder)


def _split(outcome: Outcome) -> Split:
    """Split the topics that are scored, or were searched, by whether a model saw them in training."""
    qids = outcome.figures.qids if outcome.figures else [t.qid for t in outcome.topics.topics]
    return split_topics([("", outcome.overlap)], qids)


def _table(outcome: Outcome, scores: Figures) -> Table:
    before, split = outcome.baseline, _split(outcome)
    parts = split.parts(scores)
    split_shown = len(parts) > 1
    if before is None:
        rows = [[name, len(f.qids), *(f.mean(m) for m in outcome.measures)] for name, f in parts.items()]
        if split_shown:
            return Table(["topics", "count", *map(str, outcome.measures)], rows)
        return Table(
            ["", *map(str, outcome.measures)],
            [["query only" if outcome.fusion == "none" else outcome.fusion, *rows[0][2:]]],
        )
    rows = []
    for m in outcome.measures:
        for (name, f), b in zip(parts.items(), split.parts(before).values(), strict=True):
            where = [name, len(f.qids)] if split_shown else []
            rows.append([str(m), *where, b.mean(m), f.mean(m), f.mean(m) - b.mean(m), _p(outcome, m, b, f)])
    return Table(["", *(["topics", "count"] if split_shown else []), "query only", outcome.fusion, "Δ", "p"], rows)


def _p(outcome: Outcome, measure: Measure, before: Figures, after: Figures) -> float:
    if after is outcome.figures:
        return outcome.p_values[measure]
    return paired_p(before.per_topic[measure], after.per_topic[measure])


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
    split = _split(outcome)
    before = split.parts(outcome.baseline) if outcome.baseline else {}
    parts = split.parts(outcome.figures) if outcome.figures else {}
    for part, some in parts.items():
        record: dict[str, Any] = {"topics": len(some.qids)} if part != "all" else {}
        for name, scores in (("figures", some), ("query_only", before.get(part))):
            if scores:
                record[name] = {str(m): number(scores.mean(m)) for m in outcome.measures}
        if part in before:
            record["p_values"] = {str(m): number(_p(outcome, m, before[part], some)) for m in outcome.measures}
        result |= record if part == "all" else {part: record}
    return result
