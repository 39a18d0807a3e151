"""Escape characters of foreign texts that would steer a terminal or hide what is on the screen."""

from __future__ import annotations

import json
import re

_STEERING = re.compile("[\x00-\x08\x0b-\x1f\x7f-\x9f\u2028\u2029\u202a-\u202e\u2066-\u2069\ud800-\udfff]")
"""Control characters other than tab and line end (ESC begins a terminal's commands), line separators, what turns the direction of writing, halves of
characters."""


def printable(text: str) -> str:
    r"""Return a text with what could steer a terminal written as `\u001b` and the like, which JSON reads back as it was."""
    return _STEERING.sub(lambda match: f"\\u{ord(match[0]):04x}", text)


def print_json(value: object) -> None:
    """Print a value as JSON, indented."""
    print(printable(json.dumps(value, indent=2, ensure_ascii=False)))


def one_line(text: str) -> str:
    """Return the same on one line."""
    return " ".join(printable(text).split())
