"""Describe a condition without running it: `--show`, `--dry-run` and `--list`."""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path

from expandr_repro.console.tables import Table
from expandr_repro.data.specs import members_of
from expandr_repro.regress.conditions.shapes import ENVIRONMENT, Condition, Regression
from expandr_repro.regress.needs import missing
from expandr_repro.regress.stages import Places, argv_of, typed


def show(condition: Condition, output: Path) -> str:
    """Return a condition for a reader: what it is, what must come out, and the commands, ready for a shell."""
    regression = condition.regression
    if regression is None:
        return condition.fault
    parts = [f"{condition.name}: {regression.title}", f"tier {regression.tier}, {_counts(regression)}"]
    if regression.needs:
        parts[-1] += f"; needs {', '.join(regression.needs)}"
    for m, p in regression.metrics.items():
        wanted = "whatever is measured: not pinned yet" if p.value is None else f"{p.value:.4f}"
        parts.append(f"must give {m} {wanted} (tolerance {p.tolerance:g})")
    parts += [f"published: {p.metric} {p.value:.4f}, {p.source}{f' ({p.note})' if p.note else ''}" for p in regression.published]  # fmt: skip
    if regression.recorded:
        r = regression.recorded
        parts.append(f"recorded {r.date}, Python {r.python}, {r.platform}, {', '.join(f'{k} {v}' for k, v in r.versions.items())}")  # fmt: skip
    if regression.note:
        parts.append(f"note: {regression.note}")
    return "\n".join([*parts, "", *script(condition, regression, output)])


def _counts(regression: Regression) -> str:
    return (
        f"{regression.collection.documents:,} documents, {regression.topics.count:,} topics, "
        f"{regression.qrels.judgements:,} judgements"
    )


def script(condition: Condition, regression: Regression, output: Path) -> list[str]:
    """Return the lines of a condition's commands, ready for a shell."""
    members = members_of(regression.collection.name)
    places = Places.of(condition, regression, output, "$member" if members else "")
    used = {n: v for n, v in places.variables.items() if any(f"${n}" in c for _, c in regression.stages.listed())}
    lines = [f"{name}={value}" for name, value in used.items() if name != "member"]
    commands = [command for _, command in regression.stages.listed()]
    if members:
        return [f"for member in {' '.join(members)}; do", *(f"  {part}" for part in lines + commands), "done"]
    return lines + commands


def plan(condition: Condition, output: Path) -> str:
    """Return what a check would run on this machine, every variable filled in; a variable that is not set stays as it is."""
    regression = condition.regression
    if regression is None:
        return f"FAIL  {condition.name}\n    {condition.fault}"
    lacking = missing(regression)
    lines = [f"{'SKIP' if lacking else 'RUN '}  {condition.name}", *(f"    {reason}" for reason in lacking)]
    unset = {name: f"${name}" for name in ENVIRONMENT if not os.environ.get(name)}
    for member in members_of(regression.collection.name) or [""]:
        variables = Places.of(condition, regression, output, member).variables | unset
        lines += [f"    {typed(argv_of(command, variables))}" for _, command in regression.stages.listed()]
    if not regression.metrics:
        lines.append("    nothing is pinned")
    return "\n".join(lines)


def listing(conditions: Sequence[Condition]) -> str:
    """Return a table of conditions: tier, needs, what is pinned."""
    rows = []
    for c in conditions:
        r = c.regression
        if r is None:
            rows.append([c.name, "-", "-", c.fault])
            continue
        pins = ", ".join(f"{m} {'?' if p.value is None else format(p.value, '.4f')}" for m, p in r.metrics.items())
        rows.append([c.name, r.tier, ",".join(r.needs) or "-", pins or "not pinned"])
    return Table(["condition", "tier", "needs", "pinned"], rows).render("text")
