"""The options of `compare`."""

from __future__ import annotations

from dataclasses import dataclass

from expandr_repro.console.options import Options, When, option, positive
from expandr_repro.console.tables import FORMATS
from expandr_repro.evaluate.options import METRICS, QRELS
from expandr_repro.evaluate.significance import TESTS

LARGEST = When("with --largest, which shows queries", lambda request: request.largest is not None)


@dataclass(frozen=True)
class CompareRequest(Options):
    """What is to be compared, and how."""

    runs: tuple[str, ...] = option(argument=True, metavar="RUN", help="two or more TREC run files, plain or gzipped")
    qrels: str = option(metavar="Q", help=QRELS)
    metrics: str = option(METRICS, metavar="M", help="metrics, as for `evaluate`")
    test: str = option("student", choices=TESTS, help="paired t-test, or Fisher's randomisation (default: {default}); p is also shown with Holm's correction")  # fmt: skip
    bootstrap: bool = option(False, help="add each difference's 95% confidence interval")
    all_pairs: bool = option(False, help="compare all pairs of runs, not only each with the first")
    largest: int | None = option(None, metavar="N", parse=positive, help="list the N topics of largest loss and of largest gain, with their queries")  # fmt: skip
    topics: str | None = option(None, metavar="T", help="topics with the queries, by path or name (default: the qrels' collection)", applies=LARGEST)  # fmt: skip
    prices: str | None = option(None, metavar="FILE", help="price table, YAML: lines such as `gpt-4.1-nano: {in: 0.10, out: 0.40}`, per million tokens; adds the price of the runs' expansions per 1,000 queries")  # fmt: skip
    per_topic: bool = option(False, help="print each topic's differences, largest loss first")
    plot: str | None = option(None, metavar="FILE", help="plot the per-topic differences of the first metric and, if the runs' tokens are known, score against tokens with the Pareto front (.png, .pdf, .svg)")  # fmt: skip
    format: str = option("text", choices=FORMATS)
