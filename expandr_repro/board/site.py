"""Write the board as a folder: an index, a page for each condition, and the kept runs."""

from __future__ import annotations

import html
import logging
import shutil
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from expandr_repro.board.cells import REPRODUCED, Cell, cells_of, published
from expandr_repro.board.narrowing import narrowed
from expandr_repro.board.querygym import refuse_missing, results_of, warn_by_reason, write_results
from expandr_repro.console.redact import without_secrets
from expandr_repro.data.collections import relevance_level
from expandr_repro.errors import CheckFailedError
from expandr_repro.evaluate.metrics import Measure, parse_measures
from expandr_repro.io.files import atomic_folder, sha256_file
from expandr_repro.io.manifest import NAME, write_manifest
from expandr_repro.io.outputs import FolderKind, files_of
from expandr_repro.regress.conditions.shapes import Condition, Published, Regression
from expandr_repro.regress.needs import CHECKS
from expandr_repro.regress.page import Pair, readable
from expandr_repro.regress.plans import script
from expandr_repro.regress.references import faults, run_path
from expandr_repro.report.conditions import by_retriever, study_of
from expandr_repro.report.gathering import Sheet, gather
from expandr_repro.report.writing import filled, page

log = logging.getLogger(__name__)

BOARD = FolderKind("a board that `regress` wrote", ("board",), None)

METRICS, DEPTH, WORDS = "nDCG@10,R@100", 10, 120
"""What is compared with the baseline, documents shown of a ranking, and words kept of a document."""

COLUMNS, DASH = ("metric", "reproduced", "published", "difference", "source"), "\u2013"

BOARD_SCRIPTS, PLAIN_SCRIPTS = ("base.js", "theme.js", "costs.js", "board.js"), ("base.js", "theme.js", "plain.js")

TITLE = "Published and reproduced scores"

BRAND = '<a href="{up}index.html">expandr_repro <span class="muted">board</span></a>'


def write_board(folder: Path, conditions: Sequence[Condition], reference: Path, exports: bool = False) -> list[Cell]:
    """Write the board of conditions; return its cells.

    Args:
        folder: where; a board that is there is replaced.
        conditions: which.
        reference: the folder of kept runs.
        exports: whether the runs are written in QueryGym's schema too, into `querygym/`.

    Raises:
        FormatError: a regression file cannot be read.
        CheckFailedError: a kept run does not give what is pinned.
        SetupError: the place cannot be written, or something else is there.
    """
    refuse_missing(reference)
    pairs = readable(conditions)
    by_name = {c.name: c for c in conditions}
    kept = [name for name, _ in pairs if run_path(reference, name).is_file()]
    cells = cells_of(pairs, kept, published())
    sheets: dict[str, tuple[Sheet, int]] = {}
    for retriever, members in by_retriever(_here([p for p in pairs if p[0] in kept])):
        sheets |= _compared(retriever, members, reference)
    for cell in cells:
        if cell.name in sheets:
            cell.facts = _facts(*sheets[cell.name])
    with atomic_folder(folder, kind=BOARD) as temporary:
        (temporary / "cells").mkdir()
        (temporary / "runs").mkdir()
        if exports:
            write_results(temporary / "querygym", results_of(pairs, reference))
        for cell in cells:
            if cell.name:
                _write_cell(temporary, cell, by_name[cell.name], reference, sheets.get(cell.name))
        data = {"data": {"cells": [cell.record() for cell in cells], "metrics": _metrics(cells)}}
        (temporary / "index.html").write_text(filled("board.html", BOARD_SCRIPTS, TITLE, data, brand=BRAND.format(up="")), encoding="utf-8")  # fmt: skip
        write_manifest(temporary / NAME, "board", {"conditions": [c.name for c in conditions], "files": files_of(temporary)})  # fmt: skip
    return cells


def _compared(retriever: str, members: Sequence[Pair], reference: Path) -> dict[str, tuple[Sheet, int]]:
    """Return the report of the kept runs of a collection and retriever, and the place of each in it; nothing where there is no baseline.

    Raises:
        CheckFailedError: a kept run does not give what is pinned.
    """
    for name, regression in members:
        if wrong := faults(reference, regression, name):
            raise CheckFailedError(f"{name}: {'; '.join(wrong)}")
    if len(members) < 2 or all(r.expansions is not None for _, r in members):
        return {}
    study = study_of(members, reference, retriever)
    sheet = gather([study], _measures(members[0][1]), DEPTH, WORDS)
    return {entry.name: (sheet, position) for position, entry in enumerate(study.entries)}


def _here(pairs: Sequence[Pair]) -> list[Pair]:
    """Return the conditions whose collection and expansions are on this machine; the others are shown by their pins alone, and warned of."""
    here = []
    reasons: dict[str, list[str]] = {}
    for name, regression in pairs:
        if lacking := CHECKS["data"](regression) if "data" in regression.needs else "":
            reasons.setdefault(lacking, []).append(name)
        else:
            here.append((name, regression))
    warn_by_reason(reasons, "shown by pinned scores alone, without topics")
    return here


def _measures(regression: Regression) -> list[Measure]:
    return parse_measures(METRICS, relevance_level(regression.qrels.name, regression.topics.name))


