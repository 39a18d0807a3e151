"""Show results as tables in a notebook, and as pandas DataFrames."""

from __future__ import annotations

import html
from collections.abc import Iterable, Sequence

SHOWN = 10
"""Rows that a notebook shows of a long result."""


def table(caption: str, header: Sequence[str], rows: Iterable[Sequence[object]]) -> str:
    """Return an HTML table in which nothing is markup but the table itself.

    Example:
        >>> table("1 topic", ["qid"], [["<b>"]])
        '<table><caption>1 topic</caption><thead><tr><th>qid</th></tr></thead><tbody><tr><td>&lt;b&gt;</td></tr></tbody></table>'
    """
    head = "".join(f"<th>{html.escape(name)}</th>" for name in header)
    body = "".join("<tr>" + "".join(f"<td>{html.escape(_cell(c))}</td>" for c in row) + "</tr>" for row in rows)
    return (
        f"<table><caption>{html.escape(caption)}</caption><thead><tr>{head}</tr></thead><tbody>{body}</tbody></table>"
    )


def _cell(value: object) -> str:
    text = f"{value:.4f}" if isinstance(value, float) else str(value)
    return text if len(text) <= 200 else f"{text[:200]}..."
