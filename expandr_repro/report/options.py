"""The options of `report`, and when they apply."""

from __future__ import annotations

from dataclasses import dataclass
from functools import partial
from pathlib import Path

from expandr_repro.console.options import Options, When, option, positive
from expandr_repro.evaluate.options import METRICS, QRELS

STORED = When("with --tier or --regressions", lambda request: request.stored)
# with both or neither of run files and regressions, that is what is wrong
FILES = When("", lambda request: request.stored == bool(request.runs) or not request.stored, lambda _: ": regressions name their own; leave it out, or give run files")  # fmt: skip

files, stored, how = (
    partial(option, group=title)
    for title in ("what: run files ...", "... or the reference runs of regressions", "how")
)  # fmt: skip


@dataclass(frozen=True)
class ReportRequest(Options):
    """What the page shows, and how."""

    runs: tuple[str, ...] = files((), argument=True, metavar="RUN", help="two or more TREC run files, plain or gzipped")
    qrels: str | None = files(None, metavar="Q", help=QRELS, applies=FILES)
    topics: str | None = files(None, metavar="T", help="topics by name or path (default: those of the qrels' collection)", applies=FILES)  # fmt: skip
    expansions: tuple[str, ...] = files((), metavar="X", applies=FILES, help="a packaged set or an augmented topics file: one for all runs but the baseline, or one for each of them in order, "
                                        "`none` for a run without expansions (default: those named in the runs' manifests, else the topics' own)")  # fmt: skip
    corpus: str | None = files(None, metavar="C", help="corpus by name or path (default: that of the topics' collection)", applies=FILES)  # fmt: skip
    tier: str | None = stored(None, choices=("ci", "full"), help="all conditions of a tier")
    regressions: tuple[str, ...] = stored((), metavar="NAME", help="conditions, patterns (scifact.*), or YAML files")
    regressions_folder: str = stored("regressions", metavar="FOLDER", help="folder of the YAML files", applies=STORED)
    reference: str = stored("runs/reference", metavar="FOLDER", help="folder of the reference runs", applies=STORED)
    baseline: str | None = how(None, metavar="RUN", help="run with which the others are compared (default: the first run; for regressions, per retriever the one without expansions)")  # fmt: skip
    metrics: str = how(METRICS, metavar="M", help="metrics, of which the first is plotted")
    title: str | None = how(None, metavar="S", help="title of the page (default: made from the collections' names)")
    depth: int = how(10, metavar="K", parse=positive, help="documents shown per ranking")
    words: int = how(200, metavar="N", parse=positive, help="words shown per document")
    output: Path = option(Path(), required=True, metavar="FILE", help="page to write")

    @property
    def stored(self) -> bool:
        """Whether the reference runs of regressions are asked for."""
        return bool(self.tier or self.regressions)
