"""One table, printed as text, Markdown, LaTeX or JSON."""

from __future__ import annotations

import json
import re
from collections.abc import Sequence
from dataclasses import dataclass

from expandr_repro.console.terminal import one_line, print_json, printable

FORMATS = ("text", "json", "markdown", "latex")


@dataclass(frozen=True)
class Table:
    """A header and rows of cells; the first column, and one of texts called "query", are left aligned, the others right.

    A float is printed with four decimals (`+0.0123` in a column whose name starts with Δ, `1.23e-05` in one that starts with p), None and NaN
    as a dash (null in JSON, which has no NaN).
    """

    header: Sequence[str]
    rows: Sequence[Sequence[object]]

    @property
    def _left(self) -> list[bool]:
        return [i == 0 or name == "query" for i, name in enumerate(self.header)]

    def render(self, form: str) -> str:
        """Return the table in one of `FORMATS`, without a final line end."""
        if form == "json":
            text = json.dumps(
                [
                    {name: None if value != value else value for name, value in zip(self.header, row, strict=True)}
                    for row in self.rows
                ],
                indent=2,
                ensure_ascii=False,
            )
            return printable(text)
        head = [one_line(name) for name in self.header]
        cells = [[_cell(value, name) for value, name in zip(row, self.header, strict=True)] for row in self.rows]
        if form == "markdown":
            header, *escaped = [[markdown(c) for c in row] for row in [head, *cells]]
            rule = "|" + "".join(" --- |" if left else " ---: |" for left in self._left)
            return "\n".join(
                ["| " + " | ".join(header) + " |", rule, *("| " + " | ".join(row) + " |" for row in escaped)]
            )
        if form == "latex":
            lines = [" & ".join(_tex(c) for c in row) + r" \\" for row in [head, *cells]]
            return "\n".join(
                [
                    rf"\begin{{tabular}}{{{''.join('l' if left else 'r' for left in self._left)}}}",
                    r"\toprule",
                    lines[0],
                    r"\midrule",
                    *lines[1:],
                    r"\bottomrule",
                    r"\end{tabular}",
                ]
            )
        widths = [max(len(row[i]) for row in [head, *cells]) for i in range(len(self.header))]
        return "\n".join(
            "  ".join(
                c.ljust(w) if left else c.rjust(w) for c, w, left in zip(row, widths, self._left, strict=True)
            ).rstrip()
            for row in [head, *cells]
        )


def print_tables(tables: Sequence[Table], form: str) -> None:
    """Print tables one below the other, in JSON as a list."""
    if form == "json":
        print_json([json.loads(table.render("json")) for table in tables])
    else:
        print("\n\n".join(table.render(form) for table in tables))


def note(text: str, form: str) -> str:
    """Return a sentence that stands below a table in one of `FORMATS`; in LaTeX a comment."""
    return markdown(text) if form == "markdown" else ("% " if form == "latex" else "") + one_line(text)


def number(value: float) -> float | None:
    """Return a number that JSON knows: NaN is none."""
    return value if value == value else None


def _cell(value: object, column: str) -> str:
    if value is None or value != value:
        return "-"
    if isinstance(value, float):
        if column.startswith("Δ"):
            return f"{value:+.4f}"
        return f"{value:.2e}" if column.startswith("p") and 0 < value < 0.0001 else f"{value:.4f}"
    return one_line(str(value))


_SCHEME = re.compile(r"\]\((?!https?://|[\w./#-]+(?:[)#]|$))")
"""What begins a link to anything but a web page or a file next to it."""


def markdown(text: str) -> str:
    """Return a text as Markdown for a cell or a line; what a stranger called something must become no markup of the page, and no link that runs."""
    return _SCHEME.sub(r"]\\(", one_line(text).replace("<", "&lt;").replace("|", "\\|"))


def _tex(text: str) -> str:
    special = {"&": r"\&", "%": r"\%", "$": r"\$", "#": r"\#", "_": r"\_", "{": r"\{", "}": r"\}", "~": r"\textasciitilde{}", "^": r"\textasciicircum{}",
               "\\": r"\textbackslash{}", "Δ": r"$\Delta$"}  # fmt: skip
    return "".join(special.get(c, c) for c in text)