def _facts(sheet: Sheet, position: int) -> dict[str, Any]:
    """Return what the board shows of a kept run."""
    study, collection = sheet.data["studies"][0], sheet.data["collections"][0]
    run = study["runs"][position]
    measures = [m["name"] for m in sheet.data["measures"]]
    against = dict(zip(measures, run["against"], strict=True)) if run["against"] else {}
    parts = {
        part: {"means": dict(zip(measures, scores["means"], strict=True)), "against": dict(zip(measures, scores["against"], strict=True)) if scores["against"] else {}}
        for part, scores in run["parts"].items()
    }  # fmt: skip
    recorded = any(sentence.startswith(f"{run['name']}: ") for sentence in collection["overlap"])
    texts = collection["sets"][run["set"]] if run["set"] is not None else None
    return {
        "baseline": position == 0,
        "topics": len(collection["qids"]),
        "against": against,
        "parts": parts,
        "seen": sum(collection["seen"]) if collection["seen"] else 0 if recorded else None,
        "contamination": {"shared": texts["shared"], "topics": texts["topics"]} if texts else None,
        "tokens": run["tokens"],
        "words": run["words"],
    }


def _metrics(cells: Sequence[Cell]) -> list[str]:
    """Return the metrics of all cells: those that are compared first, then those that most cells have."""
    counts: dict[str, int] = {}
    for cell in cells:
        for metric in {*cell.values, *(c.metric for c in cell.published)}:
            counts[metric] = counts.get(metric, 0) + 1
    first = METRICS.split(",")
    return sorted(counts, key=lambda m: (m not in first, first.index(m) if m in first else -counts[m], m))


def _write_cell(
    folder: Path, cell: Cell, condition: Condition, reference: Path, compared: tuple[Sheet, int] | None
) -> None:
    run = run_path(reference, cell.name)
    if cell.status == REPRODUCED:
        shutil.copyfile(run, folder / "runs" / run.name)
    title = " \u00b7 ".join(part for part in (cell.collection, cell.retriever, cell.method, cell.llm) if part)
    above = _above(cell, condition, run if cell.status == REPRODUCED else None, compared is not None)
    brand = BRAND.format(up="../")
    if compared:
        content = page(narrowed(*compared), title, brand, above)
    else:
        content = filled("plain.html", PLAIN_SCRIPTS, title, {"data": {}}, brand=brand, above=above)  # fmt: skip
    (folder / "cells" / f"{cell.name}.html").write_text(content, encoding="utf-8")


def _claims(cell: Cell, metric: str) -> Sequence[Published | None]:
    """Return what others claim of a metric; one None where nobody claims anything."""
    return [claim for claim in cell.published if claim.metric == metric] or [None]


def _row(metric: str, value: float | None, claim: Published | None) -> str:
    """Return a row of a cell's scores, as HTML."""
    texts = [
        metric,
        DASH if value is None else f"{value:.4f}",
        DASH if claim is None else f"{claim.value:.4f}",
        DASH if claim is None or value is None else f"{value - claim.value:+.4f}".replace("-", "\u2212"),
        DASH if claim is None else f"{claim.source}{f' ({claim.note})' if claim.note else ''}",
    ]
    cells = (f'<td data-label="{label}"{" class=none" if text == DASH else ""}>{html.escape(text)}</td>' for label, text in zip(COLUMNS, texts, strict=True))  # fmt: skip
    return f"<tr>{''.join(cells)}</tr>"


def _above(cell: Cell, condition: Condition, run: Path | None, compared: bool) -> str:
    """Return the part of a cell's page about the condition itself, as HTML."""
    regression = condition.readable
    commands = "\n".join(without_secrets(line) for line in script(condition, regression, Path("runs")))
    metrics = dict.fromkeys([*cell.values, *(c.metric for c in cell.published)])
    rows = [_row(metric, cell.values.get(metric), claim) for metric in metrics for claim in _claims(cell, metric)]
    columns = "".join(f'<th scope="col">{label}</th>' for label in COLUMNS)
    table = f'<table class="scores claims" id="claims"><thead><tr>{columns}</tr></thead><tbody>{"".join(rows)}</tbody></table>' if rows else "<p>No score is pinned, and none is published.</p>"  # fmt: skip
    kept = (
        f'<p>The run: <a href="../runs/{html.escape(run.name)}">{html.escape(run.name)}</a>, the first 100 documents of each topic (SHA-256 {sha256_file(run)[:16]}).</p>'
        if run
        else "<p>No run is kept: it was not searched here.</p>"
    )
    recorded = regression.recorded
    where = (
        f"Recorded {recorded.date} with Python {recorded.python}, {recorded.platform}, {', '.join(f'{k} {v}' for k, v in recorded.versions.items())}."
        if recorded
        else ""
    )
    missing = "" if compared or run is None else "<p>Its topics are not shown: there is nothing to compare it with, or the collection was not there when the board was made.</p>"  # fmt: skip
    note = f"<p>{html.escape(regression.note)}</p>" if regression.note else ""
    return f"""  <section aria-labelledby="h-cell" class="cell">
    <h2 id="h-cell">{html.escape(regression.title)} <span class="status">{html.escape(cell.status)}</span></h2>
    <p><a href="../index.html">\u2190 All conditions</a> \u00b7 <code>{html.escape(cell.name)}</code></p>
    {table}
    {note}{kept}{missing}
    <details open><summary>Commands</summary><pre>{html.escape(commands)}</pre><p class="note">{html.escape(where)}</p></details>
  </section>
"""
