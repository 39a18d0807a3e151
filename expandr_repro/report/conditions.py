"""Make studies of regression files and their reference runs: one for each collection and retriever."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from expandr_repro.errors import ExpandrError, NotAvailableError, UnknownNameError
from expandr_repro.regress.conditions.shapes import Condition, Regression
from expandr_repro.regress.page import RETRIEVERS, Pair
from expandr_repro.regress.references import run_path
from expandr_repro.regress.stages import substituted
from expandr_repro.report.studies import Entry, Study
from expandr_repro.search.outputs import OWN


def studies_of(conditions: Sequence[Condition], reference: Path, baseline: str | None = None) -> list[Study]:
    """Return a study for each collection and retriever, the condition without expansions being the baseline.

    Args:
        conditions: what to show.
        reference: the folder of reference runs.
        baseline: a condition that all others are compared with, whatever searched; one study then.

    Raises:
        FormatError: a file cannot be read.
        NotAvailableError: a condition has no reference run.
        ExpandrError: a condition has nothing to be compared with, or the baseline is of another collection.
        UnknownNameError: the baseline is none of the conditions.
    """
    readable = [(c.name, c.readable) for c in conditions]
    if baseline is not None:
        return [_against(readable, reference, baseline)]
    return [study_of(members, reference, retriever) for retriever, members in by_retriever(readable)]


def by_retriever(pairs: Sequence[Pair]) -> list[tuple[str, list[Pair]]]:
    """Return the conditions of each collection and retriever, with what to call the retriever."""
    groups: dict[tuple[str, str, str], list[Pair]] = {}
    for name, regression in pairs:
        key = (regression.topics.name, regression.qrels.name, name.split(".")[1])
        groups.setdefault(key, []).append((name, regression))
    return [(RETRIEVERS.get(key[2], key[2]), members) for key, members in groups.items()]


def _against(readable: Sequence[Pair], reference: Path, baseline: str) -> Study:
    regressions = dict(readable)
    if baseline not in regressions:
        raise UnknownNameError("baseline", baseline, regressions, "It must be one of the conditions.")
    first = regressions[baseline]
    for name, regression in readable:
        if (regression.topics.name, regression.qrels.name) != (first.topics.name, first.qrels.name):
            raise ExpandrError(
                f"--baseline {baseline}: is of {first.topics.name}, and {name} of {regression.topics.name}; runs are compared on the "
                "same topics. Name conditions of one collection, or leave --baseline out"
            )
    return study_of([(baseline, first), *(p for p in readable if p[0] != baseline)], reference, "", sort=False)


def study_of(members: Sequence[Pair], reference: Path, retriever: str, sort: bool = True) -> Study:
    """Return the study of conditions of one collection; sorted, the first without expansions is the baseline.

    Raises:
        NotAvailableError: a condition has no reference run.
        ExpandrError: there is only one condition.
    """
    if len(members) < 2:
        raise ExpandrError(
            f"{members[0][0]}: has nothing to be compared with; name another condition of its collection and retriever, or give --baseline"
        )
    ordered = sorted(members, key=lambda p: (p[1].expansions is not None, p[0])) if sort else members
    first = ordered[0][1]
    entries = tuple(_entry(name, regression, reference) for name, regression in ordered)
    return Study(retriever, first.qrels.name, first.topics.name, first.collection.name, entries)


def _entry(name: str, regression: Regression, reference: Path) -> Entry:
    path = run_path(reference, name)
    if not path.is_file():
        raise NotAvailableError(
            f"{path}: no such reference run; `expandr regress {name} --record` makes it, --reference says where it is"
        )
    pinned = regression.expansions
    if (
        pinned is None or regression.stages.expand is not None
    ):  # what a stage generates is not kept with the reference run
        return Entry(name, path, regression.title)
    source = OWN if pinned.source is None else substituted(pinned.source, {})
    return Entry(name, path, regression.title, source, pinned.title)
