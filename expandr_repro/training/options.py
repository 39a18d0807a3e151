"""Options of all commands that train, or make what is trained on."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from expandr_repro.console.options import When, option


def hold_out(group: str, applies: When | Sequence[When] = ()) -> Any:
    """Declare the option that leaves out training topics for the sake of topics that are to be searched later."""
    text = "topics to be searched later, e.g. scifact/test: training topics that are among them, or share a relevant document with one, are left out; may be repeated"  # fmt: skip
    return option((), group=group, metavar="T", help=text, applies=applies)


def allow_overlap(group: str, applies: When) -> Any:
    """Declare the option that lets development topics share what training sees."""
    text = "let development topics be training topics or share relevant documents with them; they are counted"
    return option(False, group=group, help=text, applies=applies)
