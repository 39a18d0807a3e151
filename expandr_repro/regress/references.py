"""Reference runs: the top 100 of a recorded run, kept in git, so that others can compare theirs, and a pin cannot change unnoticed.

The scores of a stored run are the same on every machine, so here nothing is tolerated: a changed digit of a pin, or a changed line
of the run, is found even where it is smaller than the tolerance for a fresh run. The score of a kept document is 101 less its rank: order
is all that scores rest on, and real scores would double the size and differ in their last digits from machine to machine.
"""

from __future__ import annotations

from collections.abc import Mapping
from itertools import islice
from pathlib import Path
from typing import Any

from expandr_repro.console.redact import without_secrets
from expandr_repro.data.collections import find_qrels, relevance_level
from expandr_repro.data.trec import Run, read_run, trec_order, write_run
from expandr_repro.errors import ExpandrError
from expandr_repro.evaluate.metrics import parse_measure
from expandr_repro.io.files import read_text, sha256_text
from expandr_repro.io.manifest import read_manifest, write_manifest
from expandr_repro.regress.conditions.shapes import Condition, Regression
from expandr_repro.regress.verdicts import DIGITS

DEPTH = 100


def run_path(folder: Path, name: str) -> Path:
    """Return where a condition's reference run is."""
    return folder / f"{name}.trec.gz"


def facts_path(folder: Path, name: str) -> Path:
    """Return where it says what made it."""
    return folder / f"{name}.json"


def figures(run: Mapping[str, Mapping[str, float]], regression: Regression, label: str) -> dict[str, float]:
    """Return the pinned metrics that the first `DEPTH` documents decide, measured on a run."""
    level = relevance_level(regression.qrels.name)
    measures = [m for m in (parse_measure(name, level) for name in regression.metrics) if m.depth and m.depth <= DEPTH]
    if not measures:
        return {}
    qrels = find_qrels(regression.qrels.name)
    from expandr_repro.evaluate.scoring import evaluate

    scores = evaluate(run, qrels, measures, label)
    return {str(m): scores.mean(m) for m in measures}


def write_reference(folder: Path, condition: Condition, regression: Regression, run: Path) -> str:
    """Keep the top of a run; return the hash of its content."""
    top: Run = {
        qid: {docid: float(DEPTH - rank) for rank, docid in enumerate(islice(ranked, DEPTH))}
        for qid, ranked in trec_order(read_run(run)).items()
    }
    path = run_path(folder, condition.name)
    write_run(path, top)
    digest = sha256_text(read_text(path))
    facts: dict[str, Any] = {
        "condition": condition.name,
        "title": regression.title,
        "commands": {stage: without_secrets(command) for stage, command in regression.stages.listed()},
        "depth": DEPTH,
        "topics": len(top),
        "lines": sum(map(len, top.values())),
        "sha256": digest,
        "figures": figures(read_run(path), regression, str(path)),
    }
    write_manifest(facts_path(folder, condition.name), "reference run", facts)
    return digest


def faults(folder: Path, regression: Regression, name: str) -> list[str]:
    """Return what is wrong between a pin and its reference run, one line each; nothing where none was recorded."""
    if regression.recorded is None or regression.recorded.run_sha256 is None:
        return []
    path = run_path(folder, name)
    try:
        run, content = read_run(path), read_text(path)
        measured = figures(run, regression, str(path))
        kept = (read_manifest(facts_path(folder, name)) or {}).get("figures", {})
    except ExpandrError as error:
        return [f"reference run: {error}"]
    differences = [
        f"{metric}: pinned {pin.value:.4f}, but the reference run {path} gives {measured[metric]:.4f} "
        f"({measured[metric] - pin.value:+.4f}, nothing tolerated)"
        for metric, pin in regression.metrics.items()
        if pin.value is not None and metric in measured and round(measured[metric], DIGITS) != pin.value
    ]
    digest = sha256_text(content)
    if digest != regression.recorded.run_sha256:
        moved = [f"{m} was {kept[m]!r} and is {v!r}" for m, v in measured.items() if m in kept and kept[m] != v]
        still = [f"{m} still is {v:.4f}" for m, v in measured.items()]
        differences.append(
            f"the reference run {path} was changed (sha256 {regression.recorded.run_sha256[:16]} recorded, {digest[:16]} found): "
            + ", ".join(moved or still)
        )
    return differences
