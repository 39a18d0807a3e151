"""`compare`: runs side by side, with significance and per-topic wins and losses."""

from __future__ import annotations

import logging
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from expandr_repro import cli
from expandr_repro.compare.options import CompareRequest
from expandr_repro.console.arguments import Parser
from expandr_repro.console.tables import Table, note, number
from expandr_repro.console.terminal import print_json
from expandr_repro.console.warned import warned
from expandr_repro.evaluate.metrics import parse_measures
from expandr_repro.io.outputs import PLOT, check_output

if TYPE_CHECKING:
    from expandr_repro.compare.comparison import Comparison
    from expandr_repro.evaluate.scoring import Figures

log = logging.getLogger("expandr_repro.compare")

EXAMPLES = """
python -m expandr_repro.compare --qrels scifact none.trec mean.trec
python -m expandr_repro.compare --qrels scifact none.trec mean.trec rrf.trec --test fisher --plot differences.png
python -m expandr_repro.compare --qrels qrels.txt a.trec b.trec --metrics nDCG@10 --per-topic --format markdown
"""


def build_parser() -> Parser:
    """Return the command's parser."""
    return cli.parser(
        "compare",
        "Compare TREC runs on the same qrels; the first run is the baseline.",
        EXAMPLES,
        CompareRequest,
    )


def run(request: CompareRequest) -> int:
    """Do what the command line says."""
    with warned() as warnings:
        return _run(request, warnings)


def _run(request: CompareRequest, warnings: list[str]) -> int:
    from expandr_repro.compare.comparison import compare, short_names
    from expandr_repro.compare.queries import as_table, largest, queries_of
    from expandr_repro.data.collections import find_qrels, relevance_level
    from expandr_repro.evaluate.depths import depth_faults
    from expandr_repro.evaluate.gaps import comparable, refuse_other_collection, warn_of_gaps
    from expandr_repro.evaluate.run_facts import facts_beside
    from expandr_repro.evaluate.scoring import evaluate_file
    from expandr_repro.evaluate.seen import split_files
    from expandr_repro.llm.costs import GAINED, cost_columns, gained, read_prices, tokens_of

    if request.plot:
        check_output("--plot", Path(request.plot), PLOT, [*request.runs, request.qrels])
    names = short_names(request.runs)
    prices = read_prices(request.prices) if request.prices else None
    facts = [facts_beside(path) for path in request.runs]
    level = relevance_level(request.qrels, *(f.get("collection") for f in facts))
    measures = parse_measures(request.metrics, level)
    qrels = find_qrels(request.qrels)
    for path, known in zip(request.runs, facts, strict=True):
        refuse_other_collection(path, known, request.qrels)
    scored = comparable([evaluate_file(path, qrels, measures) for path in request.runs], facts)
    figures = dict(zip(names, scored, strict=True))
    for path, score in zip(request.runs, scored, strict=True):
        warn_of_gaps(path, score)
    split = split_files(list(zip(names, request.runs, facts, strict=True)), scored, qrels, level)
    parts = split.of_each(figures)
    columns = cost_columns(dict(zip(names, facts, strict=True)), prices)
    spent = {name: tokens_of(known) for name, known in zip(names, facts, strict=True)}
    if columns:
        first, means = names[0], {name: figures[name].mean(measures[0]) for name in names}
        columns[f"{measures[0]} {GAINED}"] = {n: gained(means[n] - means[first], spent[n], spent[first]) for n in names}
    how = (request.test, request.all_pairs, request.bootstrap)
    compared = {part: compare(some, measures, *how) for part, some in parts.items()}
    comparisons = compared["all"]
    searched = [f.get("collection") for f in facts]
    queries = queries_of(request.topics, request.qrels, searched, scored[0].qids) if request.largest else {}
    faults = depth_faults(figures, measures)
    for fault in faults:
        log.warning("%s", fault)
    if request.plot:
        from expandr_repro.compare.plots import plot_differences

        costs_and_scores = {n: (t, figures[n].mean(measures[0])) for n, t in spent.items() if t is not None}
        known_costs = costs_and_scores if any(spent.values()) else None
        plot_differences([c for c in comparisons if c.measure == measures[0]], request.plot, known_costs)
        log.info("wrote %s", request.plot)
    if request.format == "json":
        costs_of = {name: {column: values[name] for column, values in columns.items()} for name in names}
        whole = (
            _as_json(figures, compared, queries, request)
            | ({"costs": costs_of} if columns else {})
            | {"warnings": warnings}
        )
        print_json(whole)
        return 0
    table = split.table("run", figures.items(), measures)
    costs = [[values[str(row[0])] for values in columns.values()] for row in table.rows]
    rows = [[*row, *more] for row, more in zip(table.rows, costs, strict=True)]
    print(Table([*table.header, *columns], rows).render(request.format))
    count_columns = ["topics", "count"] if split.seen else []
    limits = ["Δ 2.5%", "Δ 97.5%"] if request.bootstrap else []
    tested = [f"p ({request.test})", "p (Holm)", "better", "equal", "worse", "Δ oracle"]
    header = ["comparison", "metric", *count_columns, "Δ", *limits, *tested]
    rows = []
    for group in zip(*compared.values(), strict=True):  # the parts of a comparison one below the other
        for part, c in zip(compared, group, strict=True):
            where = [part, len(c.per_topic)] if count_columns else []
            numbers = [c.difference, *(c.interval or ()), c.p, c.p_holm, c.wins, c.ties, c.losses, c.oracle]
            rows.append([f"{c.b} - {c.a}", str(c.measure), *where, *numbers])
    print("\n" + Table(header, rows).render(request.format))
    for sentence in (
        *split.sentences,
        *(f"WARNING: {fault}" for fault in (faults if request.format == "text" else warnings)),
    ):
        print("\n" + note(sentence, request.format))
    for c in comparisons if request.largest else ():
        print("\n" + as_table(c, largest(c, figures, queries, request.largest or 0)).render(request.format))
    qids = next(iter(figures.values())).qids
    for c in comparisons if request.per_topic else ():
        order = sorted(range(len(qids)), key=lambda i: (c.per_topic[i], qids[i]))
        scores = [
            [
                qids[i],
                float(figures[c.a].per_topic[c.measure][i]),
                float(figures[c.b].per_topic[c.measure][i]),
                float(c.per_topic[i]),
            ]
            for i in order
        ]
        print("\n" + Table([f"{c.measure}", c.a, c.b, "Δ"], scores).render(request.format))
    return 0


