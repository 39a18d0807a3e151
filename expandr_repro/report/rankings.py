"""Choose the documents that a page shows for a topic, with their ranks in each run."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from expandr_repro.data.trec import Qrels, trec_order
from expandr_repro.evaluate.metrics import Measure
from expandr_repro.evaluate.scoring import Figures, evaluate_file
from expandr_repro.report.studies import Entry

LOOKED = 1000
"""Ranks in which a document is looked for; one further down counts as not found."""


@dataclass(frozen=True)
class Ranked:
    """A run: its scores, and for each topic its first `LOOKED` docids, best first."""

    figures: Figures
    order: Mapping[str, Sequence[str]]


@dataclass(frozen=True)
class Shown:
    """The documents shown for a topic.

    Attributes:
        docids: those among the first of any run, then relevant ones that no run has there.
        grades: of each; None where it was not judged.
        ranks: for each run, of each; 0 where the run does not have it.
    """

    docids: list[str]
    grades: list[int | None]
    ranks: list[list[int]]


def rank(entry: Entry, qrels: Qrels, measures: Sequence[Measure], docids: dict[str, str]) -> Ranked:
    """Read and evaluate a run, and keep its order.

    Args:
        entry: the run.
        qrels: the relevance judgments.
        measures: what to compute.
        docids: each docid to itself, shared by all runs so that memory holds it once; added to.

    Raises:
        FormatError: the file is not a run.
        MismatchError: none of its topics is judged.
    """
    order: dict[str, list[str]] = {}

    def keep(part: Mapping[str, Mapping[str, float]]) -> None:
        for qid, ranked in trec_order({q: r for q, r in part.items() if q in qrels}).items():
            order[qid] = [docids.setdefault(d, d) for d, _ in zip(ranked, range(LOOKED), strict=False)]

    scores = evaluate_file(entry.path, qrels, measures, keep)
    return Ranked(scores, order)


def shown(qid: str, runs: Sequence[Ranked], judged: Mapping[str, int], depth: int, relevant_from: int) -> Shown:
    """Choose a topic's documents: the first `depth` of each run, and at most `depth` further relevant ones, best grade first."""
    places = [{docid: rank for rank, docid in enumerate(run.order.get(qid, ()), start=1)} for run in runs]
    chosen = dict.fromkeys(docid for run in runs for docid in run.order.get(qid, ())[:depth])
    further = [docid for docid, grade in judged.items() if grade >= relevant_from and docid not in chosen]

    def by_worth(docid: str) -> tuple[int, int, str]:
        return -judged[docid], min(ranks.get(docid, LOOKED + 1) for ranks in places), docid

    docids = [*chosen, *sorted(further, key=by_worth)[:depth]]
    return Shown(docids, [judged.get(d) for d in docids], [[rank.get(d, 0) for d in docids] for rank in places])
