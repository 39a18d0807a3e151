"""`compare`: runs side by side, with significance and per-topic wins and losses."""

from __future__ import annotations

import argparse
import json
import logging
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from expandr_repro import cli
from expandr_repro.core.measures import DEFAULT, parse_measures
from expandr_repro.core.outputs import PLOT, check_output
from expandr_repro.core.stats import TESTS
from expandr_repro.core.tables import FORMATS, Table
from expandr_repro.core.terminal import printable

if TYPE_CHECKING:
    from expandr_repro.adapters.ranx import Figures
    from expandr_repro.pipeline.comparing import Comparison

log = logging.getLogger("expandr_repro.compare")

EXAMPLES = """
python -m expandr_repro.compare --qrels scifact none.trec mean.trec
python -m expandr_repro.compare --qrels scifact none.trec mean.trec rrf.trec --test fisher --plot differences.png
python -m expandr_repro.compare --qrels qrels.txt a.trec b.trec --metrics nDCG@10 --per-topic --format markdown
"""


def build_parser() -> argparse.ArgumentParser:
    """Return the command's parser."""
    made = cli.parser(
        "compare", "Compare TREC runs on the same judgements: the first is what the others are compared with.", EXAMPLES
    )
    made.add_argument("runs", nargs="+", metavar="RUN", help="two or more TREC run files, plain or gzipped")
    made.add_argument(
        "--qrels", required=True, metavar="Q", help="judgements: a file, a collection, irds:... or a Pyserini name"
    )
    made.add_argument("--metrics", default=",".join(DEFAULT), metavar="M", help="(default: %(default)s)")
    made.add_argument(
        "--test",
        choices=TESTS,
        default="student",
        help="paired t, or Fisher's randomisation (default: %(default)s); p is shown with Holm's correction too",
    )
    made.add_argument("--all-pairs", action="store_true", help="compare all with all, not only with the first")
    made.add_argument("--per-topic", action="store_true", help="the differences of each topic, largest loss first")
    made.add_argument(
        "--plot", metavar="FILE", help="draw the per-topic differences of the first metric (.png, .pdf, .svg)"
    )
    made.add_argument("--format", choices=FORMATS, default="text", help="(default: %(default)s)")
    return made


def run(args: argparse.Namespace) -> int:
    """Do what the command line says."""
    from expandr_repro.adapters.ranx import evaluate_file
    from expandr_repro.pipeline.collections import find_qrels
    from expandr_repro.pipeline.comparing import compare, short_names
    from expandr_repro.pipeline.gaps import warn_of_gaps

    measures = parse_measures(args.metrics)
    if args.plot:
        check_output("--plot", Path(args.plot), PLOT, [*args.runs, args.qrels])
    qrels = find_qrels(args.qrels)
    figures = {}
    for name, path in zip(short_names(args.runs), args.runs, strict=True):
        figures[name] = evaluate_file(path, qrels, measures)
        warn_of_gaps(path, figures[name])
    comparisons = compare(figures, measures, args.test, args.all_pairs)
    if args.plot:
        from expandr_repro.pipeline.plots import plot_differences

        plot_differences([c for c in comparisons if c.measure == measures[0]], args.plot)
        log.info("wrote %s", args.plot)
    if args.format == "json":
        print(printable(json.dumps(_as_json(figures, comparisons, args), indent=2, ensure_ascii=False)))
        return 0
    print(
        Table(["run", *map(str, measures)], [[n, *(f.mean(m) for m in measures)] for n, f in figures.items()]).render(
            args.format
        )
    )
    header = ["comparison", "metric", "Δ", f"p ({args.test})", "p (Holm)", "better", "equal", "worse"]
    rows: list[list[Any]] = [
        [f"{c.b} - {c.a}", str(c.measure), c.difference, c.p, c.p_holm, c.wins, c.ties, c.losses] for c in comparisons
    ]
    print("\n" + Table(header, rows).render(args.format))
    qids = next(iter(figures.values())).qids
    for c in comparisons if args.per_topic else ():
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
        print("\n" + Table([f"{c.measure}", c.a, c.b, "Δ"], scores).render(args.format))
    return 0


def _as_json(
    figures: dict[str, Figures], comparisons: Sequence[Comparison], args: argparse.Namespace
) -> dict[str, Any]:
    measures = list(next(iter(figures.values())).per_topic)
    qids = next(iter(figures.values())).qids
    listed = []
    for c in comparisons:
        entry: dict[str, Any] = {
            "a": c.a,
            "b": c.b,
            "metric": str(c.measure),
            "difference": c.difference,
            "p": _number(c.p),
            "p_holm": _number(c.p_holm),
        }
        entry |= {"better": c.wins, "equal": c.ties, "worse": c.losses}
        if args.per_topic:
            entry["per_topic"] = dict(zip(qids, c.per_topic.tolist(), strict=True))
        listed.append(entry)
    return {
        "test": args.test,
        "runs": {n: {str(m): f.mean(m) for m in measures} for n, f in figures.items()},
        "comparisons": listed,
    }


def _number(value: float) -> float | None:
    """Return a number JSON knows: NaN is none."""
    return value if value == value else None


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command."""
    return cli.execute(build_parser(), run, argv)


if __name__ == "__main__":
    sys.exit(main())