def _as_json(
    figures: dict[str, Figures],
    compared: dict[str, list[Comparison]],
    queries: Mapping[str, str],
    request: CompareRequest,
) -> dict[str, Any]:
    from expandr_repro.compare.queries import largest

    measures = list(next(iter(figures.values())).per_topic)
    qids = next(iter(figures.values())).qids
    listed = []
    for group in zip(*compared.values(), strict=True):
        c = group[0]
        entry: dict[str, Any] = {"a": c.a, "b": c.b, "metric": str(c.measure), **_numbers(c)}
        for part, some in zip(list(compared)[1:], group[1:], strict=True):
            entry[part] = {"topics": len(some.per_topic), **_numbers(some)}
        if request.per_topic:
            entry["per_topic"] = dict(zip(qids, c.per_topic.tolist(), strict=True))
        if request.largest:
            entry["largest"] = largest(c, figures, queries, request.largest)
        listed.append(entry)
    return {
        "test": request.test,
        "runs": {n: {str(m): f.mean(m) for m in measures} for n, f in figures.items()},
        "comparisons": listed,
    }


def _numbers(c: Comparison) -> dict[str, Any]:
    numbers = {"difference": number(c.difference), "p": number(c.p), "p_holm": number(c.p_holm)}
    interval = {"interval": [number(limit) for limit in c.interval]} if c.interval else {}
    return numbers | interval | {"better": c.wins, "equal": c.ties, "worse": c.losses, "oracle": number(c.oracle)}


main = cli.command(build_parser, run)

if __name__ == "__main__":
    sys.exit(main())
