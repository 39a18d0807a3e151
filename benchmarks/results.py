"""What a benchmark found: sheets of rows, kept as JSON and shown as tables."""

from __future__ import annotations

import statistics
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from typing import Any

from expandr_repro.console.tables import Table


@dataclass
class Row:
    """One way of doing the work.

    Attributes:
        name: whose way, and which settings.
        items: how much of the work it did (a slow peer may do a part).
        seconds: one for each round; none where it could not run here.
        limit: the seconds that the machine would need at its measured best; None where none is stated.
        peak: the largest resident set of each round in MiB, for whole commands.
        figures: further columns.
        note: what the comparison of results said, or why there is no score.
        distinct: how many different texts the work is, where it is texts; equal ones are encoded once.
    """

    name: str
    items: int = 1
    seconds: list[float] = field(default_factory=list)
    limit: float | None = None
    peak: list[float] = field(default_factory=list)
    figures: dict[str, Any] = field(default_factory=dict)
    note: str = ""
    distinct: int | None = None

    def pace(self, number: int) -> float:
        """Return the seconds an item took in a round."""
        return self.seconds[number] / self.items


@dataclass
class Sheet:
    """A table's content.

    Attributes:
        name: short, for markers and file names.
        title: one line: what was done, and how much of it.
        unit: of an item, in the plural (`passages`).
        rate: show items a second; else the seconds of a whole command.
        bases: names of the rows that the others are compared with.
        limit: the words that say what the limit is (bytes or operations).
        remarks: lines that belong below the table.
    """

    name: str
    title: str
    unit: str
    rows: list[Row]
    bases: list[str] = field(default_factory=list)
    rate: bool = True
    limit: str = ""
    remarks: list[str] = field(default_factory=list)

    def table(self) -> Table:
        """Return the table: medians, ratios with their spread, the limit, what was checked."""
        timed = [r for r in self.rows if r.seconds]
        bases = [r for r in timed if r.name in self.bases and len(timed) > 1]
        further = list(dict.fromkeys(k for r in self.rows for k in r.figures))
        limited, weighed = any(r.limit for r in self.rows), any(r.peak for r in self.rows)
        noted, counted = any(r.note for r in self.rows), any(r.distinct for r in self.rows)
        header = [
            "",
            *(["distinct texts"] if counted else []),
            *([f"{self.unit}/s" if self.rate else "seconds"] if timed else []),
        ]
        header += [f"times {base.name}" for base in bases]
        header += ["limit", "of the limit"] if limited else []
        header += ["peak MiB"] if weighed else []
        header += [*further, *(["checked"] if noted else [])]
        rows = []
        for r in self.rows:
            cells: list[object] = [
                r.name,
                *([number(r.distinct)] if counted else []),
                *([_measured(r, self.rate)] if timed else []),
            ]
            cells += [ratio(r, base) for base in bases]
            cells += _limit(r, self.rate) if limited else []
            cells += [number(statistics.median(r.peak)) if r.peak else None] if weighed else []
            cells += [number(r.figures.get(k)) for k in further]
            rows.append([*cells, *([r.note or None] if noted else [])])
        return Table(header, rows)

    def faults(self) -> list[str]:
        """Return what is wrong with rows that are faster than the machine can be, or whose work holds a text twice."""
        return [
            f"{self.name}: {r.name}: only {r.distinct:,} of its {r.items:,} texts differ, and equal ones are encoded once, so its time does not count"
            for r in self.rows
            if r.distinct is not None and r.distinct < r.items
        ] + [
            f"{self.name}: {r.name}: {share:.1f} % of what the machine can do; its work or its limit is wrong, so its time does not count"
            for r in self.rows
            if r.limit and r.seconds and (share := round(100 * r.limit / statistics.median(r.seconds), 1)) > 100
        ]

    def render(self, form: str) -> str:
        """Return title, table, limit and remarks."""
        table = self.table().render(form)
        if form == "json":
            return table
        said = [f"Limit: {self.limit}"] if self.limit else []
        return "\n\n".join([self.title, table, *said, *self.remarks])


def number(value: object) -> object:
    """Return a number as it is read best: three digits or so that count, thousands set apart."""
    if not isinstance(value, (int, float)) or isinstance(value, bool) or value != value:
        return value
    if isinstance(value, int) or abs(value) >= 100:
        return f"{value:,.0f}"
    return f"{value:.1f}" if abs(value) >= 10 else f"{value:.2f}" if abs(value) >= 1 else f"{value:.3g}"


def ratio(row: Row, base: Row) -> str | None:
    """Return how many times faster a row is than another: the median over the rounds, and the smallest to the largest."""
    rounds = range(min(len(row.seconds), len(base.seconds)))
    found = sorted(base.pace(n) / row.pace(n) for n in rounds)
    if not found or row is base:
        return "1" if found else None
    spread = f" ({found[0]:.2f} to {found[-1]:.2f})" if len(found) > 1 else ""
    return f"{statistics.median(found):.2f}{spread}"


def _measured(row: Row, rate: bool) -> object:
    if not row.seconds:
        return None
    median = statistics.median(row.seconds)
    return number(row.items / median if rate else median)


def _limit(row: Row, rate: bool) -> Sequence[object]:
    if not row.limit:
        return [None, None]
    shown = number(row.items / row.limit if rate else row.limit)
    return [shown, f"{100 * row.limit / statistics.median(row.seconds):.1f} %" if row.seconds else None]


def as_json(name: str, command: str, size: str, machine: Mapping[str, Any], sheets: Sequence[Sheet]) -> dict[str, Any]:
    """Return what is kept of a run."""
    return {"benchmark": name, "command": command, "size": size, "machine": dict(machine), "sheets": [asdict(s) for s in sheets]}  # fmt: skip


def from_json(content: Mapping[str, Any]) -> list[Sheet]:
    """Return the sheets of what `as_json` kept."""
    return [Sheet(**{**s, "rows": [Row(**r) for r in s["rows"]]}) for s in content["sheets"]]
