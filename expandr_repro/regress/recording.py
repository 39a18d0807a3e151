"""Record measured values and the environment in a condition's YAML file, and its reference run."""

from __future__ import annotations

import datetime
import platform
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path

from expandr_repro.errors import CheckFailedError
from expandr_repro.io.files import atomic_text
from expandr_repro.regress import references
from expandr_repro.regress.conditions.shapes import Condition, Pin, Recorded, Regression
from expandr_repro.regress.conditions.writing import render
from expandr_repro.regress.inputs import SHOWN, Counted
from expandr_repro.regress.reuse import versions
from expandr_repro.regress.verdicts import DIGITS


def record(
    condition: Condition,
    regression: Regression,
    counted: Counted,
    measured: Mapping[str, float],
    runs: Sequence[Path],
    folder: Path,
) -> dict[str, Pin]:
    """Write what was measured and the hashes that are missing into a condition's file, and for `ci` and `full` its reference run.

    Counts and hashes that are there already are those that were counted: whoever calls this has refused others.

    Returns:
        The pins as they are now.

    Raises:
        CheckFailedError: a metric of the file was not measured; nothing is written.
    """
    lost = [metric for metric in regression.metrics if metric not in measured]
    if lost:
        raise CheckFailedError(f"{lost[0]}: stage evaluate prints no such score; nothing is recorded")
    pins = {m: replace(pin, value=round(measured[m], DIGITS)) for m, pin in regression.metrics.items()}
    updated = replace(
        regression,
        collection=replace(
            regression.collection, sha256=regression.collection.sha256 or counted.corpus_sha256[:SHOWN] or None
        ),
        topics=replace(regression.topics, sha256=regression.topics.sha256 or counted.topics_sha256[:SHOWN]),
        qrels=replace(regression.qrels, sha256=regression.qrels.sha256 or counted.qrels_sha256[:SHOWN] or None),
        metrics=pins,
    )
    if updated.expansions and not updated.stages.expand:
        updated = replace(
            updated,
            expansions=replace(
                updated.expansions,
                count=counted.expanded,
                sha256=updated.expansions.sha256 or counted.expansions_sha256[:SHOWN],
            ),
        )
    kept = regression.tier != "manual" and len(runs) == 1
    digest = references.write_reference(folder, condition, updated, runs[0]) if kept else None
    updated = replace(updated, recorded=environment(digest))
    with atomic_text(condition.path) as file:
        file.write(render(updated))
    return pins


def environment(run_sha256: str | None) -> Recorded:
    """Return the day and the machine."""
    return Recorded(
        date=datetime.datetime.now(tz=datetime.UTC).date().isoformat(),
        python=platform.python_version(),
        platform=f"{platform.system()} {platform.machine()}",
        versions=versions(),
        run_sha256=run_sha256,
    )
